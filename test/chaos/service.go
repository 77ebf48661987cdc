package chaos

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jobnetes/jobnetes/test/machine"
)

const (
	startPatience = time.Minute      // for a service to be there, when nothing is wrong
	stopPatience  = 45 * time.Second // for one to end after SIGTERM: passes in hand have 20 s
	maxPeakMB     = 400              // of memory that one may use
)

// service is a manager or a jobapi that is always started again, as Kubernetes
// would do, and does not live long.
type service struct {
	name string // such as manager1
	kind string // manager or jobapi: the command
	said string // in its log once it has started
	env  []string
	logs string // folder

	report   *report
	builds   func(previous bool) build // which to start
	starting func(build)               // is called before each start, unless it is nil
	healed   func() bool               // whether nothing is wrong any more
	rng      *rand.Rand

	starts  int
	build   build
	process *machine.Process // nil: not running
	log     string           // of the process
	sound   bool             // nothing was wrong when it was started
}

// act is what befalls a service next. The seed alone decides it.
type act struct {
	after    time.Duration // it has run for so long
	signal   syscall.Signal
	lasts    time.Duration // until it is started again, or continued
	previous bool          // it is started again with the previous build
}

func (s *service) next() act {
	a := act{
		after:    time.Second + time.Duration(s.rng.Int64N(int64(9*time.Second))),
		signal:   syscall.SIGKILL,
		lasts:    time.Duration(s.rng.Int64N(int64(3 * time.Second))),
		previous: s.rng.IntN(2) == 0,
	}
	switch n := s.rng.IntN(10); {
	case n < 3:
		a.signal = syscall.SIGSTOP
		a.lasts = lease + time.Duration(s.rng.Int64N(int64(2*lease)))
	case n < 4:
		a.signal = syscall.SIGTERM
	}
	return a
}

// live runs the service until life ends, and has its acts befall it until faults
// ends; from then on it is of the present build. At last it asks it to end, which it
// must.
func (s *service) live(faults, life context.Context) {
	for life.Err() == nil {
		a := s.next()
		if s.process == nil && !s.start(s.builds(a.previous && faults.Err() == nil)) {
			return
		}
		select {
		case <-s.process.Done():
			s.endedByItself()
			wait(life, time.Second)
		case <-life.Done():
		case <-faults.Done():
			if s.build != s.builds(false) { // the upgrade comes to its end
				s.terminate()
				continue
			}
			select {
			case <-s.process.Done():
			case <-life.Done():
			}
		case <-time.After(a.after):
			s.befall(faults, a)
		}
	}
	if s.process != nil {
		s.terminate()
	}
}

func (s *service) start(b build) bool {
	if s.starting != nil {
		s.starting(b)
	}
	s.starts++
	s.log = filepath.Join(s.logs, fmt.Sprintf("%s-%03d-%s.log", s.name, s.starts, b.name))
	cmd := exec.Command(b.path, s.kind)
	cmd.Env = s.env
	process, err := machine.Start(cmd, s.log)
	if err != nil {
		s.report.problem("%s: %v", s.name, err)
		return false
	}
	s.report.count(func(r *Result) {
		r.Starts[b.name]++
		if s.build.name != "" && s.build.name != b.name {
			r.Upgrades++
		}
	})
	s.report.history.Info("a service is started", "service", s.name, "build", b.name, "pid", process.Pid())
	s.process, s.build, s.sound = process, b, s.healed()
	return true
}

// await waits until the service says that it is there.
func (s *service) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	return s.process.Await(ctx, func(context.Context) error {
		if !s.hasStarted() {
			return fmt.Errorf("%s has not said: %s", s.name, s.said)
		}
		return nil
	})
}

func (s *service) hasStarted() bool {
	text, err := os.ReadFile(s.log)
	return err == nil && strings.Contains(string(text), s.said)
}

// befall has the service suffer an act.
func (s *service) befall(faults context.Context, a act) {
	s.measure()
	s.report.history.Info("a service suffers", "service", s.name, "signal", a.signal.String(), "for", a.lasts.String())
	switch a.signal {
	case syscall.SIGSTOP:
		if err := s.process.Signal(syscall.SIGSTOP); err != nil {
			return // has just ended by itself
		}
		s.report.count(func(r *Result) { r.Pauses++ })
		wait(faults, a.lasts)
		_ = s.process.Signal(syscall.SIGCONT)
		return
	case syscall.SIGTERM:
		s.report.count(func(r *Result) { r.Terms++ })
		s.terminate()
	default:
		s.report.count(func(r *Result) { r.Kills++ })
		s.process.Kill()
		s.read()
		s.process = nil
	}
	wait(faults, a.lasts)
}

// terminate asks the service to end, which it must do in time and without an error.
func (s *service) terminate() {
	s.measure()
	started := s.hasStarted()
	_ = s.process.Signal(syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	asked := time.Now()
	if err := s.process.Wait(ctx); err != nil && started { // one that has not started may be cut off
		s.report.problem("%s (%s) was asked to end, %s ago: %v", s.name, s.build.name, time.Since(asked).Round(time.Millisecond), err)
	}
	s.read()
	s.process = nil
}

// endedByItself judges a service that nobody has ended. It may give up while it
// starts and the database is away: then it is started again.
func (s *service) endedByItself() {
	switch err := s.process.Err(); {
	case s.hasStarted():
		s.report.problem("%s (%s) ended by itself: %v", s.name, s.build.name, err)
	case s.sound:
		s.report.problem("%s (%s) cannot start, although nothing is wrong: %v", s.name, s.build.name, err)
	default:
		s.report.count(func(r *Result) { r.FailedStarts++ })
	}
	s.read()
	s.process = nil
}

// dying matches what a Go program, or the manager of a pass, says when it panics.
var dying = regexp.MustCompile(`^(panic: |fatal error: )|"msg":"panic`)

// read looks for what must not be in the log of a process that has ended.
func (s *service) read() {
	file, err := os.Open(s.log)
	if err != nil {
		s.report.problem("read the log of %s: %v", s.name, err)
		return
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		if dying.Match(lines.Bytes()) {
			s.report.problem("%s (%s): %s: see %s", s.name, s.build.name, lines.Text(), s.log)
			return
		}
	}
}

// measure notes how much memory the process has used at the most.
func (s *service) measure() {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.process.Pid()))
	if err != nil {
		return // it has just ended
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kB, _ := strconv.Atoi(strings.Fields(value)[0])
			s.report.count(func(r *Result) { r.PeakMB[s.kind] = max(r.PeakMB[s.kind], kB>>10) })
			if kB>>10 > maxPeakMB {
				s.report.problem("%s (%s) has used %d MB of memory", s.name, s.build.name, kB>>10)
			}
		}
	}
}
