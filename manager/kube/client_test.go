package kube

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/client-go/rest"
)

// What the API server warns of when a Job is created reaches the log with the
// Job's name.
func TestWarnings(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Warning", `299 - "would violate PodSecurity \"restricted:latest\""`)
		w.Header().Add("Warning", `199 - "not meant for people"`)
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = fmt.Fprint(w, `{"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "nightly-extract-1-1"}}`)
	}))
	t.Cleanup(server.Close)
	var log bytes.Buffer
	rc := &rest.Config{Host: server.URL}
	c, err := New(rc, Config{Namespace: "jobs"}, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if rc.WarningHandlerWithContext != nil {
		t.Error("the caller's configuration was changed")
	}
	job := &batchv1.Job{}
	job.Name = "nightly-extract-1-1"
	if _, err := c.Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	wantWarning(t, &log, "job=nightly-extract-1-1")
	if _, err := c.Get(t.Context(), job.Name); err != nil {
		t.Fatal(err)
	}
	wantWarning(t, &log, "")
}

// wantWarning takes what was logged, which is to be one warning about a Job;
// empty: it does not say about which.
func wantWarning(t *testing.T, log *bytes.Buffer, job string) {
	t.Helper()
	text := log.String()
	log.Reset()
	if strings.Count(text, "\n") != 1 || !strings.Contains(text, "level=WARN") || !strings.Contains(text, "would violate PodSecurity") ||
		!strings.Contains(text, job) || strings.Contains(text, "job=") != (job != "") {
		t.Errorf("the log says %q, want a warning with %q", text, job)
	}
}
