package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/jobnetes/jobnetes/test/machine"
)

// profiled says whether the profiles of a kind of service are kept: those of services
// that have any, if PROFILE is set.
func profiled(kind string) bool {
	return os.Getenv("PROFILE") != "" && kind != webadmin
}

// keepProfiles keeps in bench/out/profiles what takes the processor's time in the
// service: one profile after the other until the test ends, each of a few seconds.
// `go tool pprof` adds up as many as it is given.
func (s *service) keepProfiles(t *testing.T, port string) {
	const seconds = 5
	root, err := machine.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(root, "bench", "out", "profiles")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", net.JoinHostPort("127.0.0.1", port), seconds)
	prefix := fmt.Sprintf("%s-%s-%d", filepath.Base(t.Name()), s.kind, s.Pid())
	go func() {
		for n := 0; t.Context().Err() == nil; n++ {
			if err := download(t.Context(), url, filepath.Join(dir, fmt.Sprintf("%s-%03d.pprof", prefix, n))); err != nil {
				if t.Context().Err() == nil { // it may have been told to end
					slog.Info("no more profiles", "of", prefix, "error", err)
				}
				return
			}
		}
	}()
}

// download writes what is at url to a file.
func download(ctx context.Context, url, file string) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, answer.Status)
	}
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o600)
}
