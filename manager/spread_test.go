package manager

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/jobapi/token"
)

// How executions spread, second by second, over managers that have a clock of the
// test's and a database that is a map. Nothing but their polls and renewals happens.

// spreading is such a database, and its managers.
type spreading struct {
	Store
	t        *testing.T
	rand     *rand.Rand
	now      time.Time
	rows     map[uint64]*spreadRow
	beats    map[string]dao.Manager
	managers []*Manager
	phases   map[*Manager]int // tenths of a second
	moves    int              // claims of executions that had begun
	unheard  bool
	away     bool
}

type spreadRow struct {
	status dao.ExecutionStatus
	owner  string
	wake   time.Time
}

func newSpreading(t *testing.T, seed uint64) *spreading {
	t.Helper()
	return &spreading{
		t: t, rand: rand.New(rand.NewPCG(seed, 1)), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		rows: map[uint64]*spreadRow{}, beats: map[string]dao.Manager{}, phases: map[*Manager]int{},
	}
}

// join adds a manager, whose workers end each pass at once.
func (s *spreading) join() *Manager {
	s.t.Helper()
	tokens, err := token.NewTokens([]byte(strings.Repeat("k", token.MinKeyBytes)))
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := Config{Owner: fmt.Sprintf("m%d", len(s.managers)+1), Installation: "i1", Now: func() time.Time { return s.now }}
	m, err := New(cfg, s, newEndless(), tokens, slog.New(slog.DiscardHandler))
	if err != nil {
		s.t.Fatal(err)
	}
	go func() {
		for {
			id, ok := m.queue.take(s.t.Context(), trusted)
			if !ok {
				return
			}
			m.queue.done(id)
		}
	}()
	m.heartbeat(s.t.Context())
	s.managers, s.phases[m] = append(s.managers, m), s.rand.IntN(50)
	return m
}

// start adds n executions that are held by m, or that nobody holds yet.
func (s *spreading) start(n int, m *Manager) {
	for range n {
		id := uint64(len(s.rows) + 1)
		s.rows[id] = &spreadRow{status: dao.ExecutionScheduled, wake: s.now}
		if m != nil {
			m.hold(s.lease(m.cfg.Owner, s.now.Add(m.cfg.Lease), id))
		}
	}
	if m != nil {
		m.heartbeat(s.t.Context())
	}
}

func (s *spreading) lease(owner string, until time.Time, id uint64) dao.Lease {
	r := s.rows[id]
	r.status, r.owner, r.wake = dao.ExecutionRunning, owner, until
	return dao.Lease{ExecutionID: id, Owner: owner, Epoch: 1, Until: until}
}

// pass lets time go by in twentieths of a second. Each manager polls once in a
// second, and renews once in five, but not at the same instant.
func (s *spreading) pass(d time.Duration, managers ...*Manager) {
	for end := s.now.Add(d); s.now.Before(end); s.now = s.now.Add(time.Second / 20) {
		for _, i := range s.rand.Perm(len(managers)) {
			m := managers[i]
			switch tick := int(s.now.UnixMilli()/50) + 2*s.phases[m]; {
			case tick%20 == 0:
				m.poll(s.t.Context())
			case tick%100 == 5:
				m.renew(s.t.Context())
			}
		}
	}
}

func (s *spreading) waiting(status dao.ExecutionStatus, due time.Time) (ids []uint64) {
	for id := range uint64(len(s.rows)) {
		if r := s.rows[id+1]; r.status == status && !r.wake.After(due) {
			ids = append(ids, id+1)
		}
	}
	return ids
}

func (s *spreading) Due(_ context.Context, by dao.Claimant, now, alive time.Time) (d dao.Due, _ error) {
	d.Running = min(dao.DueLimit, len(s.waiting(dao.ExecutionRunning, now)))
	d.Scheduled = min(dao.DueLimit, len(s.waiting(dao.ExecutionScheduled, now)))
	for _, m := range s.beats {
		if m.Owner != by.Owner && m.SeenAt.After(alive) {
			d.Others++
			d.OthersHeld += m.Held
		}
	}
	return d, nil
}

func (s *spreading) claim(status dao.ExecutionStatus, owner string, due, until time.Time, limit int) (leases []dao.Lease, _ error) {
	ids := s.waiting(status, due)
	for _, id := range ids[:min(limit, len(ids))] {
		if status == dao.ExecutionRunning {
			s.moves++
		}
		leases = append(leases, s.lease(owner, until, id))
	}
	return leases, nil
}

func (s *spreading) ClaimRunning(_ context.Context, by dao.Claimant, due, until time.Time, limit int) ([]dao.Lease, error) {
	return s.claim(dao.ExecutionRunning, by.Owner, due, until, limit)
}

func (s *spreading) ClaimScheduled(_ context.Context, by dao.Claimant, due, until time.Time, limit int) ([]dao.Lease, error) {
	return s.claim(dao.ExecutionScheduled, by.Owner, due, until, limit)
}

func (s *spreading) Renew(_ context.Context, owner string, until time.Time) (leases []dao.Lease, _ error) {
	for id, r := range s.rows {
		if r.owner == owner {
			leases = append(leases, s.lease(owner, until, id))
		}
	}
	return leases, nil
}

func (s *spreading) Release(_ context.Context, leases []dao.Lease, now time.Time) error {
	for _, l := range leases {
		s.rows[l.ExecutionID].owner, s.rows[l.ExecutionID].wake = "", now
	}
	return nil
}

