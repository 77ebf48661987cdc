package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/jobnetes/jobnetes/proto"
)

// errSaid is the error of a command that has printed what went wrong by itself:
// main adds nothing to it.
var errSaid = errors.New("the command failed and has said why")

// callTimeout bounds one call that is not a stream.
const callTimeout = 30 * time.Second

const (
	// awayPatience is how long a command that was let in waits while jobapi, or its
	// database, is away: longer than an outage mostly takes.
	awayPatience = 5 * time.Minute
	// awayRetry is the time between two tries.
	awayRetry = 500 * time.Millisecond
)

// client is a connection to jobapi.
type client struct {
	pb.JobapiClient
	conn *grpc.ClientConn
	to   connection
}

// connect prepares a connection as flags, environment and files say. Whether
// jobapi is there, the first call tells.
func (o *clientOptions) connect() (*client, error) {
	to, err := o.resolve()
	if err != nil {
		return nil, err
	}
	conn, err := dial(to.endpoint, grpc.WithPerRPCCredentials(callMetadata{"username": to.username, "password": to.password}))
	if err != nil {
		return nil, fmt.Errorf("jobapi at %s (from %s): %w", to.endpoint, to.endpointFrom, err)
	}
	return &client{JobapiClient: pb.NewJobapiClient(conn), conn: conn, to: to}, nil
}

// retries has calls tried again for some seconds while jobapi, or its database, is
// away, as when it is being replaced. Each may be: reading changes nothing, an output
// that is recorded twice is the same one, a start carries an id, a second cancel does nothing.
const retries = `{"methodConfig": [{"name": [{"service": "jobapi.Jobapi"}], "retryPolicy": {
  "maxAttempts": 5, "initialBackoff": "0.2s", "maxBackoff": "2s", "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`

// dial is where every connection to jobapi is made, so that TLS has one place.
func dial(endpoint string, opts ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient(endpoint, append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithDefaultServiceConfig(retries),
		// An execution carries the inputs and outputs of all its tasks.
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(math.MaxInt32)),
	}, opts...)...)
}

func (c *client) close() { _ = c.conn.Close() } // nothing is left to be lost

// answers says whether somebody is there, whatever is said.
func (c *client) answers() bool { return c.conn.GetState() == connectivity.Ready }

// explain says what a failed call means for whoever typed the command.
func (c *client) explain(doing string, err error) error {
	st := status.Convert(err)
	switch st.Code() {
	case codes.Unavailable, codes.DeadlineExceeded:
		if c.answers() {
			return fmt.Errorf("%s: jobapi at %s: %s", doing, c.to.endpoint, lastCause(st.Message()))
		}
		return fmt.Errorf("%s: cannot reach jobapi at %s (from %s): %s: is it running (`jobnetes dev` or `jobnetes jobapi`)?",
			doing, c.to.endpoint, c.to.endpointFrom, lastCause(st.Message()))
	case codes.Unauthenticated:
		return fmt.Errorf("%s: jobapi at %s (from %s) refuses username %q and its password (from %s)",
			doing, c.to.endpoint, c.to.endpointFrom, c.to.username, c.to.passwordFrom)
	case codes.Canceled:
		return fmt.Errorf("%s: interrupted", doing)
	case codes.Unimplemented:
		return fmt.Errorf("%s: jobapi at %s is of another version than this command: %s", doing, c.to.endpoint, st.Message())
	default:
		return fmt.Errorf("%s: %s", doing, st.Message())
	}
}

// lastCause returns what went wrong at the last of gRPC's tries, of a text that has
// each layer's in the one around it: `…: rpc error: code = … desc = connection error:
// desc = "transport: Error while dialing: dial tcp …"`.
func lastCause(text string) string {
	const layer = "desc = "
	if at := strings.LastIndex(text, layer); at >= 0 {
		text = text[at+len(layer):]
		if inner, err := strconv.Unquote(text); err == nil {
			text = inner
		}
	}
	return strings.TrimPrefix(text, "transport: Error while dialing: ")
}

// callMetadata is sent with every call: who calls.
type callMetadata map[string]string

// GetRequestMetadata returns what is sent with a call.
func (m callMetadata) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return m, nil
}

// RequireTransportSecurity is false: jobapi has no TLS of its own yet.
func (callMetadata) RequireTransportSecurity() bool { return false }

// clientOptions are the flags that every command for users has.
type clientOptions struct {
	endpoint, username, password string
	data                         string
	output                       outputFormat
}

// clientFlags adds the flags to cmd and its subcommands.
func clientFlags(cmd *cobra.Command) *clientOptions {
	o := &clientOptions{output: outputText}
	f := cmd.PersistentFlags()
	f.StringVar(&o.endpoint, "endpoint", "", "host:port of jobapi (env "+envEndpoint+")")
	f.StringVar(&o.username, "username", "", "user of jobapi (env "+envUsername+")")
	f.StringVar(&o.password, "password", "", "password of jobapi; better by env "+envPassword+": other users of this computer can see flags")
	f.StringVar(&o.data, "data", "", "data `DIR` of jobnetes dev, whose credentials are used (env "+envData+", default "+defaultData+")")
	f.VarP(&o.output, "output", "o", "how to print: text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{string(outputText), string(outputJSON)}, cobra.ShellCompDirectiveNoFileComp))
	return o
}

// outputFormat is the value of --output.
type outputFormat string

const (
	outputText outputFormat = "text"
	outputJSON outputFormat = "json"
)

// String returns the value.
func (f *outputFormat) String() string { return string(*f) }

// Type is how help names the value.
func (f *outputFormat) Type() string { return "format" }

// Set takes the value, if it is one.
func (f *outputFormat) Set(s string) error {
	switch v := outputFormat(strings.ToLower(s)); v {
	case outputText, outputJSON:
		*f = v
		return nil
	default:
		return errors.New("it is text or json")
	}
}

// completeWorkflows completes the first argument with the names of workflows.
// It is silent if jobapi is away.
func (o *clientOptions) completeWorkflows(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := o.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	defer c.close()
	ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
	defer cancel()
	res, err := c.ListWorkflows(ctx, &pb.ListWorkflowsRequest{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, w := range res.GetWorkflows() {
		names = append(names, w.GetName())
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
