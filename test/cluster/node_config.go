package cluster

// The settings of a node's parts. $DIR and so on are filled in by writeConfig.

// AppArmor profiles and OOM scores below the machine's own are not a box's to
// set. /opt is the machine's.
const containerdConfig = `version = 2
root = "$DIR/containerd"
state = "/run/containerd"
[grpc]
  address = "$DIR/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "$DIR/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE"
  disable_apparmor = true
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$CNI"
    conf_dir = "$DIR/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
`

// Each pod has a link of its own to the node, so that all its traffic passes
// the node's firewall, where Services are.
const cniConfig = `{"cniVersion": "0.4.0", "name": "jobnetes", "plugins": [
  {"type": "ptp", "ipMasq": true, "ipam": {"type": "host-local", "dataDir": "/run/cni", "ranges": [[{"subnet": "$PODS"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
`

// No image is ever removed for room, and no pod for a full disk: the machine is
// not the test's. Kubernetes up to 1.34 runs on machines with cgroup v1.
const kubeletConfig = `kind: KubeletConfiguration
apiVersion: kubelet.config.k8s.io/v1beta1
address: $ADDRESS
readOnlyPort: 0
healthzBindAddress: 127.0.0.1
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $DIR/ca.crt}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP
enforceNodeAllocatable: []
failSwapOn: false
failCgroupV1: false
containerRuntimeEndpoint: unix://$DIR/containerd.sock
imageMinimumGCAge: 240h
imageGCHighThresholdPercent: 100
evictionHard: {nodefs.available: "0%", imagefs.available: "0%", memory.available: 50Mi, nodefs.inodesFree: "0%"}
maxPods: 250
serializeImagePulls: false
registryPullQPS: 0
clusterDNS: [$ADDRESS]
clusterDomain: cluster.local
resolvConf: ""
podLogsDir: $DIR/pods
volumePluginDir: $DIR/volumes
`

const corefile = `.:53 {
    bind $ADDRESS
    errors
    kubernetes cluster.local in-addr.arpa {
        kubeconfig $DIR/kubeconfig
    }
}
`

const kwokConfig = `apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokConfiguration
options:
  nodePlayStageParallelism: 16
  podPlayStageParallelism: 64
`
