package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobnetes/jobnetes/test/machine"
)

// StartNode gives the cluster with a node, which runs pods for real, that all
// tests of the process share: the one that KUBECONFIG names, else one of the
// process's own, which the first call starts. Without either, and not as root,
// the test is skipped.
func StartNode(t testing.TB) *Cluster {
	t.Helper()
	machine.Slow(t)
	if os.Getenv("KUBECONFIG") == "" && os.Geteuid() != 0 {
		t.Skip("needs a Kubernetes with a node: be root, or set KUBECONFIG")
	}
	c, err := sharedNode()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && c.dir != "" {
			t.Logf("the cluster's logs are in %s; they are kept if %s is set", c.dir, machine.Keep)
		}
	})
	return c
}

// sharedNode starts the cluster of the process. It ends with the process.
var sharedNode = sync.OnceValues(func() (*Cluster, error) {
	if path := os.Getenv("KUBECONFIG"); path != "" {
		return connect(path)
	}
	return upNode(context.Background())
})

// upNode starts a cluster with a node of this process's own, by the command
// cluster, since a box is made by whoever is its first process.
func upNode(ctx context.Context) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	folder, err := machine.NewFolder("cluster")
	if err != nil {
		return nil, err
	}
	command, err := buildCommand(ctx, folder.Path)
	if err != nil {
		return nil, errors.Join(err, folder.Remove())
	}
	dir := folder.Path + "-node" // removed by the command itself
	log := filepath.Join(folder.Path, "serve.log")
	ended, err := startAttached(command, dir, log)
	if err != nil {
		return nil, errors.Join(err, folder.Remove())
	}
	if err := awaitReady(ctx, dir, log, ended); err != nil {
		return nil, err
	}
	c, err := connect(filepath.Join(dir, "kubeconfig"))
	if err != nil {
		return nil, err
	}
	c.dir = dir
	return c, nil
}

// buildCommand builds the command cluster into a folder.
func buildCommand(ctx context.Context, dir string) (string, error) {
	root, err := machine.Root()
	if err != nil {
		return "", err
	}
	command := filepath.Join(dir, "cluster")
	cmd := exec.CommandContext(ctx, "go", "build", "-o", command, "./test/cluster/cmd/cluster")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the command cluster: %w: %s", err, out)
	}
	return command, nil
}

// startAttached starts the command to serve a cluster in dir until this process
// ends, by whatever means: then its standard input does.
func startAttached(command, dir, logFile string) (ended <-chan error, err error) {
	var pipe [2]int // bare descriptors: the garbage collector does not close them
	if err := syscall.Pipe2(pipe[:], syscall.O_CLOEXEC); err != nil {
		return nil, err
	}
	input := os.NewFile(uintptr(pipe[0]), "end of "+dir)
	defer func() { _ = input.Close() }()
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(command, "serve", "--dir", dir, "--attached")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is not for it
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, syscall.Close(pipe[1]))
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	return done, nil
}

// NodeAddress gives the address of a node that runs pods, at which this machine
// reaches NodePorts.
func (c *Cluster) NodeAddress(t testing.TB) string {
	t.Helper()
	nodes, err := c.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{LabelSelector: SimulatedLabel + "!=" + SimulatedValue})
	if err != nil {
		t.Fatalf("list nodes: %v", err)
	}
	for _, node := range nodes.Items {
		for _, a := range node.Status.Addresses {
			if a.Type == corev1.NodeInternalIP {
				return a.Address
			}
		}
	}
	t.Fatal("the cluster has no node with an InternalIP")
	return ""
}

// Relay gives the address, host:port, at which pods reach a TCP server of this
// machine until the test ends, such as one that listens on loopback only.
func (c *Cluster) Relay(t testing.TB, target string) string {
	t.Helper()
	// The address that this machine has towards the node. Nothing is sent.
	probe, err := net.Dial("udp", net.JoinHostPort(c.NodeAddress(t), "9"))
	if err != nil {
		t.Fatal(err)
	}
	near := probe.LocalAddr().(*net.UDPAddr).IP.String()
	_ = probe.Close()
	listener, err := net.Listen("tcp", net.JoinHostPort(near, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go relay(conn, target)
		}
	}()
	return listener.Addr().String()
}

// relay joins a connection with one to target until both ways have ended: one
// may end long before the other, as when a client has sent all.
func relay(conn net.Conn, target string) {
	defer func() { _ = conn.Close() }()
	far, err := net.Dial("tcp", target)
	if err != nil {
		return // the pod sees that its connection ends
	}
	defer func() { _ = far.Close() }()
	var ways sync.WaitGroup
	for _, way := range [][2]net.Conn{{conn, far}, {far, conn}} {
		ways.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_ = way[0].(*net.TCPConn).CloseWrite()
		})
	}
	ways.Wait()
}

// Load loads the images of tarballs into the node. A cluster that KUBECONFIG
// names must have them already.
func (c *Cluster) Load(t testing.TB, tarballs ...string) {
	t.Helper()
	if c.dir == "" {
		return
	}
	if err := Load(t.Context(), c.dir, tarballs); err != nil {
		t.Fatal(err)
	}
}

// Kubectl runs kubectl with all rights and gives what it says. An error fails
// the test.
func (c *Cluster) Kubectl(t testing.TB, args ...string) string {
	t.Helper()
	binary, err := buildControl(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cmd := &exec.Cmd{Path: binary, Args: append([]string{"kubectl", "--kubeconfig", c.Kubeconfig}, args...)}
	var errors strings.Builder
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, errors.String())
	}
	return string(out)
}
