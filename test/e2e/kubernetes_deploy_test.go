package e2e

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"google.golang.org/grpc"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jobnetes/jobnetes/test/cluster"
	"github.com/jobnetes/jobnetes/test/images"
	"github.com/jobnetes/jobnetes/test/machine"
	"github.com/jobnetes/jobnetes/test/mariadb"
)

// deployments are the services.
var deployments = []string{"manager", "jobapi", "webadmin"}

// installation is jobnetes as setting/k8s deploys it, on a MariaDB outside of the
// cluster, seen from outside.
type installation struct {
	*cluster.Cluster
	*client

	system, jobs string // namespaces
	images       map[string]string
	endpoint     string // of jobapi
	page         string // of webadmin
}

// newInstallation chooses the names of an installation of its own, also on a
// cluster that is shared.
func newInstallation(t *testing.T) *installation {
	t.Helper()
	suffix := strings.ToLower(rand.Text()[:8])
	return &installation{
		Cluster: cluster.StartNode(t), images: map[string]string{"busybox": "localhost/busybox:1"},
		system: "jobnetes-test-system-" + suffix, jobs: "jobnetes-test-jobs-" + suffix,
	}
}

// deploy does what a user does, and connects.
func (in *installation) deploy(t *testing.T) {
	t.Helper()
	in.loadImages(t)
	password := rand.Text()
	manifests := filepath.Join(t.TempDir(), "manifests.yaml")
	write(t, manifests, in.renamed(in.Kubectl(t, "kustomize", in.overlay(t, password))))
	in.Kubectl(t, "apply", "--filename", manifests)
	in.Kubectl(t, "wait", "--namespace", in.system, "--for", "condition=complete", "--timeout", patience.String(), "job/migrate")
	in.awaitRollout(t)

	in.endpoint = in.nodePort(t, "jobapi")
	in.page = "http://" + in.nodePort(t, "webadmin") + "/"
	in.client = newClient(t, in.endpoint, "jobnetesadmin", password, grpc.WithDefaultServiceConfig(retries))
}

// retries is how a careful client calls: a jobapi that is being replaced is
// waited for.
const retries = `{"methodConfig": [{
  "name": [{}], "waitForReady": true, "timeout": "60s",
  "retryPolicy": {"maxAttempts": 5, "initialBackoff": "0.2s", "maxBackoff": "5s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}
}]}`

// loadImages builds the images and loads them into the node.
func (in *installation) loadImages(t *testing.T) {
	t.Helper()
	out, err := machine.Output()
	if err != nil {
		t.Fatal(err)
	}
	built, err := images.Build(t.Context(), filepath.Join(out, "images"), "jobnetes", "jobnetes-example-client")
	if err != nil {
		t.Fatal(err)
	}
	in.Load(t, built[0].Tarball, built[1].Tarball)
	in.images["jobnetes"], in.images["client"] = built[0].Name, built[1].Name
}

// overlay gives a folder for `kubectl kustomize`: setting/k8s with an overlay
// beside its own, and with the passwords.
func (in *installation) overlay(t *testing.T, password string) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []string{"base", "external-database", "dsn", "passwords"} {
		if err := os.CopyFS(filepath.Join(dir, part), os.DirFS(filepath.Join("..", "..", "setting", "k8s", part))); err != nil {
			t.Fatal(err)
		}
	}
	overlay := filepath.Join(dir, "overlay")
	if err := os.CopyFS(overlay, os.DirFS(filepath.Join("testdata", "kubernetes"))); err != nil {
		t.Fatal(err)
	}
	database, err := mysql.ParseDSN(mariadb.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	database.Addr = in.Relay(t, database.Addr)
	write(t, filepath.Join(dir, "passwords", "passwords.env"),
		fmt.Sprintf("JOBNETES_DB_DSN=%s\nJOBNETES_JOBAPI_PASSWORD=%[2]s\nJOBNETES_WEBADMIN_PASSWORD=%[2]s\n", database.FormatDSN(), password))
	return overlay
}

// renamed gives a text with this installation's namespaces, as docs/kubernetes.md
// has it for several installations on a cluster.
func (in *installation) renamed(text string) string {
	return strings.NewReplacer("jobnetes-system", in.system, "jobnetes-jobs", in.jobs).Replace(text)
}

// awaitRollout waits until all that runs of the services is new, and ready.
func (in *installation) awaitRollout(t *testing.T) {
	t.Helper()
	for _, name := range deployments {
		in.Kubectl(t, "rollout", "status", "--namespace", in.system, "--timeout", patience.String(), "deployment/"+name)
	}
}

// nodePort gives the address, host:port, of a service of the installation.
func (in *installation) nodePort(t *testing.T, name string) string {
	t.Helper()
	service, err := in.Client.CoreV1().Services(in.system).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(in.NodeAddress(t), strconv.Itoa(int(service.Spec.Ports[0].NodePort)))
}

// report says, if the test has failed, what there is that may be wrong.
func (in *installation) report(t *testing.T) {
	if !t.Failed() {
		return
	}
	for _, namespace := range []string{in.system, in.jobs} {
		t.Log(in.Kubectl(t, "get", "pods", "--namespace", namespace, "--field-selector", "status.phase!=Succeeded", "--output", "wide"))
		t.Log(in.Kubectl(t, "get", "events", "--namespace", namespace, "--field-selector", "type!=Normal", "--sort-by", ".lastTimestamp"))
	}
	logs := in.Kubectl(t, "logs", "--namespace", in.system, "--selector", "app.kubernetes.io/name=jobnetes", "--prefix", "--tail", "1000",
		"--ignore-errors", "--max-log-requests", "100")
	for line := range strings.Lines(logs) {
		if !strings.Contains(line, `"level":"INFO"`) {
			t.Log(strings.TrimSpace(line))
		}
	}
}

// remove removes what deploy has made. Its end is not waited for.
func (in *installation) remove(t *testing.T) {
	in.Kubectl(t, "delete", "namespace", "--ignore-not-found", "--wait=false", in.system, in.jobs)
}

var imageName = regexp.MustCompile(`(\bimage"?: "?)(\w+)`)

// definition gives a definition whose images have short names, as the samples
// have them, with the names that they have on the cluster.
func (in *installation) definition(text []byte) []byte {
	return imageName.ReplaceAllFunc(text, func(match []byte) []byte {
		parts := imageName.FindSubmatch(match)
		return append(bytes.Clone(parts[1]), cmp.Or(in.images[string(parts[2])], string(parts[2]))...)
	})
}
