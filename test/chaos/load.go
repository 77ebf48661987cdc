package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
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
	maxOpen     = 150                    // executions that have not ended
)

// client starts executions as users' programs should: with a request_id, again
// until there is an answer, at any jobapi.
type client struct {
	report   *report
	jobapis  []pb.JobapiClient
	username string
	password string

	mu     sync.Mutex
	starts []start
}

// start is a start that jobapi has acknowledged.
type start struct {
	request   string
	execution uint64
	shape     shape
	value     int
}

func dial(address string) (*grpc.ClientConn, error) {
	return grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
}

// passes says whether a call may succeed when it is made again.
func passes(err error) bool {
	code := status.Code(err)
	return code == codes.Unavailable || code == codes.DeadlineExceeded
}

// persist makes a call, at one jobapi after the other, until it succeeds. What does
// not pass is a problem; ctx ending is, too.
func (c *client) persist(ctx context.Context, what string, call func(context.Context, pb.JobapiClient) error) bool {
	for try := rand.IntN(len(c.jobapis)); ; try++ { // whichever: the seed does not decide it
		attempt, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(ctx, "username", c.username, "password", c.password), callTimeout)
		err := call(attempt, c.jobapis[try%len(c.jobapis)])
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
		wait(ctx, between(rand.New(rand.NewPCG(rand.Uint64(), 0)), 50*time.Millisecond, 500*time.Millisecond))
	}
}

// apply applies the workflows.
func (c *client) apply(ctx context.Context) bool {
	for _, s := range shapes {
		if !c.persist(ctx, "apply "+s.name, func(ctx context.Context, jobapi pb.JobapiClient) error {
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
		s := start{request: fmt.Sprint("start-", n), shape: shapes[rng.IntN(len(shapes))], value: rng.IntN(10)}
		starting.Go(func() { c.start(ctx, s, n%5 == 0) })
		wait(faults, between(rng, 0, 2*startEvery))
		for faults.Err() == nil {
			if count, err := open(ctx); err == nil && count < maxOpen {
				break
			}
			wait(faults, startEvery) // the database is away, or managers do not keep up
		}
	}
}

// start starts an execution; twice, if it is to, as a client that has forgotten.
func (c *client) start(ctx context.Context, s start, twice bool) {
	call := func(ctx context.Context, jobapi pb.JobapiClient) error {
		answer, err := jobapi.StartWorkflow(ctx, &pb.WorkflowStartRequest{
			WorkflowName: s.shape.name, RequestId: s.request, Input: fmt.Appendf(nil, `{"value": %d}`, s.value),
		})
		if err != nil {
			return err
		}
		if id := answer.GetId(); s.execution != 0 && s.execution != id {
			c.report.doubled("%s was execution %d, and now is %d", s.request, s.execution, id)
		}
		s.execution = answer.GetId()
		return nil
	}
	if !c.persist(ctx, s.request, call) {
		return
	}
	if twice {
		c.persist(ctx, s.request+" again", call)
	}
	c.add(s)
}

// add notes a start that was acknowledged.
func (c *client) add(s start) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starts = append(c.starts, s)
}
