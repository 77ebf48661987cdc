package jobapi

import (
	"context"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	pb "github.com/jobnetes/jobnetes/proto"
)

func TestAuthentication(t *testing.T) {
	t.Parallel()
	b := setup(t, testConfig(), setupStore(t), nil)
	tests := map[string]struct {
		metadata []string
		code     codes.Code
	}{
		"right":                    {[]string{"username", "admin", "password", "secret"}, codes.OK},
		"nothing":                  {nil, codes.Unauthenticated},
		"wrong password":           {[]string{"username", "admin", "password", "secreT"}, codes.Unauthenticated},
		"a prefix":                 {[]string{"username", "admin", "password", "secre"}, codes.Unauthenticated},
		"wrong username":           {[]string{"username", "root", "password", "secret"}, codes.Unauthenticated},
		"no password":              {[]string{"username", "admin"}, codes.Unauthenticated},
		"no username":              {[]string{"password", "secret"}, codes.Unauthenticated},
		"exchanged":                {[]string{"username", "secret", "password", "admin"}, codes.Unauthenticated},
		"empty":                    {[]string{"username", "", "password", ""}, codes.Unauthenticated},
		"two passwords":            {[]string{"username", "admin", "password", "guess", "password", "secret"}, codes.Unauthenticated},
		"no token":                 {[]string{"authorization", "Bearer "}, codes.Unauthenticated},
		"basic":                    {[]string{"authorization", "Basic YWRtaW46c2VjcmV0"}, codes.Unauthenticated},
		"a token that is none":     {[]string{"authorization", "Bearer secret"}, codes.Unauthenticated},
		"wrong user, some token":   {[]string{"username", "admin", "password", "x", "authorization", "Bearer x"}, codes.Unauthenticated},
		"right user, broken token": {[]string{"username", "admin", "password", "secret", "authorization", "Bearer x"}, codes.OK},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := metadata.AppendToOutgoingContext(t.Context(), tc.metadata...)
			_, err := b.client.ListWorkflows(ctx, &pb.ListWorkflowsRequest{})
			wantCode(t, err, tc.code)
			stream, err := b.client.WatchExecution(ctx, &pb.WatchExecutionRequest{Id: 99})
			if err != nil {
				t.Fatal(err)
			}
			_, err = stream.Recv()
			if want := map[bool]codes.Code{true: codes.NotFound, false: tc.code}[tc.code == codes.OK]; err == nil {
				t.Error("a stream: no error")
			} else {
				wantCode(t, err, want)
			}
		})
	}
}

// Every method of the service, unary or stream, but RecordTaskOutput is closed
// to tasks; one that is added later is closed too.
func TestTaskTokenServesOneMethod(t *testing.T) {
	t.Parallel()
	b := setup(t, testConfig(), setupStore(t), nil)
	methods := pb.File_jobapi_proto.Services().Get(0).Methods()
	for i := range methods.Len() {
		name := string(methods.Get(i).Name())
		method := "/jobapi.Jobapi/" + name
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := metadata.NewIncomingContext(t.Context(), incoming(asTask(t, 7)))
			_, err := b.server.auth.admit(ctx, method)
			want := codes.PermissionDenied
			if method == pb.Jobapi_RecordTaskOutput_FullMethodName {
				want = codes.OK
			}
			if err != nil {
				err = statusOf(err).Err()
			}
			wantCode(t, err, want)
		})
	}
}

func incoming(ctx context.Context) metadata.MD {
	md, _ := metadata.FromOutgoingContext(ctx)
	return md
}

func TestOpenServices(t *testing.T) {
	t.Parallel()
	b := setup(t, testConfig(), setupStore(t), nil)
	if _, err := healthpb.NewHealthClient(b.conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("health: %v", err)
	}
	stream, err := reflectionpb.NewServerReflectionClient(b.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}); err != nil {
		t.Fatal(err)
	}
	res, err := stream.Recv()
	if err != nil {
		t.Fatalf("reflection: %v", err)
	}
	if !strings.Contains(res.String(), "jobapi.Jobapi") {
		t.Errorf("reflection lists %v, want jobapi.Jobapi", res)
	}
}

func TestNewRefusesOpenDoors(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"no username": {func(c *Config) { c.Username = "" }, "jobapi.username"},
		"no password": {func(c *Config) { c.Password = "" }, "jobapi.password"},
		"short key":   {func(c *Config) { c.TokenKey = []byte("x") }, "key of task tokens"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig()
			tc.change(&cfg)
			if _, err := New(cfg, nil, nil, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("New: %v, want an error about %s", err, tc.want)
			}
		})
	}
}
