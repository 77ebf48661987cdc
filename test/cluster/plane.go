package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/jobnetes/jobnetes/test/machine"
)

const (
	serviceNetwork = "10.96.0.0/24"
	apiService     = "10.96.0.1" // the Service "kubernetes": the first address of the network
)

// plane is a control plane: etcd, the API server and the controller manager as
// child processes, with their data and logs in one folder.
type plane struct {
	binary  string
	dir     string
	address string // that the API server listens on
	port    int

	etcd, apiServer, controllers *machine.Process // nil until started
	simulation                   *simulation      // nil: no simulated nodes
}

// writeCredentials writes the certificates, and the kubeconfig of a user with
// all rights.
func (p *plane) writeCredentials() error {
	authority, err := newAuthority()
	if err != nil {
		return err
	}
	server, err := authority.server("kube-apiserver",
		[]string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"},
		[]net.IP{net.IPv4(127, 0, 0, 1), net.ParseIP(p.address), net.ParseIP(apiService)})
	if err != nil {
		return err
	}
	admin, err := authority.client("admin", "system:masters")
	if err != nil {
		return err
	}
	kubelets, err := authority.client("kube-apiserver", "system:masters") // for logs
	if err != nil {
		return err
	}
	signing, err := newSigningKey()
	if err != nil {
		return err
	}
	err = writeSecrets(map[string][]byte{
		p.path("ca.crt"):              authority.pem(),
		p.path("apiserver.crt"):       server.certificate,
		p.path("apiserver.key"):       server.key,
		p.path("kubelet-client.crt"):  kubelets.certificate,
		p.path("kubelet-client.key"):  kubelets.key,
		p.path("service-account.key"): signing,
		p.path("audit-policy.yaml"):   []byte(auditPolicy),
	})
	if err != nil {
		return err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{
		Server:                   "https://" + net.JoinHostPort(p.address, strconv.Itoa(p.port)),
		CertificateAuthorityData: authority.pem(),
	}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{ClientCertificateData: admin.certificate, ClientKeyData: admin.key}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "admin"}
	config.CurrentContext = "test"
	if err := clientcmd.WriteToFile(*config, p.kubeconfig()); err != nil {
		return fmt.Errorf("write the cluster's kubeconfig: %w", err)
	}
	return nil
}

// path gives the path of a file in the control plane's folder.
func (p *plane) path(name string) string { return filepath.Join(p.dir, name) }

func (p *plane) kubeconfig() string { return p.path("kubeconfig") }

// start starts the components one after the other and returns when pods can be
// created in the namespace default.
func (p *plane) start(ctx context.Context, client kubernetes.Interface) error {
	if err := p.startEtcd(ctx); err != nil {
		return err
	}
	if err := p.startAPIServer(ctx, client); err != nil {
		return err
	}
	if err := p.startControllers(); err != nil {
		return err
	}
	return p.controllers.Await(ctx, func(ctx context.Context) error {
		return serviceAccount(ctx, client, metav1.NamespaceDefault)
	})
}

// startEtcd starts etcd and returns when it can be dialled. It listens on Unix
// sockets only; the addresses that it advertises to other members, of which
// there are none, nobody uses. It never syncs to disk: nothing of the cluster
// outlives the test.
func (p *plane) startEtcd(ctx context.Context) (err error) {
	p.etcd, err = p.run("etcd",
		"--data-dir", p.path("etcd"),
		"--listen-client-urls", "unix://"+p.path("etcd.sock"), "--advertise-client-urls", "http://localhost:2379",
		"--listen-peer-urls", "unix://etcd-peer.sock", // relative to its working directory: etcd drops the path
		"--quota-backend-bytes", "8589934592", // 100,000 pods, and what is kept of each until it is compacted
		"--unsafe-no-fsync", "--log-level", "warn")
	if err != nil {
		return err
	}
	return p.etcd.Await(ctx, func(ctx context.Context) error {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "unix", p.path("etcd.sock")) // a killed one leaves the file
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// startAPIServer starts the API server and returns when it is ready.
func (p *plane) startAPIServer(ctx context.Context, client kubernetes.Interface) (err error) {
	// No pod can reach loopback: then the Service "kubernetes" gets no endpoint.
	endpoints := "lease"
	if net.ParseIP(p.address).IsLoopback() {
		endpoints = "none"
	}
	p.apiServer, err = p.run("kube-apiserver",
		"--etcd-servers", "unix://"+p.path("etcd.sock"),
		"--bind-address", p.address, "--secure-port", strconv.Itoa(p.port),
		"--advertise-address", p.address, "--endpoint-reconciler-type", endpoints,
		"--service-cluster-ip-range", serviceNetwork,
		"--tls-cert-file", p.path("apiserver.crt"), "--tls-private-key-file", p.path("apiserver.key"),
		"--client-ca-file", p.path("ca.crt"),
		"--kubelet-client-certificate", p.path("kubelet-client.crt"), "--kubelet-client-key", p.path("kubelet-client.key"),
		"--kubelet-preferred-address-types", "InternalIP",
		"--service-account-issuer", "https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file", p.path("service-account.key"),
		"--service-account-signing-key-file", p.path("service-account.key"),
		"--authorization-mode", "Node,RBAC",
		"--audit-policy-file", p.path("audit-policy.yaml"), "--audit-log-path", p.path(auditLog),
		"--audit-log-mode", "blocking-strict", "--audit-log-maxsize", "10000", // MB: never rotated
		"--allow-privileged")
	if err != nil {
		return err
	}
	return p.awaitAPIServer(ctx, client)
}

// awaitAPIServer returns when the API server is ready.
func (p *plane) awaitAPIServer(ctx context.Context, client kubernetes.Interface) error {
	return p.apiServer.Await(ctx, func(ctx context.Context) error {
		return client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
}

// startControllers starts the controller manager with all of its controllers.
// It serves no port of its own.
func (p *plane) startControllers() (err error) {
	p.controllers, err = p.run("kube-controller-manager",
		"--kubeconfig", p.kubeconfig(),
		"--service-account-private-key-file", p.path("service-account.key"),
		"--root-ca-file", p.path("ca.crt"),
		"--leader-elect=false",
		"--secure-port", "0",
		"--kube-api-qps", "500", "--kube-api-burst", "1000", "--concurrent-job-syncs", "20")
	return err
}

// run starts the component that is called name.
func (p *plane) run(name string, args ...string) (*machine.Process, error) {
	cmd := &exec.Cmd{Path: p.binary, Args: append([]string{name}, args...), Dir: p.dir}
	return machine.Start(cmd, p.path(name+".log"))
}

// check gives an error for each component that has ended by itself.
func (p *plane) check() error {
	var errs []error
	for _, process := range p.processes() {
		errs = append(errs, process.Err())
	}
	return errors.Join(errs...)
}

// stop kills the components. They are not asked to end: nothing of them is kept,
// and an API server that is asked waits for etcd.
func (p *plane) stop() {
	for _, process := range p.processes() {
		process.Kill()
	}
}

// processes are the components that have been started, those first that need
// others.
func (p *plane) processes() []*machine.Process {
	all := []*machine.Process{p.controllers, p.apiServer, p.etcd}
	if p.simulation != nil {
		all = append([]*machine.Process{p.simulation.kwok, p.simulation.scheduler}, all...)
	}
	return slices.DeleteFunc(all, func(process *machine.Process) bool { return process == nil })
}
