package kube

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/client-go/rest"
)

// An API server that shuts down is not ready and serves; one without its etcd does
// not live.
func TestPing(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		ready, live int
		wantErr     bool
	}{
		"all is well":           {http.StatusOK, http.StatusOK, false},
		"it shuts down":         {http.StatusInternalServerError, http.StatusOK, false},
		"etcd is away":          {http.StatusInternalServerError, http.StatusInternalServerError, true},
		"it does not tell us":   {http.StatusForbidden, http.StatusForbidden, false},
		"it has no such answer": {http.StatusNotFound, http.StatusNotFound, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mux := http.NewServeMux()
			mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tc.ready) })
			mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(tc.live) })
			server := httptest.NewServer(mux)
			t.Cleanup(server.Close)
			c, err := New(&rest.Config{Host: server.URL}, Config{Namespace: "jobs"}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Ping(t.Context()); (err != nil) != tc.wantErr {
				t.Errorf("Ping: %v", err)
			}
		})
	}
}
