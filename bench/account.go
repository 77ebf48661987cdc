package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/jobnetes/jobnetes/test/cluster"
)

// account is one who uses the API server: ours or the floor. Each is a service
// account with a FlowSchema for each verb, by which the API server counts its
// requests apart from everybody else's. They have the priority level that service
// accounts have by default.
type account struct {
	name       string
	kubeconfig string
	config     *rest.Config
}

// The accounts.
const (
	oursAccount  = "ours"
	floorAccount = "floor"
)

const (
	priorityLevel = "workload-low"
	tokenLife     = 24 * time.Hour
)

// verbs are those of requests that work is done by. Beside them there are watches,
// and looks whether the API server is there, which go with time, not with work.
var verbs = []string{"create", "delete", "deletecollection", "get", "list", "patch", "update"}

// Names in place of verbs for what is beside them.
const (
	watchVerb = "watch"
	pingVerb  = "ping"
)

// allVerbs are those that an account's requests are counted by.
func allVerbs() []string { return append([]string{watchVerb, pingVerb}, verbs...) }

// newAccount makes an account that may do everything in a namespace.
func newAccount(t *testing.T, c *cluster.Cluster, namespace, name, dir string) account {
	t.Helper()
	a := account{name: name, kubeconfig: filepath.Join(dir, name+".kubeconfig")}
	ctx := t.Context()
	accounts := c.Client.CoreV1().ServiceAccounts(namespace)
	_, err := accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Client.RbacV1().RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	token, err := accounts.CreateToken(ctx, name, &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(tokenLife.Seconds()))},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.connect(c.Config(), token.Status.Token); err != nil {
		t.Fatal(err)
	}
	if err := a.count(ctx, t, c.Client, namespace); err != nil {
		t.Fatal(err)
	}
	return a
}

// connect makes the settings of clients, and a kubeconfig with them.
func (a *account) connect(admin *rest.Config, token string) error {
	a.config = rest.AnonymousClientConfig(admin)
	a.config.QPS = -1 // the floor does not throttle itself
	a.config.BearerToken = token
	config := clientcmdapi.NewConfig()
	config.Clusters["bench"] = &clientcmdapi.Cluster{Server: admin.Host, CertificateAuthorityData: admin.CAData}
	config.AuthInfos[a.name] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["bench"] = &clientcmdapi.Context{Cluster: "bench", AuthInfo: a.name}
	config.CurrentContext = "bench"
	return clientcmd.WriteToFile(*config, a.kubeconfig)
}

// count has the API server count the requests of the account, from now on.
func (a *account) count(ctx context.Context, t *testing.T, client kubernetes.Interface, namespace string) error {
	schemas := client.FlowcontrolV1().FlowSchemas()
	for _, verb := range allVerbs() {
		schema := a.flowSchema(namespace, verb)
		if _, err := schemas.Create(ctx, schema, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("have requests counted: %w", err)
		}
		t.Cleanup(func() { // the cluster may be one that stays
			if err := schemas.Delete(context.WithoutCancel(ctx), schema.Name, metav1.DeleteOptions{}); err != nil {
				t.Logf("delete FlowSchema %s: %v", schema.Name, err)
			}
		})
	}
	own, err := kubernetes.NewForConfig(a.config)
	if err != nil {
		return err
	}
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		if _, err := own.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{}); err != nil {
			return false, nil //nolint:nilerr // the right to it is not there yet
		}
		seen, err := requests(ctx, client, dispatched, "")
		return seen[a.name+"-list"] > 0, err
	})
}

// flowSchema is the requests of the account by a verb.
func (a *account) flowSchema(namespace, verb string) *flowcontrolv1.FlowSchema {
	rule := flowcontrolv1.PolicyRulesWithSubjects{Subjects: []flowcontrolv1.Subject{{
		Kind:           flowcontrolv1.SubjectKindServiceAccount,
		ServiceAccount: &flowcontrolv1.ServiceAccountSubject{Namespace: namespace, Name: a.name},
	}}}
	if verb == pingVerb {
		rule.NonResourceRules = []flowcontrolv1.NonResourcePolicyRule{{Verbs: []string{"*"}, NonResourceURLs: []string{"*"}}}
	} else {
		rule.ResourceRules = []flowcontrolv1.ResourcePolicyRule{{
			Verbs: []string{verb}, APIGroups: []string{"*"}, Resources: []string{"*"}, Namespaces: []string{"*"}, ClusterScope: true,
		}}
	}
	return &flowcontrolv1.FlowSchema{
		ObjectMeta: metav1.ObjectMeta{Name: schemaPrefix + a.name + "-" + verb},
		Spec: flowcontrolv1.FlowSchemaSpec{
			PriorityLevelConfiguration: flowcontrolv1.PriorityLevelConfigurationReference{Name: priorityLevel},
			MatchingPrecedence:         100, // before those of everybody
			DistinguisherMethod:        &flowcontrolv1.FlowDistinguisherMethod{Type: flowcontrolv1.FlowDistinguisherMethodByUserType},
			Rules:                      []flowcontrolv1.PolicyRulesWithSubjects{rule},
		},
	}
}

// schemaPrefix begins the names of the FlowSchemas: it is followed by the account
// and the verb.
const schemaPrefix = "bench-"

// The API server's counters of requests by FlowSchema.
const (
	dispatched = "apiserver_flowcontrol_dispatched_requests_total" // were taken up
	rejected   = "apiserver_flowcontrol_rejected_requests_total"   // were answered with 429
)

// counted is a line of the API server's metrics that counts requests of an account.
var counted = regexp.MustCompile(`(?m)^([a-z_]+)\{flow_schema="` + schemaPrefix + `([a-z-]+)",priority_level="([a-z-]+)".*\} (\S+)$`)

// requests gives how many requests the API server has taken up, or rejected, by
// account and verb, as in "ours-create": of one priority level, or with none of all.
func requests(ctx context.Context, client kubernetes.Interface, counter, level string) (map[string]float64, error) {
	text, err := client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the API server's metrics: %w", err)
	}
	return parseRequests(string(text), counter, level)
}

func parseRequests(metrics, counter, level string) (map[string]float64, error) {
	counts := map[string]float64{}
	for _, match := range counted.FindAllStringSubmatch(metrics, -1) {
		if match[1] != counter || level != "" && match[3] != level {
			continue
		}
		count, err := strconv.ParseFloat(match[4], 64)
		if err != nil {
			return nil, fmt.Errorf("read the API server's metrics: %w", err)
		}
		counts[match[2]] += count
	}
	return counts, nil
}
