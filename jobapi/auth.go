package jobapi

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"google.golang.org/grpc/metadata"

	"github.com/jobnetes/jobnetes/jobapi/token"
	pb "github.com/jobnetes/jobnetes/proto"
)

// The metadata that says who calls. The first two are the original's.
const (
	metadataUsername      = "username"
	metadataPassword      = "password"
	metadataAuthorization = "authorization"
	bearer                = "bearer "
)

// openServices need no authentication: probes have no password, and what
// reflection tells is public.
var openServices = []string{
	"/grpc.health.v1.Health/",
	"/grpc.reflection.v1.ServerReflection/",
	"/grpc.reflection.v1alpha.ServerReflection/",
}

// caller is who calls: a user, or the job of a task.
type caller struct {
	user   string
	taskID uint64 // 0: a user
}

type callerKey struct{}

// callerOf returns who calls; nobody for an open service.
func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// actor is the caller's name in execution_events.
func (c caller) actor() string { return "user " + c.user }

type authenticator struct {
	username, password [sha256.Size]byte
	tokens             *token.Tokens
}

func newAuthenticator(username, password string, tokens *token.Tokens) *authenticator {
	return &authenticator{
		username: sha256.Sum256([]byte(username)),
		password: sha256.Sum256([]byte(password)),
		tokens:   tokens,
	}
}

// admit returns ctx with the caller in it, or why method is not for them.
func (a *authenticator) admit(ctx context.Context, method string) (context.Context, error) {
	for _, open := range openServices {
		if strings.HasPrefix(method, open) {
			return ctx, nil
		}
	}
	c, err := a.identify(ctx)
	if err != nil {
		return nil, err
	}
	if c.taskID != 0 && method != pb.Jobapi_RecordTaskOutput_FullMethodName {
		return nil, refuse(errDenied, "a task's token serves RecordTaskOutput only: use a username and password for %s", method)
	}
	return context.WithValue(ctx, callerKey{}, c), nil
}

// identify looks at the metadata. A username or password counts before a token:
// who sends both is a user.
func (a *authenticator) identify(ctx context.Context) (caller, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	username, password := md.Get(metadataUsername), md.Get(metadataPassword)
	if len(username) > 0 || len(password) > 0 {
		if !a.isUser(username, password) {
			return caller{}, refuse(errUnauthenticated, "wrong username or password: see jobapi.username and jobapi.password of the server")
		}
		return caller{user: username[0]}, nil
	}
	authorization := md.Get(metadataAuthorization)
	if len(authorization) == 0 {
		return caller{}, refuse(errUnauthenticated, "no credentials: send metadata username and password, or in a job authorization: Bearer and its JOBNETES_TOKEN")
	}
	if len(authorization) > 1 || len(authorization[0]) < len(bearer) || !strings.EqualFold(authorization[0][:len(bearer)], bearer) {
		return caller{}, refuse(errUnauthenticated, "metadata authorization must be: Bearer and a task's token")
	}
	taskID, err := a.tokens.Verify(strings.TrimSpace(authorization[0][len(bearer):]))
	if err != nil {
		return caller{}, refuse(errUnauthenticated, "the task token is not valid: send JOBNETES_TOKEN as the job got it")
	}
	return caller{taskID: taskID}, nil
}

// isUser compares in a time that tells nothing: digests are of one length, and
// both are compared whatever the first gives.
func (a *authenticator) isUser(username, password []string) bool {
	if len(username) != 1 || len(password) != 1 {
		return false
	}
	u, p := sha256.Sum256([]byte(username[0])), sha256.Sum256([]byte(password[0]))
	return subtle.ConstantTimeCompare(u[:], a.username[:])&subtle.ConstantTimeCompare(p[:], a.password[:]) == 1
}
