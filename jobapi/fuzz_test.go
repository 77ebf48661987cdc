package jobapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/jobapi/token"
	pb "github.com/jobnetes/jobnetes/proto"
)

// callTime is how long a fuzzed call may last that waits for events which never
// come, as a watch does.
const callTime = 5 * time.Millisecond

// FuzzRequests calls every method with whatever can be read as its request,
// through the interceptors of a real server on a real database. It checks that no
// answer blames the server, and that what was answered is what the rows say.
func FuzzRequests(f *testing.F) {
	for i, req := range []proto.Message{
		&pb.WorkflowStartRequest{WorkflowId: 1, ExecName: "run", Input: []byte(`{"a":1}`), RequestId: "2026-03-01"},
		&pb.WorkflowStartRequest{WorkflowName: "nightly", WorkflowId: 1<<63 + 1},
		&pb.TaskOutputRecordRequest{TaskId: 2, Data: []byte(`{"a":"\u0000"}`)},
		&pb.TaskOutputRecordRequest{TaskId: 1, Data: []byte("1")},
		&pb.ApplyWorkflowRequest{Definition: []byte(chain)},
		&pb.ApplyWorkflowRequest{Definition: []byte("name: w\ntasks: [{name: a, type: kube-job, job: {spec: {template: {spec: {containers: [{name: c}]}}}}}]\n")},
		&pb.ApplyWorkflowRequest{Definition: []byte(`{"name":"\u0000"}`)},
		&pb.ListWorkflowsRequest{Limit: 2, AfterName: "n\x00"},
		&pb.GetWorkflowRequest{Name: "nightly"},
		&pb.ListExecutionsRequest{Limit: 1001, BeforeId: 3, WorkflowName: "nightly", Statuses: []pb.ExecutionStatus{1, 4, 1, -1}},
		&pb.GetExecutionRequest{Id: 1},
		&pb.WatchExecutionRequest{Id: 1, AfterEventId: 1},
		&pb.GetTaskLogsRequest{TaskId: 2, Pod: "p", Container: "c"},
	} {
		bytes, err := proto.Marshal(req)
		if err != nil {
			continue // a text that is not UTF-8
		}
		for _, method := range []int{i, i + 1} { // also what is meant for another method
			f.Add(byte(method), bytes)
		}
	}
	world := newFuzzWorld(f)
	f.Fuzz(func(t *testing.T, method byte, request []byte) {
		unary, streams := pb.Jobapi_ServiceDesc.Methods, pb.Jobapi_ServiceDesc.Streams
		if i := int(method) % (len(unary) + len(streams)); i < len(unary) {
			world.call(t, unary[i], request)
		} else {
			world.stream(t, streams[i-len(unary)], request)
		}
		world.wantUnchanged(t)
	})
}

// fuzzWorld is a server on a database with an execution that has ended, and one
// that runs, a task each.
type fuzzWorld struct {
	server *Server
	store  *dao.Store
	ended  dao.WorkflowExecution
	task   dao.TaskExecution // of it
}

func newFuzzWorld(f *testing.F) *fuzzWorld {
	f.Helper()
	store := setupStore(f)
	server, err := New(testConfig(), store, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		f.Fatal(err)
	}
	w, _, err := store.ApplyWorkflow(f.Context(), "nightly", chain, dao.DefaultUserID, start)
	if err != nil {
		f.Fatal(err)
	}
	world := &fuzzWorld{server: server, store: store}
	for _, name := range []string{"ended", "runs"} {
		id, err := store.CreateExecution(f.Context(), dao.NewExecution{WorkflowID: w.ID, Name: name, Input: "{}", Actor: "test"}, start)
		if err != nil {
			f.Fatal(err)
		}
		m := claim(f, store, id)
		task := m.begin("extract", "kube-job")
		if name == "ended" {
			m.fail(task)
		}
	}
	if world.ended, err = store.Execution(f.Context(), 1); err != nil {
		f.Fatal(err)
	}
	if world.task, err = store.Task(f.Context(), 1); err != nil {
		f.Fatal(err)
	}
	return world
}

// wantUnchanged checks that what has ended is as it was.
func (w *fuzzWorld) wantUnchanged(t *testing.T) {
	t.Helper()
	ended, err := w.store.Execution(t.Context(), w.ended.ID)
	if err != nil || !reflect.DeepEqual(ended, w.ended) {
		t.Errorf("the execution that had ended is now %+v, %v", ended, err)
	}
	task, err := w.store.Task(t.Context(), w.task.ID)
	if err != nil || !reflect.DeepEqual(task, w.task) {
		t.Errorf("the task that had ended is now %+v, %v", task, err)
	}
}

