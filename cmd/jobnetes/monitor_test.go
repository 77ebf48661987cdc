package main

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestProfilesAreServedOnlyWhereTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	paths := []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline", "/debug/pprof/profile?seconds=1", "/debug/pprof/symbol", "/debug/pprof/trace?seconds=0.01"}
	cases := map[string]struct {
		profiled bool
		want     int
	}{
		"off": {false, http.StatusNotFound},
		"on":  {true, http.StatusOK},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mux := newMonitor(newReadiness(), tc.profiled)
			for _, path := range paths {
				answer := httptest.NewRecorder()
				mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
				if answer.Code != tc.want {
					t.Errorf("%s: got %d, want %d", path, answer.Code, tc.want)
				}
			}
			answer := httptest.NewRecorder()
			mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			if answer.Code != http.StatusOK {
				t.Errorf("/metrics: got %d", answer.Code)
			}
		})
	}
}
