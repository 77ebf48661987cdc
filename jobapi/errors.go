package jobapi

import (
	"context"
	"errors"
	"fmt"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/schema"
)

// The reasons to refuse a call that jobapi itself has; the others are dao's.
var (
	errInvalid         = errors.New("invalid argument")
	errUnauthenticated = errors.New("unauthenticated")
	errDenied          = errors.New("permission denied")
	errPrecondition    = errors.New("failed precondition")
	errStopping        = errors.New("the server is stopping")
	errLogsAway        = errors.New("logs away")
	errBusy            = errors.New("too many calls are under way")
)

// codeTable says what a client is told: the code, and the text unless the error
// is a refusal, which brings its own. The first match counts.
var codeTable = []struct {
	err  error
	code codes.Code
	text string
}{
	{errInvalid, codes.InvalidArgument, "invalid argument"},
	{errUnauthenticated, codes.Unauthenticated, "unauthenticated"},
	{errDenied, codes.PermissionDenied, "permission denied"},
	{errPrecondition, codes.FailedPrecondition, "failed precondition"},
	{errStopping, codes.Unavailable, "the server is stopping: call again, a watch with after_event_id set to the last event received"},
	{errLogsAway, codes.Unavailable, "the logs cannot be read now: try again later; jobapi's log says why"},
	{errBusy, codes.Unavailable, "too many calls are under way, and this one had no time left to begin: try again later"},
	{dao.ErrNotFound, codes.NotFound, "not found"},
	{dao.ErrDuplicate, codes.AlreadyExists, "already exists"},
	{dao.ErrConflict, codes.FailedPrecondition, "it has changed in between: look again, then try again"},
	{context.Canceled, codes.Canceled, "the call was cancelled"},
	{dao.ErrUnavailable, codes.Unavailable, "the database is not available: try again later"},
	{context.DeadlineExceeded, codes.DeadlineExceeded, "the call took too long"},
}

// internalText is all that a client learns of an error that is not in the table.
const internalText = "internal error: jobapi's log has the details"

// statusOf returns what the client is told about err.
func statusOf(err error) *status.Status {
	for _, row := range codeTable {
		if !errors.Is(err, row.err) {
			continue
		}
		refused, ok := errors.AsType[*refusal](err)
		if !ok {
			return status.New(row.code, row.text)
		}
		return refused.status(row.code)
	}
	if own, ok := errors.AsType[transportError](err); ok {
		return own.GRPCStatus()
	}
	return status.New(codes.Internal, internalText)
}

// transportError is gRPC's own, of a stream that the client has left, say.
type transportError interface {
	error
	GRPCStatus() *status.Status
}

// refusal is an error whose text is meant for the client.
type refusal struct {
	kind     error // one of the table's
	text     string
	problems schema.Problems // of a definition
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.kind }

func (r *refusal) status(code codes.Code) *status.Status {
	st := status.New(code, r.text)
	if len(r.problems) == 0 {
		return st
	}
	var details errdetails.BadRequest
	for _, p := range r.problems {
		details.FieldViolations = append(details.FieldViolations,
			&errdetails.BadRequest_FieldViolation{Field: shorten(p.Path), Description: shorten(p.Message)})
	}
	with, err := st.WithDetails(&details)
	if err != nil {
		return st // the text says the same
	}
	return with
}

// refuse returns a refusal for a reason of the table.
func refuse(kind error, format string, args ...any) error {
	return &refusal{kind: kind, text: fmt.Sprintf(format, args...)}
}

// refuseDefinition returns a refusal that lists every problem of a definition,
// one a line, after intro. err is that of schema.Parse.
func refuseDefinition(kind error, intro string, err error) error {
	problems, ok := errors.AsType[schema.Problems](err)
	if !ok {
		problems = schema.Problems{{Path: "$", Message: err.Error()}}
	}
	text := intro
	for _, p := range problems {
		text += "\n" + shorten(p.Path) + ": " + shorten(p.Message)
	}
	return &refusal{kind: kind, text: text, problems: problems}
}

// maxProblemText bounds what one problem adds to the answer, in bytes: a status
// travels in HTTP/2 headers, and a message may quote the document.
const maxProblemText = 500

func shorten(text string) string {
	if len(text) <= maxProblemText {
		return text
	}
	end := maxProblemText
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// named gives dao.ErrNotFound a text that says what is missing; every other
// error is returned as it is.
func named(err error, format string, args ...any) error {
	if errors.Is(err, dao.ErrNotFound) {
		return refuse(dao.ErrNotFound, "there is no "+format, args...)
	}
	return err
}
