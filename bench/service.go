package bench

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/test/machine"
)

// The services.
const (
	manager  = "manager"
	jobapi   = "jobapi"
	webadmin = "webadmin"
)

// ready is what a service logs when it is there.
var ready = map[string]string{manager: "manager started", jobapi: "jobapi listens", webadmin: "webadmin listens"}

// patience is how long a service may take to start or to end.
const patience = time.Minute

// service is a process of jobnetes.
type service struct {
	*machine.Process
	kind string
	log  string
	port string // of gRPC or of pages; of a manager, none
}

// startService starts a service on a database and, unless it is nil, a cluster. It
// ends with the test.
func startService(t *testing.T, kind, dir string, settings []string) *service {
	t.Helper()
	var ports [2]string
	for i := range ports {
		port, err := machine.Port()
		if err != nil {
			t.Fatal(err)
		}
		ports[i] = fmt.Sprint(port)
	}
	s := &service{kind: kind, port: ports[0]}
	s.log = filepath.Join(dir, fmt.Sprintf("%s-%s.log", kind, s.port))
	cmd := exec.Command(binary(t), kind)
	key := "JOBNETES_" + strings.ToUpper(kind)
	if profiled(kind) {
		settings = slices.Concat(settings, []string{key + "_PPROF=true"})
		defer func() { s.keepProfiles(t, ports[1]) }()
	}
	cmd.Env = slices.Concat(settings, []string{
		key + "_BIND_ADDRESS=127.0.0.1", key + "_METRICS_PORT=" + ports[1],
		"JOBNETES_JOBAPI_PORT=" + s.port, "JOBNETES_JOBAPI_USERNAME=" + username, "JOBNETES_JOBAPI_PASSWORD=" + password,
		"JOBNETES_WEBADMIN_PORT=" + s.port, "JOBNETES_WEBADMIN_USERNAME=" + username, "JOBNETES_WEBADMIN_PASSWORD=" + password,
	})
	var err error
	if s.Process, err = machine.Start(cmd, s.log); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err = s.Await(ctx, func(context.Context) error {
		text, err := os.ReadFile(s.log)
		if err == nil && !strings.Contains(string(text), ready[kind]) {
			err = fmt.Errorf("it has not said: %s", ready[kind])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// end asks the service to end, as an upgrade would, and waits until it has.
func (s *service) end(ctx context.Context) error {
	if err := s.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return s.Wait(ctx)
}