func (w *fuzzWorld) call(t *testing.T, method grpc.MethodDesc, request []byte) {
	t.Helper()
	ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(metadataUsername, "admin", metadataPassword, "secret"))
	var req proto.Message
	call := func() (any, error) {
		return method.Handler(w.server, ctx, func(m any) error {
			req = m.(proto.Message)
			return proto.Unmarshal(request, req)
		}, w.server.interceptUnary)
	}
	res, err := call()
	if _, isStatus := status.FromError(err); !isStatus {
		return // it is no such request
	}
	wantClientsFault(t, req, err)
	if err != nil {
		return
	}
	wantOnWire(t, res)
	again, errAgain := call()
	w.wantKept(t, req, res.(proto.Message), again, errAgain)
}

// wantClientsFault checks that an error is one of those that say what the client
// could do, and can be sent.
func wantClientsFault(t *testing.T, req proto.Message, err error) {
	t.Helper()
	st := status.Convert(err)
	switch st.Code() {
	case codes.OK, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.FailedPrecondition:
	default:
		t.Errorf("%T %v: %v", req, req, err)
	}
	wantOnWire(t, st.Proto())
}

func wantOnWire(t *testing.T, m any) {
	t.Helper()
	if _, err := proto.Marshal(m.(proto.Message)); err != nil {
		t.Errorf("the answer cannot be sent: %v", err)
	}
}

// wantKept checks that the rows say what the answer does, and what the same
// request gives once more.
func (w *fuzzWorld) wantKept(t *testing.T, req, res proto.Message, again any, errAgain error) {
	t.Helper()
	if errAgain != nil {
		t.Errorf("%T %v: at first %v, then %v", req, req, res, errAgain)
		return
	}
	switch req := req.(type) {
	case *pb.WorkflowStartRequest:
		id, idAgain := res.(*pb.WorkflowStartResponse).GetId(), again.(*pb.WorkflowStartResponse).GetId()
		if (id == idAgain) != (req.GetRequestId() != "") {
			t.Errorf("%v starts execution %d, then %d", req, id, idAgain)
		}
		e, err := w.store.Execution(t.Context(), id)
		wantName, wantInput := orElse(req.GetExecName(), e.WorkflowName), orElse(string(req.GetInput()), emptyInput)
		if err != nil || e.Status != dao.ExecutionScheduled || e.Name != wantName || e.Input != wantInput {
			t.Errorf("%v has made execution %+v, %v", req, e, err)
		}
	case *pb.TaskOutputRecordRequest:
		task, err := w.store.Task(t.Context(), req.GetTaskId())
		if err != nil || task.Status.Ended() || task.RecordedOutput == nil || *task.RecordedOutput != string(req.GetData()) {
			t.Errorf("%v has made task %+v, %v", req, task, err)
		}
	case *pb.ApplyWorkflowRequest:
		applied := res.(*pb.ApplyWorkflowResponse).GetWorkflow()
		kept, err := w.store.WorkflowByName(t.Context(), applied.GetName())
		if err != nil || kept.ID != applied.GetId() || kept.Definition != string(req.GetDefinition()) {
			t.Errorf("%q has made workflow %+v, %v", req.GetDefinition(), kept, err)
		}
		if r := again.(*pb.ApplyWorkflowResponse).GetResult(); r != pb.ApplyResult_APPLY_RESULT_UNCHANGED {
			t.Errorf("%q applied once more: %v", req.GetDefinition(), r)
		}
	default: // it only reads
		if !proto.Equal(res, again.(proto.Message)) {
			t.Errorf("%T %v: at first %v, then %v", req, req, res, again)
		}
	}
}

func orElse(text, other string) string {
	if text == "" {
		return other
	}
	return text
}

func (w *fuzzWorld) stream(t *testing.T, method grpc.StreamDesc, request []byte) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer time.AfterFunc(callTime, leave).Stop()
	defer leave()
	ctx = metadata.NewIncomingContext(ctx, metadata.Pairs(metadataUsername, "admin", metadataPassword, "secret"))
	stream := &fuzzStream{t: t, ctx: ctx, request: request}
	info := &grpc.StreamServerInfo{FullMethod: "/" + pb.Jobapi_ServiceDesc.ServiceName + "/" + method.StreamName, IsServerStream: true}
	err := w.server.interceptStream(w.server, stream, info, method.Handler)
	if stream.malformed || status.Code(err) == codes.Canceled {
		return
	}
	wantClientsFault(t, stream.got, err)
}

