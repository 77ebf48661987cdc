package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/db"
	"github.com/jobnetes/jobnetes/setting"
	"github.com/jobnetes/jobnetes/test/machine"
)

// The pages need no cluster, but for pods and logs.
func TestWebadminWithoutACluster(t *testing.T) {
	t.Parallel()
	port, err := machine.Port()
	if err != nil {
		t.Fatal(err)
	}
	s := setting.Settings{
		DB:       setting.DB{Driver: db.SQLite, Path: filepath.Join(t.TempDir(), "x.db")},
		K8s:      setting.K8s{Mode: setting.ModeCluster, JobNamespace: "default", ConfigPath: filepath.Join(t.TempDir(), "nowhere")},
		Webadmin: setting.Webadmin{BindAddress: "127.0.0.1", Port: port, Username: "u", Password: "p"},
	}
	gdb, err := db.Open(t.Context(), dbConfig(s))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Migrate(t.Context(), gdb); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(gdb); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runWebadmin(ctx, s, slog.New(slog.DiscardHandler)) }()
	for answered := false; !answered; time.Sleep(10 * time.Millisecond) {
		select {
		case err := <-ended:
			t.Fatalf("webadmin has ended: %v", err)
		default:
		}
		res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readyz", port))
		if err != nil {
			continue // it does not listen yet
		}
		if err := res.Body.Close(); err != nil {
			t.Fatal(err)
		}
		answered = res.StatusCode == http.StatusOK // 503: it has not opened its database yet
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("webadmin: %v", err)
	}
}
