// Package reach tells whether what a service cannot work without, the database
// or the API server, can be reached. It asks once a second, unless it has just
// answered somebody else (Answered), whatever else goes on, so that nobody has to
// conclude from an error of one call that all would fail; nobody else needs to ask
// while the answer is no; and who waits goes on within a second of the return.
package reach

import (
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"
)

const (
	// defaultInterval is the time between two looks.
	defaultInterval = time.Second
	// doubts is how many looks there are in an interval at the most, if Doubt asks for them.
	doubts = 10
	// timeout bounds one look: what answers later than this is as good as away.
	timeout = 3 * time.Second
	// failuresToCut is after how many looks that failed in a row calls under way
	// are given up: the first may have waited for them.
	failuresToCut = 2
)

// Config says what to ask. Name, Ping and Log are required.
type Config struct {
	// Name is the thing's name in reports and logs, such as "database".
	Name string
	// Ping asks it for a sign of life, once.
	Ping func(ctx context.Context) error
	// Changed, if any, is called when it is found to answer, with nil, or to be
	// away, with the reason: after the first look and then when the answer is a new
	// one, one call at a time. Err says so already.
	Changed func(ctx context.Context, err error)
	// Interval is the time between two looks. Default: 1 s.
	Interval time.Duration
	// WhileWell is the same while it answers. Default: Interval.
	WhileWell time.Duration
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	Log *slog.Logger
}

// Probe is what is known of one thing. Make it with New.
type Probe struct {
	cfg   Config
	doubt chan struct{} // has room for one
	early time.Duration // how much earlier than after an interval it looks

	looking sync.Mutex // held by the look under way

	mu       sync.Mutex
	known    bool      // there was a look
	enough   time.Time // until then Run need not look
	failures int       // in a row
	away     *AwayError
	reach    context.Context // ends, with its cause, when calls under way are to be given up
	cut      context.CancelCauseFunc
}

// AwayError says that something does not answer, since when and why.
type AwayError struct {
	Name  string
	Since time.Time
	Err   error // of the last look
}

// Error says it.
func (e *AwayError) Error() string {
	return fmt.Sprintf("the %s has been away since %s: %v", e.Name, e.Since.UTC().Format(time.RFC3339), e.Err)
}

// Unwrap returns the reason.
func (e *AwayError) Unwrap() error { return e.Err }

// New returns a Probe, which knows nothing before the first look, of Run or Look.
func New(cfg Config) *Probe {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Interval == 0 {
		cfg.Interval = defaultInterval
	}
	if cfg.WhileWell == 0 {
		cfg.WhileWell = cfg.Interval
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(cfg.Name))
	const parts = 1000
	p := &Probe{cfg: cfg, doubt: make(chan struct{}, 1), early: cfg.Interval / 10 * time.Duration(h.Sum32()%parts) / parts}
	p.reach, p.cut = context.WithCancelCause(context.Background())
	return p
}

// Run looks at once, then once in each interval, a little earlier by the name, so that
// what is asked for does not march in step, until ctx ends. It returns why that was.
func (p *Probe) Run(ctx context.Context) error {
	var looked time.Time // when the last look ended
	for ctx.Err() == nil {
		wait := p.untilDue()
		if wait <= 0 {
			p.Look(ctx)
			looked, wait = time.Now(), p.interval()-p.early
		}
		next := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-next.C:
		case <-p.doubt:
			p.Answered(0)
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(looked.Add(p.cfg.Interval / doubts))):
			}
		}
		next.Stop()
	}
	return ctx.Err()
}

// Doubt has Run look soon, without waiting for it: a call has failed for a
// reason that may be everybody's.
func (p *Probe) Doubt() {
	select {
	case p.doubt <- struct{}{}:
	default:
	}
}

// Answered says that it has just answered somebody else, all that Ping asks for: for
// that long Run need not look. While it is away, Run looks all the same.
func (p *Probe) Answered(enough time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.enough = time.Now().Add(enough)
}

func (p *Probe) interval() time.Duration {
	if p.Err() != nil {
		return p.cfg.Interval
	}
	return p.cfg.WhileWell
}

// untilDue returns for how long Run need not look; zero, or less: it is to look now.
func (p *Probe) untilDue() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.known || p.away != nil {
		return 0
	}
	return time.Until(p.enough)
}

// Look asks once and notes the answer. It logs only what is new.
func (p *Probe) Look(ctx context.Context) {
	p.looking.Lock()
	defer p.looking.Unlock()
	at := p.cfg.Now()
	ping, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := p.cfg.Ping(ping)
	switch {
	case err == nil:
		p.answered(ctx)
	case ctx.Err() == nil: // else it was cut off, and tells nothing
		p.failed(ctx, at, err)
	}
}

func (p *Probe) answered(ctx context.Context) {
	p.mu.Lock()
	was, isNew := p.away, !p.known || p.away != nil
	p.known, p.failures, p.away = true, 0, nil
	if p.reach.Err() != nil {
		p.reach, p.cut = context.WithCancelCause(context.Background())
	}
	p.mu.Unlock()
	if was != nil {
		p.cfg.Log.InfoContext(ctx, "the "+p.cfg.Name+" answers again", "away_since", was.Since, "away_for", p.cfg.Now().Sub(was.Since).Round(time.Second).String())
	}
	if isNew && p.cfg.Changed != nil {
		p.cfg.Changed(ctx, nil)
	}
}

func (p *Probe) failed(ctx context.Context, at time.Time, err error) {
	p.mu.Lock()
	isNew := p.away == nil
	if !isNew {
		at = p.away.Since
	}
	p.known, p.away = true, &AwayError{Name: p.cfg.Name, Since: at, Err: err}
	if p.failures++; p.failures == failuresToCut {
		p.cut(p.away)
	}
	p.mu.Unlock()
	if !isNew {
		return
	}
	p.cfg.Log.ErrorContext(ctx, "the "+p.cfg.Name+" is away: what needs it waits until it answers", "error", err)
	if p.cfg.Changed != nil {
		p.cfg.Changed(ctx, err)
	}
}

// Err returns nil, or an *AwayError while it does not answer. Before the first
// look it is nil.
func (p *Probe) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away == nil {
		return nil
	}
	return p.away
}

// While returns a context that also ends, with an *AwayError as its cause, when
// two looks in a row have failed: what is under way then may hang for long.
func (p *Probe) While(ctx context.Context) (context.Context, context.CancelFunc) {
	p.mu.Lock()
	reach := p.reach
	p.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(reach, func() { cancel(context.Cause(reach)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}
