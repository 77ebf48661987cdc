package chaos

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"
)

// server is a server that can be killed and started again, with what it has
// confirmed.
type server struct {
	name   string
	kill   func()
	revive func(context.Context) error
}

// between gives a random duration.
func between(rng *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(rng.Int64N(int64(to-from)))
}

// breakServers kills one of the servers after the other and starts it again, until
// faults ends. ctx bounds the starts.
func breakServers(faults, ctx context.Context, rng *rand.Rand, r *report, servers ...server) {
	for _, s := range servers {
		r.count(func(r *Result) { r.OutagesOf[s.name] += 0 }) // one that is never killed is told, too
	}
	for {
		s := servers[rng.IntN(len(servers))]
		wait(faults, between(rng, 10*time.Second, 40*time.Second))
		away := between(rng, 100*time.Millisecond, 8*time.Second)
		if rng.IntN(5) == 0 {
			away *= 3
		}
		if faults.Err() != nil {
			return
		}
		r.history.Info("a server is killed", "server", s.name, "for", away.String())
		s.kill()
		r.count(func(r *Result) { r.Outages++; r.OutagesOf[s.name]++ })
		wait(faults, away)
		if err := s.revive(ctx); err != nil {
			r.problem("%s does not start again: %v", s.name, err)
			return
		}
		r.history.Info("a server is back", "server", s.name)
	}
}

// breakWires has wires suffer faults until faults ends, several at a time.
func breakWires(ctx context.Context, rng *rand.Rand, r *report, wires []*wire) {
	var suffering sync.WaitGroup
	defer suffering.Wait()
	for {
		wait(ctx, between(rng, 500*time.Millisecond, 3*time.Second))
		w := wires[rng.IntN(len(wires))]
		kind := fault(1 + rng.IntN(int(faults)-1))
		lasts := between(rng, 200*time.Millisecond, 6*time.Second)
		if rng.IntN(8) == 0 {
			lasts *= 3
		}
		if ctx.Err() != nil {
			return
		}
		suffering.Go(func() {
			r.history.Info("a wire is broken", "wire", w.name, "fault", kind.String(), "for", lasts.String())
			if w.suffer(ctx, kind, lasts) {
				r.count(func(r *Result) { r.Connections[kind.String()]++ })
			}
		})
	}
}
