package kube

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// A list that fails is told, unless the API server does not answer at all: who pings
// it says that.
func TestListsThatFailInAnOutage(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sign int
		told bool
	}{
		"away":             {http.StatusServiceUnavailable, false},
		"lists are denied": {http.StatusOK, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lists := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == signOfLife {
					w.WriteHeader(tc.sign)
					return
				}
				w.WriteHeader(http.StatusForbidden)
				select {
				case lists <- struct{}{}:
				case <-ctx.Done():
				}
			}))
			t.Cleanup(server.Close)
			var log bytes.Buffer
			c, err := New(&rest.Config{Host: server.URL}, Config{Namespace: "ns", Installation: "i"}, slog.New(slog.NewTextHandler(io.Discard, nil)))
			if err != nil {
				t.Fatal(err)
			}
			c.log = slog.New(slog.NewTextHandler(&log, nil))
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				c.keepListing(ctx, func(metav1.Object) {})
			}()
			<-lists
			<-lists // what came of the first has been logged
			cancel()
			<-ended
			if told := strings.Contains(log.String(), "listing Jobs failed"); told != tc.told {
				t.Errorf("told: %t, want %t:\n%s", told, tc.told, &log)
			}
		})
	}
}
