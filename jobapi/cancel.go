package jobapi

import (
	"context"
	"errors"

	"github.com/jobnetes/jobnetes/dao"
	pb "github.com/jobnetes/jobnetes/proto"
)

// maxCancelReason is how long the reason of a cancel may be, in bytes.
const maxCancelReason = 1000

// CancelExecution notes that the caller wants an execution to be cancelled; the
// manager that holds it, or the next that looks, takes it up.
func (s *Server) CancelExecution(ctx context.Context, req *pb.ExecutionCancelRequest) (*pb.ExecutionCancelResponse, error) {
	id, reason := req.GetExecutionId(), req.GetReason()
	if len(reason) > maxCancelReason {
		return nil, refuse(errInvalid, "reason has %d bytes: at most %d are allowed", len(reason), maxCancelReason)
	}
	if err := checkText("reason", reason, maxCancelReason); err != nil {
		return nil, err
	}
	err := s.store.RequestCancel(ctx, id, callerOf(ctx).actor(), reason, s.cfg.Now())
	if errors.Is(err, dao.ErrConflict) {
		return nil, refuse(errPrecondition, "execution %d has ended: there is nothing left to cancel", id)
	}
	if err != nil {
		return nil, named(err, "execution %d", id)
	}
	s.cfg.Managers.Cancelled()
	return &pb.ExecutionCancelResponse{}, nil
}
