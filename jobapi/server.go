// Package jobapi is the gRPC server of jobnetes: it schedules executions of
// workflows, takes the outputs that jobs report, and answers what the commands
// ask. The wire is proto/jobapi.proto; docs/wire.md describes it for users.
package jobapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/jobapi/token"
	pb "github.com/jobnetes/jobnetes/proto"
	"github.com/jobnetes/jobnetes/reach"
)

// Config says who may call and how much. Zero values of all but Username,
// Password and TokenKey mean the default.
type Config struct {
	// Username and Password are what users send as metadata.
	Username, Password string
	// TokenKey is what task tokens are signed with, at least
	// token.MinKeyBytes long; the manager's is the same.
	TokenKey []byte
	// MaxInputBytes bounds an execution's input, MaxOutputBytes an output that
	// a job records. Default: 1 MiB each.
	MaxInputBytes, MaxOutputBytes int
	// RequestTimeout bounds one call that is not a stream. Default: 30 s.
	RequestTimeout time.Duration
	// WatchInterval is how often WatchExecution looks for events. Default: 200 ms.
	WatchInterval time.Duration
	// HealthInterval is how often the database is pinged while it does not answer:
	// calls are refused then, and the health service says so. While it answers, that is
	// half as often. Default: 1 s.
	HealthInterval time.Duration
	// StopTimeout is how long calls in flight may go on once Serve is to end.
	// Default: 10 s.
	StopTimeout time.Duration
	// Managers are told what there is for them to do. Default: nobody, so that they
	// see it with their next poll.
	Managers Managers
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Managers is who takes up what jobapi has noted. Neither call waits.
type Managers interface {
	// Started says that an execution was started at a time.
	Started(at time.Time)
	// Cancelled says that somebody wants an execution to be cancelled.
	Cancelled()
}

// nobody is Managers that are not told.
type nobody struct{}

func (nobody) Started(time.Time) {}
func (nobody) Cancelled()        {}

const (
	defaultMaxBytes       = 1 << 20
	defaultRequestTimeout = 30 * time.Second
	defaultWatchInterval  = 200 * time.Millisecond
	defaultHealthInterval = time.Second
	defaultStopTimeout    = 10 * time.Second

	// minReceiveBytes is the smallest limit for a message. It is well above
	// that of its contents, so that whoever sends somewhat too much is told
	// which limit that was, by InvalidArgument and not by gRPC itself.
	minReceiveBytes = 16 << 20
	// keepaliveTime finds out that a watcher is gone, and keeps its connection
	// alive through proxies while no event happens.
	keepaliveTime    = 30 * time.Second
	keepaliveTimeout = 20 * time.Second
)

func (c Config) withDefaults() Config {
	c.MaxInputBytes = orDefault(c.MaxInputBytes, defaultMaxBytes)
	c.MaxOutputBytes = orDefault(c.MaxOutputBytes, defaultMaxBytes)
	c.RequestTimeout = orDefault(c.RequestTimeout, defaultRequestTimeout)
	c.WatchInterval = orDefault(c.WatchInterval, defaultWatchInterval)
	c.HealthInterval = orDefault(c.HealthInterval, defaultHealthInterval)
	c.StopTimeout = orDefault(c.StopTimeout, defaultStopTimeout)
	if c.Managers == nil {
		c.Managers = nobody{}
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// Server is the gRPC server. Make it with New; Serve runs it, once.
type Server struct {
	pb.UnimplementedJobapiServer

	cfg         Config
	store       Store
	logs        Logs
	log         *slog.Logger
	auth        *authenticator
	definitions definitions
	database    *reach.Probe

	grpc   *grpc.Server
	health *health.Server
	// calls has room for those that may be under way at once.
	calls chan struct{}
	// starts and outputs are written together. working ends, by finish, when nobody
	// waits for them any more.
	starts  *batcher[workflowKey, dao.NewExecution, uint64]
	outputs *batcher[struct{}, dao.TaskOutput, bool]
	working context.Context
	finish  context.CancelFunc
	// stopping ends the streams when the server is to stop.
	stopping chan struct{}
}

// CheckCredentials returns why New would refuse what users are to send; nil if it
// would not.
func CheckCredentials(username, password string) error {
	var errs []error
	if username == "" {
		errs = append(errs, errors.New("jobapi.username is empty: set it, clients must send it"))
	}
	if password == "" {
		errs = append(errs, errors.New("jobapi.password is empty: set it, else anybody could start workflows"))
	}
	return errors.Join(errs...)
}

// New returns a Server on store. logs is where the logs of pods come from; nil
// if there is no such source, and GetTaskLogs then has only those that were kept.
func New(cfg Config, store Store, logs Logs, log *slog.Logger) (*Server, error) {
	cfg = cfg.withDefaults()
	tokens, err := token.NewTokens(cfg.TokenKey)
	if err = errors.Join(CheckCredentials(cfg.Username, cfg.Password), err); err != nil {
		return nil, fmt.Errorf("set up jobapi: %w", err)
	}
	s := &Server{
		cfg: cfg, store: store, logs: logs, log: log,
		auth:     newAuthenticator(cfg.Username, cfg.Password, tokens),
		health:   health.NewServer(),
		calls:    make(chan struct{}, callsAtOnce),
		stopping: make(chan struct{}),
	}
	s.database = s.newDatabaseProbe()
	s.starts, s.outputs = s.newStarts(), s.newOutputs()
	s.working, s.finish = context.WithCancel(context.Background())
	s.grpc = grpc.NewServer(
		grpc.MaxRecvMsgSize(max(minReceiveBytes, 2*cfg.MaxInputBytes, 2*cfg.MaxOutputBytes)),
		grpc.NumStreamWorkers(callsAtOnce), // whose stacks have grown, where those of new goroutines would have to
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.UnaryInterceptor(s.interceptUnary),
		grpc.StreamInterceptor(s.interceptStream),
	)
	pb.RegisterJobapiServer(s.grpc, s)
	healthpb.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	s.setHealth(healthpb.HealthCheckResponse_NOT_SERVING) // until the database has answered
	return s, nil
}

// Serve answers calls on lis until ctx ends, then lets the calls in flight end
// for StopTimeout, and returns nil. Streams end at once, with Unavailable. It
// closes lis.
func (s *Server) Serve(ctx context.Context, lis net.Listener) error {
	healthCtx, stopHealth := context.WithCancel(ctx)
	var loops sync.WaitGroup
	loops.Go(func() { _ = s.database.Run(healthCtx) })
	defer loops.Wait()
	defer stopHealth()
	defer s.finishWrites()

	ended := make(chan error, 1)
	go func() { ended <- s.grpc.Serve(lis) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve jobapi on %s: %w", lis.Addr(), err)
	case <-ctx.Done():
		s.stop()
		if err := <-ended; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			return fmt.Errorf("serve jobapi on %s: %w", lis.Addr(), err)
		}
		return nil
	}
}

func (s *Server) stop() {
	s.health.Shutdown()
	close(s.stopping)
	force := time.AfterFunc(s.cfg.StopTimeout, func() {
		s.log.Warn("jobapi: calls in flight are cut off, they have taken too long", "stop_timeout", s.cfg.StopTimeout)
		s.grpc.Stop()
	})
	defer force.Stop()
	s.grpc.GracefulStop()
}

// finishWrites ends writes that nobody waits for any more, as their clients have left.
func (s *Server) finishWrites() {
	s.finish()
	s.starts.close()
	s.outputs.close()
}
