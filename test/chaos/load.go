package chaos

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "github.com/jobnetes/jobnetes/proto"
)

const (
	callTimeout = 5 * time.Second
	startEvery  = 350 * time.Millisecond // on average
	maxOpen     = 60                     // executions that have not ended
)

// client starts executions as users' programs should: with a request_id, again
// until there is an answer, at any jobapi. It cancels some of them.
type client struct {
	report   *report
	jobapis  []pb.JobapiClient
	db       *sql.DB // for what is done by SQL
	username string
	password string
	// upgraded is closed when the last jobapi is of the present build, and stays so.
	// What the previous build does not know, priorities and cancelling, is asked of
	// that one only, from then on: an older one would leave a priority out without a
	// word.
	upgraded chan struct{}

	mu     sync.Mutex
	starts []start
}

// start is a start that has been acknowledged.
type start struct {
	request   string
	execution uint64
	shape     shape
	value     int
	priority  int32
	cancel    time.Duration // after which it is cancelled; 0: it is not
	cancelled bool          // that was acknowledged
	twice     bool          // each call is made twice, as by a client that has forgotten
}

func dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// passes says whether a call may succeed when it is made again.
func passes(err error) bool {
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded
}

// persist makes a call, at one of the jobapis after the other, until it succeeds.
// What does not pass is a problem; ctx ending is, too.
func (c *client) persist(ctx context.Context, what string, jobapis []pb.JobapiClient, call func(context.Context, pb.JobapiClient) error) bool {
	for try := rand.IntN(len(jobapis)); ; try++ { // whichever: the seed does not decide it
		attempt, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "username", c.username, "password", c.password), callTimeout)
		err := call(attempt, jobapis[try%len(jobapis)])
		cancel()
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil:
			c.report.lost("%s: no answer until the end: %v", what, err)
			return false
		case !passes(err):
			c.report.problem("%s: %v", what, err)
		}
		pause(ctx)
	}
}

// pause waits for a while before something is tried again.
func pause(ctx context.Context) {
	wait(ctx, 50*time.Millisecond+time.Duration(rand.Int64N(int64(450*time.Millisecond))))
}

// newest is the jobapi that knows what the previous build does not.
func (c *client) newest() []pb.JobapiClient { return c.jobapis[len(c.jobapis)-1:] }

// apply applies the workflows.
func (c *client) apply(ctx context.Context) bool {
	for _, s := range shapes {
		if s.corrupt {
			if _, err := c.db.ExecContext(ctx, "INSERT INTO workflows (name, definition, user_id) VALUES (?, ?, 1)", s.name, s.definition()); err != nil {
				c.report.problem("insert workflow %s: %v", s.name, err)
				return false
			}
			continue
		}
		if !c.persist(ctx, "apply "+s.name, c.jobapis, func(ctx context.Context, jobapi pb.JobapiClient) error {
			_, err := jobapi.ApplyWorkflow(ctx, &pb.ApplyWorkflowRequest{Definition: s.definition()})
			return err
		}) {
			return false
		}
	}
	return true
}

// run starts executions until faults ends, and returns when each has been
// acknowledged. open says how many have not ended; ctx bounds it all.
func (c *client) run(faults, ctx context.Context, rng *rand.Rand, open func(context.Context) (int, error)) {
	var starting sync.WaitGroup
	defer starting.Wait()
	for n := 0; faults.Err() == nil; n++ {
		s := draw(n, rng)
		starting.Go(func() { c.play(ctx, s) })
		wait(faults, between(rng, 0, 2*startEvery))
		for faults.Err() == nil {
			if count, err := open(ctx); err == nil && count < maxOpen {
				break
			}
			wait(faults, startEvery) // the database is away, or managers do not keep up
		}
	}
}

// draw makes up a start.
func draw(n int, rng *rand.Rand) start {
	s := start{
		request: fmt.Sprint("start-", n), shape: shapes[rng.IntN(len(shapes))], value: rng.IntN(10),
		priority: int32(max(0, rng.IntN(4)-1)) * 10, twice: n%5 == 0,
	}
	if wanted := rng.IntN(8) == 0; (wanted || s.shape.endless()) && !s.shape.corrupt {
		s.cancel = between(rng, 100*time.Millisecond, 6*time.Second)
	}
	return s
}

// play starts an execution, and cancels it if it is to.
func (c *client) play(ctx context.Context, s start) {
	begin := c.start
	if s.shape.corrupt {
		begin = c.insert
	}
	if !begin(ctx, &s) {
		return
	}
	if s.cancel > 0 {
		c.cancel(ctx, &s)
	}
	c.add(s)
}

// add notes a start that was acknowledged.
func (c *client) add(s start) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starts = append(c.starts, s)
}

func (c *client) start(ctx context.Context, s *start) bool {
	jobapis := c.newest()
	select {
	case <-c.upgraded:
	default:
		s.priority = 0
	}
	if s.priority == 0 {
		jobapis = c.jobapis
	}
	return c.persists(ctx, s, s.request, jobapis, func(ctx context.Context, jobapi pb.JobapiClient) error {
		answer, err := jobapi.StartWorkflow(ctx, &pb.WorkflowStartRequest{
			WorkflowName: s.shape.name, RequestId: s.request, Input: s.input(), Priority: s.priority,
		})
		if err != nil {
			return err
		}
		if id := answer.GetId(); s.execution != 0 && s.execution != id {
			c.report.doubled("%s was execution %d, and now is %d", s.request, s.execution, id)
		}
		s.execution = answer.GetId()
		return nil
	})
}

// persists persists, once more if it is to.
func (c *client) persists(ctx context.Context, s *start, what string, jobapis []pb.JobapiClient, call func(context.Context, pb.JobapiClient) error) bool {
	return c.persist(ctx, what, jobapis, call) && (!s.twice || c.persist(ctx, what+" again", jobapis, call))
}

func (s *start) input() []byte { return fmt.Appendf(nil, `{"value": %d}`, s.value) }

// insert starts an execution by SQL.
func (c *client) insert(ctx context.Context, s *start) bool {
	s.priority = 0 // the previous schema has none
	for {
		attempt, cancel := context.WithTimeout(ctx, callTimeout)
		done, err := c.db.ExecContext(attempt, `INSERT INTO workflow_executions (workflow_id, name, input, request_id)
			SELECT id, name, ?, ? FROM workflows WHERE name = ? ON DUPLICATE KEY UPDATE id = LAST_INSERT_ID(workflow_executions.id)`,
			s.input(), s.request, s.shape.name)
		cancel()
		if err == nil {
			id, err := done.LastInsertId()
			s.execution = uint64(id)
			return err == nil
		}
		if ctx.Err() != nil {
			c.report.lost("%s: could not be inserted until the end: %v", s.request, err)
			return false
		}
		pause(ctx)
	}
}

// cancel has an execution cancelled, if it has not ended before.
func (c *client) cancel(ctx context.Context, s *start) {
	wait(ctx, s.cancel)
	select {
	case <-c.upgraded:
	case <-ctx.Done():
	}
	s.cancelled = true
	c.persists(ctx, s, "cancel "+s.request, c.newest(), func(ctx context.Context, jobapi pb.JobapiClient) error {
		_, err := jobapi.CancelExecution(ctx, &pb.ExecutionCancelRequest{ExecutionId: s.execution, Reason: "chaos"})
		if status.Code(err) == codes.FailedPrecondition && !s.shape.endless() {
			err = nil // it has ended by itself
		}
		return err
	})
}

// all gives the starts that were acknowledged.
func (c *client) all() []start {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.starts)
}
