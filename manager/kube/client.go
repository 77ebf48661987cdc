package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Config says which cluster, and where in it.
type Config struct {
	// InCluster uses the service account of the pod that this runs in.
	InCluster bool
	// ConfigPath is a kubeconfig file; empty: $KUBECONFIG or ~/.kube/config.
	ConfigPath string
	// MasterURL replaces the server of the kubeconfig.
	MasterURL string
	// Namespace is where the Jobs are.
	Namespace string
	// Installation is the value of LabelInstallation on the Jobs to watch; only
	// Run needs it.
	Installation string
	// RelistInterval is how often all Jobs are listed beside the watch, which may
	// lose events, or go dead without a word; default 30 s.
	RelistInterval time.Duration
}

const (
	defaultRelist  = 30 * time.Second
	requestTimeout = 30 * time.Second
)

// Client is the Jobs of one namespace of a cluster.
type Client struct {
	api    kubernetes.Interface
	cfg    Config
	log    *slog.Logger
	cached *cache
	// succeeded is what the watch on pods has told.
	succeeded *successes
	indexes   *indexes
	pings     *pings
}

// RESTConfig returns how to reach the cluster.
func RESTConfig(cfg Config) (*rest.Config, error) {
	var (
		rc  *rest.Config
		err error
	)
	if cfg.InCluster {
		rc, err = rest.InClusterConfig()
	} else {
		rules := clientcmd.NewDefaultClientConfigLoadingRules()
		rules.ExplicitPath = cfg.ConfigPath
		overrides := &clientcmd.ConfigOverrides{}
		overrides.ClusterInfo.Server = cfg.MasterURL
		rc, err = clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
	}
	if err != nil {
		return nil, fmt.Errorf("find the Kubernetes cluster (k8s.in-cluster=%t, k8s.config-path=%q): %w", cfg.InCluster, cfg.ConfigPath, err)
	}
	return rc, nil
}

// New returns a client of that cluster. It does not connect yet. What the API
// server warns of goes to log.
func New(rc *rest.Config, cfg Config, log *slog.Logger) (*Client, error) {
	if cfg.Namespace == "" {
		return nil, errors.New("k8s.job-namespace is empty: name the namespace that Jobs run in")
	}
	if cfg.RelistInterval == 0 {
		cfg.RelistInterval = defaultRelist
	}
	rc = rest.CopyConfig(rc)
	// It costs both sides much less than JSON.
	rc.ContentType, rc.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	rc.WarningHandlerWithContext = warnings{log}
	// client-go's default of 5 requests a second would be what limits a workflow
	// engine; what the API server bears, the throttle finds out.
	rc.QPS, rc.RateLimiter = -1, nil
	rc.Wrap(func(next http.RoundTripper) http.RoundTripper { return newThrottle(next, log) })
	dialer := newDialer(rc)
	rc.Dial = dialer.DialContext
	shared, err := rest.HTTPClientFor(rc)
	if err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	api, err := kubernetes.NewForConfigAndClient(rc, shared)
	if err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	pings, err := newPings(rc, shared, dialer)
	if err != nil {
		return nil, fmt.Errorf("make a Kubernetes client: %w", err)
	}
	return &Client{api: api, cfg: cfg, log: log, cached: newCache(), succeeded: newSuccesses(), indexes: newIndexes(), pings: pings}, nil
}

// jobKey is the key of a context's value: the name of the Job that a request is
// about.
type jobKey struct{}

// warnings logs what the API server says beside an answer, such as that the pods
// of a Job that it has accepted will be refused (Pod Security).
type warnings struct{ log *slog.Logger }

// persistentWarning is the only code of a warning that the API server sends (RFC
// 7234, 5.5.7).
const persistentWarning = 299

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (w warnings) HandleWarningHeaderWithContext(ctx context.Context, code int, _, text string) {
	if code != persistentWarning || text == "" {
		return
	}
	attrs := []slog.Attr{slog.String("warning", text)}
	if job, ok := ctx.Value(jobKey{}).(string); ok {
		attrs = append(attrs, slog.String("job", job))
	}
	w.log.LogAttrs(ctx, slog.LevelWarn, "the Kubernetes API server warns", attrs...)
}

// Create submits a Job; see manager.Jobs.
func (c *Client) Create(ctx context.Context, job *batchv1.Job) (*batchv1.Job, error) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, jobKey{}, job.Name), requestTimeout)
	defer cancel()
	created, err := c.api.BatchV1().Jobs(c.cfg.Namespace).Create(ctx, job, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		return nil, err
	}
	// Its pod may be seen to succeed before the watch tells of the Job. If the Job is gone
	// already, and the watch has said so, the next list says so again.
	c.cached.put(created)
	return created, nil
}

// Get reads a Job; see manager.Jobs.
func (c *Client) Get(ctx context.Context, name string) (*batchv1.Job, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return c.api.BatchV1().Jobs(c.cfg.Namespace).Get(ctx, name, metav1.GetOptions{})
}

// Cached returns what the watch last said of a Job; see manager.Jobs.
func (c *Client) Cached(name string) *batchv1.Job { return c.cached.get(name) }

// Quiet says whether a Job has nothing to look at; see manager.Jobs.
func (c *Client) Quiet(name string, uid types.UID) bool {
	return c.cached.quiet(name, uid) && c.succeeded.get(uid) == nil
}

// List returns the Jobs that the watch knows; see manager.Jobs.
func (c *Client) List() []*batchv1.Job { return c.cached.list() }

// Delete removes a Job and its pods; see manager.Jobs.
func (c *Client) Delete(ctx context.Context, name string, uid types.UID) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	background := metav1.DeletePropagationBackground
	opts := metav1.DeleteOptions{PropagationPolicy: &background}
	if uid != "" {
		opts.Preconditions = &metav1.Preconditions{UID: &uid}
	}
	err := c.api.BatchV1().Jobs(c.cfg.Namespace).Delete(ctx, name, opts)
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // gone, or another one by that name
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete Job %s: %w", where(c.cfg.Namespace, name), err)
	}
	return nil
}
