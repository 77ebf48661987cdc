package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/jobnetes/jobnetes/test/machine"
)

const (
	buildTimeout = 40 * time.Minute // a first build on slow cores, or waiting for another process's
	startTimeout = 2 * time.Minute  // seconds, unless many tests of other packages have the cores
)

// Cluster is a Kubernetes API server and its controllers.
type Cluster struct {
	Kubeconfig string               // path of a kubeconfig with all rights
	Client     kubernetes.Interface // with all rights, not throttled

	config *rest.Config
	dir    string // of its files; empty if it is the cluster that KUBECONFIG names
	plane  *plane // nil if this process does not run it itself
	folder *machine.Folder
}

// path gives the path of a file in the cluster's folder.
func (c *Cluster) path(name string) string { return filepath.Join(c.dir, name) }

// stop ends a cluster of this process's own and removes its data.
func (c *Cluster) stop() error {
	c.plane.stop()
	return c.folder.Remove()
}

// Pids gives the processes of a cluster that this process runs itself, by name: etcd,
// the API server, the controllers and, if nodes are simulated, the scheduler and kwok.
// Of another cluster there are none.
func (c *Cluster) Pids() map[string]int {
	if c.plane == nil {
		return nil
	}
	pids := map[string]int{"etcd": c.plane.etcd.Pid(), "kube-apiserver": c.plane.apiServer.Pid(), "kube-controller-manager": c.plane.controllers.Pid()}
	if s := c.plane.simulation; s != nil {
		pids["kube-scheduler"], pids["kwok"] = s.scheduler.Pid(), s.kwok.Pid()
	}
	return pids
}

// Config gives a copy of the settings of Client, for clients that a test makes.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Start gives the cluster that all tests of the process share: the one that
// KUBECONFIG names, else one of the process's own, which the first call starts
// (see Private for one that can be broken). Tests keep apart by Namespace.
func Start(t testing.TB) *Cluster {
	t.Helper()
	machine.Slow(t)
	c, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	c.reportTo(t)
	return c
}

// shared starts the cluster of the process. It ends with the process.
var shared = sync.OnceValues(func() (*Cluster, error) {
	if path := os.Getenv("KUBECONFIG"); path != "" {
		return connect(path)
	}
	return up(context.Background())
})

// up starts a cluster of this process's own.
func up(ctx context.Context) (*Cluster, error) {
	buildCtx, cancel := context.WithTimeout(ctx, buildTimeout)
	defer cancel()
	binary, err := buildControl(buildCtx)
	if err != nil {
		return nil, err
	}
	port, err := machine.Port()
	if err != nil {
		return nil, err
	}
	folder, err := machine.NewFolder("cluster")
	if err != nil {
		return nil, err
	}
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	plane := &plane{binary: binary, dir: folder.Path, address: "127.0.0.1", port: port}
	c, err := startPlane(startCtx, plane)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start a cluster: %w", err), folder.Remove())
	}
	c.folder = folder
	return c, nil
}

// startPlane starts a control plane and gives the cluster that it is.
func startPlane(ctx context.Context, plane *plane) (*Cluster, error) {
	if err := plane.writeCredentials(); err != nil {
		return nil, err
	}
	c, err := connect(plane.kubeconfig())
	if err != nil {
		return nil, err
	}
	c.dir, c.plane = plane.dir, plane
	if err := plane.start(ctx, c.Client); err != nil {
		plane.stop()
		return nil, err
	}
	return c, nil
}

// connect makes the client of the cluster that a kubeconfig names.
func connect(kubeconfig string) (*Cluster, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster of kubeconfig %s: %w", kubeconfig, err)
	}
	config.QPS = -1 // tests wait for the server, never for the client's own limit
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster of kubeconfig %s: %w", kubeconfig, err)
	}
	return &Cluster{Kubeconfig: kubeconfig, Client: client, config: config}, nil
}

// reportTo fails t at its end if a component of the cluster has died, and says
// where the logs of a failed test are.
func (c *Cluster) reportTo(t testing.TB) {
	if c.plane == nil {
		return
	}
	t.Cleanup(func() {
		if err := c.plane.check(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the cluster's logs are in %s; they are kept if %s is set", c.dir, machine.Keep)
		}
	})
}
