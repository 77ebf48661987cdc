package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/jobnetes/jobnetes/test/machine"
)

// The names of the real node, and of the images that it always has.
const (
	nodeName     = "node1"
	pauseImage   = "localhost/pause:1"
	busyboxImage = "localhost/busybox:1"
	podNetwork   = "10.88.0.0/16"
)

// packages are Debian's packages of a node, by a command of each.
var packages = []struct{ command, name string }{
	{"containerd", "containerd"}, {"runc", "runc"}, {"iptables", "iptables"}, {"conntrack", "conntrack"},
	{"/usr/lib/cni/ptp", "containernetworking-plugins"},
}

// programs are the paths of what a cluster with a node runs.
type programs struct {
	Control, CoreDNS, Kwok string
	Tools                  map[string]string // of packages, by command
}

// buildPrograms installs and builds what a cluster with a node runs, where it is
// not there already.
func buildPrograms(ctx context.Context) (programs, error) {
	p := programs{Tools: map[string]string{}}
	for _, pkg := range packages {
		path, err := machine.Require(ctx, pkg.command, pkg.name)
		if err != nil {
			return p, err
		}
		p.Tools[filepath.Base(pkg.command)] = path
	}
	var err error
	if p.Control, err = buildControl(ctx); err != nil {
		return p, err
	}
	if p.CoreDNS, err = install(ctx, coreDNS); err != nil {
		return p, err
	}
	p.Kwok, err = install(ctx, kwok)
	return p, err
}

// node is what makes this machine, which is a box, a node of the cluster: a
// container runtime, a kubelet, Services by kube-proxy, and names by CoreDNS.
type node struct {
	plane    *plane
	programs programs
	images   []string // tarballs to load before pods can start
}

// start starts the scheduler and the node, and returns the processes when the
// node is ready.
func (n *node) start(ctx context.Context, client kubernetes.Interface) ([]*machine.Process, error) {
	if err := n.writeConfig(); err != nil {
		return nil, err
	}
	containerd, err := n.run(n.programs.Tools["containerd"], "-c", n.path("containerd.toml"))
	if err != nil {
		return nil, err
	}
	if err := containerd.Await(ctx, n.containerdReady); err != nil {
		return nil, err
	}
	for _, tarball := range n.images {
		if err := loadImage(ctx, n.plane.dir, tarball); err != nil {
			return nil, err
		}
	}
	processes := []*machine.Process{containerd}
	for _, command := range n.commands() {
		process, err := n.run(command[0], command[1:]...)
		if err != nil {
			return nil, err
		}
		processes = append(processes, process)
	}
	kubelet := processes[1]
	return processes, kubelet.Await(ctx, func(ctx context.Context) error { return nodeReady(ctx, client) })
}

// commands are what runs beside containerd, the kubelet first.
func (n *node) commands() [][]string {
	kubeconfig := n.plane.kubeconfig()
	return [][]string{
		{
			n.called("kubelet"), "--config", n.path("kubelet.yaml"), "--kubeconfig", kubeconfig, "--root-dir", n.path("kubelet"),
			"--cert-dir", n.path("kubelet-pki"), "--hostname-override", nodeName, "--node-ip", n.plane.address,
		},
		{
			n.called("kube-proxy"), "--kubeconfig", kubeconfig, "--proxy-mode", "iptables", "--cluster-cidr", podNetwork,
			"--hostname-override", nodeName, "--conntrack-max-per-core", "0", // which only the machine could set
			"--bind-address", "127.0.0.1", "--metrics-bind-address", "127.0.0.1:10249", "--healthz-bind-address", "127.0.0.1:10256",
		},
		append([]string{n.called("kube-scheduler")}, schedulerOptions(kubeconfig)...),
		{n.programs.CoreDNS, "-conf", n.path("Corefile")},
		append([]string{n.programs.Kwok}, kwokOptions(n.path("kwok.yaml"), kubeconfig)...),
	}
}

// called gives the path of Kubernetes' binary under the name of a component.
func (n *node) called(component string) string { return n.path("bin/" + component) }

func (n *node) path(name string) string { return n.plane.path(name) }

func (n *node) run(program string, args ...string) (*machine.Process, error) {
	cmd := exec.Command(program, args...)
	cmd.Dir = n.plane.dir
	return machine.Start(cmd, n.path(filepath.Base(program)+".log"))
}

func (n *node) containerdReady(ctx context.Context) error {
	return ctr(ctx, n.plane.dir, "version")
}

// loadImage loads the images of a tarball into the node of the cluster in dir.
// It works from outside of the box, too.
func loadImage(ctx context.Context, dir, tarball string) error {
	if err := ctr(ctx, dir, "images", "import", "--no-unpack=false", tarball); err != nil {
		return fmt.Errorf("load image %s: %w", tarball, err)
	}
	return nil
}

// ctr calls the container runtime of the cluster in dir.
func ctr(ctx context.Context, dir string, args ...string) error {
	args = append([]string{"--address", filepath.Join(dir, "containerd.sock"), "--namespace", "k8s.io"}, args...)
	out, err := exec.CommandContext(ctx, "ctr", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ctr %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// nodeReady gives nil when the node can run pods.
func nodeReady(ctx context.Context, client kubernetes.Interface) error {
	n, err := client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get node %s: %w", nodeName, err)
	}
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			if c.Status == corev1.ConditionTrue {
				return nil
			}
			return fmt.Errorf("node %s is not ready: %s", nodeName, c.Message)
		}
	}
	return fmt.Errorf("node %s has not said yet whether it is ready", nodeName)
}

// writeConfig writes the settings of the node's parts, and the names that
// Kubernetes' binary is called by.
func (n *node) writeConfig() error {
	for _, dir := range []string{"bin", "cni", "volumes"} {
		if err := os.MkdirAll(n.path(dir), 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"kubelet", "kube-proxy", "kube-scheduler", "kubectl"} {
		if err := os.Symlink(n.programs.Control, n.called(name)); err != nil {
			return err
		}
	}
	replace := strings.NewReplacer(
		"$DIR", n.plane.dir, "$ADDRESS", n.plane.address, "$CGROUP", boxName(n.plane.dir),
		"$CNI", filepath.Dir(n.programs.Tools["ptp"]), "$PAUSE", pauseImage, "$PODS", podNetwork,
	)
	var errs []error
	for name, text := range map[string]string{
		"containerd.toml": containerdConfig, "cni/jobnetes.conflist": cniConfig, "kubelet.yaml": kubeletConfig,
		"Corefile": corefile, "kwok.yaml": kwokConfig,
	} {
		errs = append(errs, os.WriteFile(n.path(name), []byte(replace.Replace(text)), 0o600))
	}
	return errors.Join(errs...)
}

// nodeTimeout bounds the start of a cluster with a node.
const nodeTimeout = 3 * time.Minute
