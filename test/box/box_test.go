package box

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// starter is the environment variable that makes this test binary a process
// which starts a box, for TestNothingOutlivesTheStarter; its value is a folder.
const starter = "JOBNETES_TEST_BOX_STARTER"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == InitArg {
		os.Exit(Init(os.Args[2:]))
	}
	if dir := os.Getenv(starter); dir != "" {
		if _, err := Start(config(dir, mess(dir))); err != nil {
			panic(err)
		}
		select {}
	}
	os.Exit(m.Run())
}

func config(dir, script string) Config {
	return Config{
		Name: "jobnetes-test-" + filepath.Base(dir), Command: []string{"/bin/sh", "-ec", script}, Log: filepath.Join(dir, "log"),
		Env: []string{starter + "="},
	}
}

// mess is a script that makes what a box has to take with it: a mount, a route, a
// process in a cgroup, one that nobody waits for, and a changed sysctl. Its last
// act is to make the file ready.
func mess(dir string) string {
	return `mkdir ` + dir + `/mount; mount -t tmpfs jobnetes-mess ` + dir + `/mount
		mkdir -p /var/lib/jobnetes-mess /run/jobnetes-mess
		ip link add mess type veth peer name mess2
		for c in /sys/fs/cgroup/*/jobnetes-test-` + filepath.Base(dir) + ` /sys/fs/cgroup/jobnetes-test-` + filepath.Base(dir) + `; do
			test -d $c || continue; mkdir -p $c/a/b; done
		setsid sh -c 'sleep 987654 & exec sleep 987655' &
		echo 1 > /proc/sys/vm/overcommit_memory
		touch ` + dir + `/ready; exec sleep 987656`
}

// setup skips a test that root is needed for, and gives a folder whose base is
// unique on the machine.
func setup(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	dir, err := os.MkdirTemp("", "box")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // of a test that failed halfway
		_ = Clean("jobnetes-test-" + filepath.Base(dir))
		_ = os.RemoveAll(dir)
	})
	return dir
}

func TestABoxIsAMachineOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	cases := map[string]struct{ script, want string }{
		"processes":  {script: "ls -d /proc/[0-9]* | wc -l; true", want: "few"},
		"interfaces": {script: "ls /proc/sys/net/ipv4/conf | grep -v jobnetes | tr '\n' ' '", want: "all default lo "},
		"link":       {script: "ip route get 1.1.1.1 | head -1", want: "via 10.89."},
		"exit code":  {script: "exit 7", want: "exit status 7"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(dir+strings.ReplaceAll(name, " ", ""), tc.script)
			cfg.Log = filepath.Join(dir, name)
			b, err := Start(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ended := b.Wait(t.Context())
			if err := b.Stop(); err != nil {
				t.Error(err)
			}
			said, err := os.ReadFile(cfg.Log)
			if err != nil {
				t.Fatal(err)
			}
			got := string(said)
			if tc.want == "few" {
				if n, err := strconv.Atoi(strings.TrimSpace(got)); err != nil || n > 10 {
					t.Errorf("%q processes are seen in the box, want its own only", got)
				}
				return
			}
			if ended != nil {
				got += ended.Error()
			}
			if !strings.Contains(got, tc.want) {
				t.Errorf("got %q, want %q in it", got, tc.want)
			}
		})
	}
}

// The machine reaches the box, and the box the machine, at the link's addresses.
func TestTheLinkLeadsBothWays(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	near, err := net.Listen("tcp", "0.0.0.0:0") // the link's address is not known yet
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = near.Close() }()
	port := near.Addr().(*net.TCPAddr).Port
	b, err := Start(config(dir, `exec bash -c 'echo hello > /dev/tcp/'$(ip route show default | cut -d" " -f3)'/`+strconv.Itoa(port)+`'`))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
	}()
	if err := near.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	conn, err := near.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if from := conn.RemoteAddr().(*net.TCPAddr).IP.String() + "/30"; from != b.link.farAddress() {
		t.Errorf("the box comes from %s, want %s", from, b.link.farAddress())
	}
}

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	b, err := Start(config(dir, mess(dir)))
	if err != nil {
		t.Fatal(err)
	}
	await(t, func() error { return ready(dir) })
	if err := b.Stop(); err != nil {
		t.Error(err)
	}
	if err := leftOf(dir); err != nil {
		t.Error(err)
	}
	if _, err := net.InterfaceByName(b.link.name); err == nil {
		t.Errorf("interface %s is left", b.link.name)
	}
}

func TestNothingOutlivesTheStarter(t *testing.T) {
	t.Parallel()
	dir := setup(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), starter+"="+dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // if the test fails halfway
	await(t, func() error { return ready(dir) })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its error says that it was killed
	await(t, func() error { return errors.Join(Clean("jobnetes-test-"+filepath.Base(dir)), leftOf(dir)) })
}

// ready gives nil when the script mess has done all in dir.
func ready(dir string) error {
	_, err := os.Stat(filepath.Join(dir, "ready"))
	if err != nil {
		said, _ := os.ReadFile(filepath.Join(dir, "log"))
		err = fmt.Errorf("%w: the box says: %s", err, said)
	}
	return err
}

// leftOf says what a box that was started in dir has left on this machine.
func leftOf(dir string) error {
	var errs []error
	for _, path := range []string{"/var/lib/jobnetes-mess", "/run/jobnetes-mess"} {
		if _, err := os.Stat(path); err == nil {
			errs = append(errs, errors.New(path+" is left"))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || strings.Contains(string(mounts), dir) {
		errs = append(errs, errors.New("a mount is left"), err)
	}
	overcommit, err := os.ReadFile("/proc/sys/vm/overcommit_memory")
	if err != nil || string(overcommit) != "0\n" {
		errs = append(errs, errors.New("a sysctl is changed: "+string(overcommit)), err)
	}
	cgroups, err := filepath.Glob("/sys/fs/cgroup/*/jobnetes-test-" + filepath.Base(dir))
	if err != nil || len(cgroups) > 0 {
		errs = append(errs, errors.New("cgroups are left: "+strings.Join(cgroups, " ")), err)
	}
	return errors.Join(errs...)
}

// await polls what only another process can bring about.
func await(t *testing.T, ok func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