func (s *spreading) Heartbeat(_ context.Context, m dao.Manager) error {
	if !s.unheard {
		s.beats[m.Owner] = m
	}
	return nil
}

func (s *spreading) Ping(context.Context) error {
	if s.away {
		return dao.ErrUnavailable
	}
	return nil
}

// outage has the database be away for longer than a lease. Then all have noticed.
func (s *spreading) outage() {
	s.away = true
	for _, m := range s.managers {
		m.database.Look(s.t.Context())
	}
	s.now = s.now.Add(s.managers[0].cfg.Lease + 5*time.Second)
	s.away = false
}

// uneven says which manager holds over a tenth more or less than its share, if any.
func (s *spreading) uneven(managers ...*Manager) string {
	share := len(s.rows) / len(managers)
	for _, m := range managers {
		if n := m.count(); n > share+share/slack+1 || n < share-share/slack-1 {
			return fmt.Sprintf("%s holds %d of %d", m.cfg.Owner, n, len(s.rows))
		}
	}
	return ""
}

// What is given back for a newcomer goes to it, and to nobody else in between.
func TestNewcomerGetsItsShare(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		s := newSpreading(t, seed)
		for range 3 {
			s.start(100, s.join())
		}
		s.pass(10*time.Second, s.managers...)
		s.join()
		s.pass(12*time.Second, s.managers...)
		if who := s.uneven(s.managers...); who != "" {
			t.Errorf("seed %d: %s", seed, who)
		}
		if s.moves > 75 {
			t.Errorf("seed %d: %d moves, want at most 75", seed, s.moves)
		}
		before := s.moves
		s.pass(time.Minute, s.managers...)
		if s.moves > before {
			t.Errorf("seed %d: %d moves more, though all is even", seed, s.moves-before)
		}
	}
}

// Executions of a manager that has died go to the others evenly, each once; and so
// does a burst of new ones.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		s := newSpreading(t, seed)
		for range 4 {
			s.start(150, s.join())
		}
		left := s.managers[1:]
		s.pass(20*time.Second, left...)
		if who := s.uneven(left...); who != "" || s.moves != 150 {
			t.Errorf("seed %d: a manager has died: %s; %d moves, want 150", seed, who, s.moves)
		}
		s.start(300, nil)
		s.pass(2*time.Second, left...)
		if who := s.uneven(left...); who != "" || s.moves != 150 {
			t.Errorf("seed %d: a burst: %s; %d moves, want 150", seed, who, s.moves)
		}
	}
}

// After an outage, living managers go on with what they held, whoever notices the
// return first, and what a dead one held goes to them soon.
func TestOutagesMoveNothing(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		s := newSpreading(t, seed)
		for range 3 {
			s.start(100, s.join())
		}
		for range 5 {
			s.outage()
			for i, m := range s.managers { // one after the other notices
				m.database.Look(t.Context())
				s.start(1, nil)
				s.pass(time.Second, s.managers[:i+1]...)
			}
			s.pass(20*time.Second, s.managers...)
		}
		if who := s.uneven(s.managers...); who != "" || s.moves > 0 {
			t.Errorf("seed %d: all live: %s; %d moves, want none", seed, who, s.moves)
		}
		if left := s.waiting(dao.ExecutionScheduled, s.now); len(left) > 0 {
			t.Errorf("seed %d: executions %v wait", seed, left)
		}
		s.outage()
		left := s.managers[1:]
		for _, m := range left {
			m.database.Look(t.Context())
		}
		dead := s.managers[0].count()
		s.pass(settleTime+2*time.Second, left...)
		if who := s.uneven(left...); who != "" || s.moves != dead {
			t.Errorf("seed %d: one has died: %s; %d moves, want %d", seed, who, s.moves, dead)
		}
	}
}

// A start is claimed by the second poll of those that can, whatever the managers
// hold, and believe of each other.
func TestStartWaitsForTwoPolls(t *testing.T) {
	t.Parallel()
	cases := map[string]func(s *spreading) (polling []*Manager){
		"all is well": func(s *spreading) []*Manager { return s.managers },
		"nobody is told of the claims of others": func(s *spreading) []*Manager {
			s.unheard = true
			for _, m := range s.managers {
				s.start(50, m)
			}
			return s.managers
		},
		"nobody is told of ends": func(s *spreading) []*Manager {
			for _, m := range s.managers {
				s.start(50, m)
			}
			s.unheard = true
			for _, m := range s.managers {
				for _, h := range m.all() {
					s.rows[h.lease.ExecutionID] = &spreadRow{status: dao.ExecutionFailed}
					m.drop(h)
				}
			}
			return s.managers
		},
		"the others have died just now": func(s *spreading) []*Manager {
			s.start(50, s.managers[0])
			return s.managers[:1]
		},
		"the others are full": func(s *spreading) []*Manager {
			s.start(50, s.managers[0])
			s.managers[1].cfg.MaxExecutions, s.managers[2].cfg.MaxExecutions = 0, 0
			return s.managers
		},
	}
	for name, prepare := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(10) {
				s := newSpreading(t, seed)
				for range 3 {
					s.join()
				}
				polling := prepare(s)
				s.pass(time.Duration(s.rand.IntN(10))*time.Second/10, polling...)
				for n := range 20 {
					s.start(1+n%3, nil)
					s.pass(2*time.Second, polling...)
					if left := s.waiting(dao.ExecutionScheduled, s.now); len(left) > 0 {
						t.Fatalf("seed %d: executions %v wait after two polls", seed, left)
					}
				}
			}
		})
	}
}