// fuzzStream is a stream of one request.
type fuzzStream struct {
	grpc.ServerStream
	t         *testing.T
	ctx       context.Context
	request   []byte
	got       proto.Message
	malformed bool
}

func (s *fuzzStream) Context() context.Context { return s.ctx }

func (s *fuzzStream) RecvMsg(m any) error {
	if s.got != nil {
		return io.EOF
	}
	s.got = m.(proto.Message)
	err := proto.Unmarshal(s.request, s.got)
	s.malformed = err != nil
	return err
}

func (s *fuzzStream) SendMsg(m any) error {
	wantOnWire(s.t, m)
	return nil
}

// FuzzCheckJSON compares with encoding/json, read token by token.
func FuzzCheckJSON(f *testing.F) {
	for _, data := range []string{`{"a":[1,{}]}`, `"\""`, `"\\"]`, "\"\xff\"", strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), "1 2", "", " 1e999 ", `"\ud800"`, `{"[":"]"}`} {
		f.Add([]byte(data))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 4096
		err := checkJSON("input", data, limit{most, "x"})
		if want := len(data) <= most && isText(data) && tokenDepth(data) <= maxDepth; (err == nil) != want {
			t.Errorf("%q: %v; to be taken: %t", data, err, want)
		}
		if err != nil && !errors.Is(err, errInvalid) {
			t.Errorf("%q: the error %v is not the client's", data, err)
		}
	})
}

// isText says whether data is JSON that encoding/json gives back as it is: what is
// not UTF-8 it would replace.
func isText(data []byte) bool {
	return json.Valid(data) && strings.ToValidUTF8(string(data), "") == string(data)
}

func tokenDepth(data []byte) (deepest int) {
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	for depth := 0; ; {
		token, err := dec.Token()
		switch {
		case err != nil:
			return deepest
		case token == json.Delim('[') || token == json.Delim('{'):
			depth++
			deepest = max(deepest, depth)
		case token == json.Delim(']') || token == json.Delim('}'):
			depth--
		}
	}
}

// FuzzCredentials checks that nobody is let in but the user with the password, and
// a task's job with its own token.
func FuzzCredentials(f *testing.F) {
	tokens, err := token.NewTokens(testKey)
	if err != nil {
		f.Fatal(err)
	}
	signed, err := tokens.Sign(2, start)
	if err != nil {
		f.Fatal(err)
	}
	auth := newAuthenticator("admin", "secret", tokens)
	methods := []string{pb.Jobapi_RecordTaskOutput_FullMethodName, pb.Jobapi_StartWorkflow_FullMethodName, "/jobapi.Jobapi/Nope", "/grpc.health.v1.Health/Check"}
	for i := range methods {
		f.Add(byte(i), "admin", "secret", "")
		f.Add(byte(i), "", "", "Bearer "+signed)
		f.Add(byte(i), "admin", "", "bearer "+signed+"=")
		f.Add(byte(i), "", "secret", "Basic x")
	}
	f.Fuzz(func(t *testing.T, method byte, username, password, authorization string) {
		name := methods[int(method)%len(methods)]
		md := metadata.MD{}
		for key, value := range map[string]string{metadataUsername: username, metadataPassword: password, metadataAuthorization: authorization} {
			if value != "" {
				md.Set(key, value)
			}
		}
		ctx, err := auth.admit(metadata.NewIncomingContext(t.Context(), md), name)
		scheme, credential, _ := strings.Cut(authorization, " ")
		isUser := username == "admin" && password == "secret"
		isTask := username == "" && password == "" && strings.EqualFold(scheme, "bearer") && strings.TrimSpace(credential) == signed && name == methods[0]
		if want := isUser || isTask || name == methods[3]; (err == nil) != want {
			t.Errorf("%s by %v: %v; to be let in: %t", name, md, err, want)
		}
		if err != nil && !slices.ContainsFunc([]error{errUnauthenticated, errDenied}, func(e error) bool { return errors.Is(err, e) }) {
			t.Errorf("the error %v is not the client's", err)
		}
		if err == nil && name != methods[3] && (callerOf(ctx).taskID == 2) != isTask {
			t.Errorf("%v is taken for %+v", md, callerOf(ctx))
		}
	})
}
