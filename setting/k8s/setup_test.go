// Package k8s_test checks the manifests beside it: what they render to, and
// that a real API server takes them.
package k8s_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

const (
	system = "jobnetes-system" // the namespace of the services
	jobs   = "jobnetes-jobs"   // that of the Jobs
)

// passwords is a passwords.env for every rendering.
const passwords = `JOBNETES_DB_PASSWORD=db
JOBNETES_JOBAPI_PASSWORD=jobapi
JOBNETES_WEBADMIN_PASSWORD=webadmin
MYSQL_ROOT_PASSWORD=root
JOBNETES_DB_DSN=jobnetes:db@tcp(db.example:3306)/jobnetes?tls=true
`

// everything is an overlay of the kind that users write: all components, and an
// image of their own.
const everything = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../base]
components: [../passwords, ../mysql, ../job-limits, ../jobapi-ingress]
images: [{name: jobnetes, newName: registry.example.com/team/jobnetes, newTag: v1}]
`

// own is an overlay that brings the Secret itself, with the patches that
// docs/kubernetes.md shows.
const own = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../base]
components: [../dsn]
secretGenerator:
- name: jobnetes
  namespace: jobnetes-system
  literals: [JOBNETES_DB_DSN=dsn, JOBNETES_JOBAPI_PASSWORD=jobapi, JOBNETES_WEBADMIN_PASSWORD=webadmin]
patches:
- target: {kind: ServiceAccount, namespace: jobnetes-system}
  patch: |
    - {op: add, path: /imagePullSecrets, value: [{name: registry}]}
- target: {kind: (Deployment|Job), labelSelector: app.kubernetes.io/name=jobnetes}
  patch: |
    - {op: add, path: /spec/template/spec/volumes/-, value: {name: database-ca, configMap: {name: database-ca}}}
    - {op: add, path: /spec/template/spec/containers/0/volumeMounts/-, value: {name: database-ca, mountPath: /etc/pki/tls/certs, readOnly: true}}
`

// renderings are what there is to apply, each with its folder.
var renderings = map[string]string{
	"with MySQL":                 ".",
	"with an external database":  "external-database",
	"an overlay with everything": "everything",
	"an overlay with a Secret":   "own",
}

// manifest is one rendered object.
type manifest struct {
	yaml []byte
	kind string
	metav1.Object
	typed runtime.Object
}

// manifests are a rendering, in the order in which it is applied.
type manifests []manifest

// folder copies the manifests, which lack the passwords, to a folder that a test
// may change.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(".")); err != nil {
		t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(dir, "passwords", "passwords.env")) // this user's own
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// render gives what `kubectl apply -k` would apply, as typed objects. A field
// that Kubernetes does not know fails the test.
func render(t *testing.T, name string) manifests {
	t.Helper()
	dir := folder(t)
	write(t, filepath.Join(dir, "passwords", "passwords.env"), passwords)
	write(t, filepath.Join(dir, "everything", "kustomization.yaml"), everything)
	write(t, filepath.Join(dir, "own", "kustomization.yaml"), own)
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	var all manifests
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		object, kind, err := decoder.Decode(text, nil, nil)
		if err != nil {
			t.Fatalf("%s: %v", r.CurId(), err)
		}
		all = append(all, manifest{yaml: text, kind: kind.Kind, Object: object.(metav1.Object), typed: object})
	}
	return all
}

// String names the object as kubectl does, with its namespace.
func (m manifest) String() string {
	return strings.TrimPrefix(m.GetNamespace()+"/", "/") + strings.ToLower(m.kind) + "/" + m.GetName()
}

// podTemplate gives the template of a workload, or nil.
func (m manifest) podTemplate() *corev1.PodTemplateSpec {
	switch o := m.typed.(type) {
	case *appsv1.Deployment:
		return &o.Spec.Template
	case *appsv1.StatefulSet:
		return &o.Spec.Template
	case *batchv1.Job:
		return &o.Spec.Template
	}
	return nil
}

// component is the part of jobnetes that a pod of the template is.
func component(template *corev1.PodTemplateSpec) string {
	return template.Labels["app.kubernetes.io/component"]
}

// workloads are the objects that have a pod template.
func (all manifests) workloads() manifests {
	var some manifests
	for _, m := range all {
		if m.podTemplate() != nil {
			some = append(some, m)
		}
	}
	return some
}

// ofType gives the objects of type T.
func ofType[T runtime.Object](all manifests) []T {
	var some []T
	for _, m := range all {
		if o, ok := m.typed.(T); ok {
			some = append(some, o)
		}
	}
	return some
}

// one gives the only object of type T with that name, but for the hash that
// kustomize puts behind the names of ConfigMaps and Secrets.
func one[T interface {
	runtime.Object
	metav1.Object
}](t *testing.T, all manifests, name string) T {
	t.Helper()
	var found []T
	for _, o := range ofType[T](all) {
		if o.GetName() == name || strings.HasPrefix(o.GetName(), name+"-") {
			found = append(found, o)
		}
	}
	if len(found) != 1 {
		t.Fatalf("got %d of %s %s, want 1", len(found), reflect.TypeFor[T](), name)
	}
	return found[0]
}
