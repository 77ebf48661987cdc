// Package cluster gives tests a real Kubernetes 1.34.4, built from Go modules
// and Debian's packages: no container registry, no downloaded binary. There are
// two kinds:
//
//   - [Start]: an API server with its controllers (Jobs, garbage collection,
//     namespaces, service accounts, …) on etcd. It needs Linux and Go, no root,
//     and starts in seconds. It has no nodes: [Cluster.PlayPods] plays kubelet to
//     the pods of Jobs.
//   - [StartNode]: the same with a real node (containerd, runc, kubelet), Services
//     (kube-proxy) and names (CoreDNS), and nodes simulated by kwok beside it. It
//     needs Debian and root, and runs in a box (package test/box), so that
//     nothing of it is left on the machine. `make cluster` starts one that stays,
//     `make cluster-down` ends it (command test/cluster/cmd/cluster).
//
// If KUBECONFIG is set, tests use the cluster that it names and build nothing:
// they make and delete namespaces jobnetes-test-… there. Tests that run pods
// need images there that `make images` builds.
//
// Where systemd runs, Debian's package containerd starts a daemon of its own when
// it is installed; the cluster does not use it, and it does not mind.
//
// The first build takes some 15 minutes on two cores, and 300 MB under the
// user's cache folder; it is done once for all test processes, so run the first
// test with a -timeout of 60 minutes. Data and logs are removed at the end,
// unless JOBNETES_TEST_KEEP is set.
package cluster
