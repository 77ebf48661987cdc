package jobapi

import (
	"context"
	"errors"

	"github.com/jobnetes/jobnetes/dao"
)

// What is written together at the most: few enough that a statement with all of it is
// well below max_allowed_packet.
const (
	batchItems = 100
	batchBytes = 1 << 20
)

// newStarts has starts of one workflow written together. Those of another one do not
// wait for them, if somebody has locked the workflow's row, say.
func (s *Server) newStarts() *batcher[workflowKey, dao.NewExecution, uint64] {
	return &batcher[workflowKey, dao.NewExecution, uint64]{
		maxItems: batchItems, maxBytes: batchBytes, mayBeOne: isRefused,
		write: func(key workflowKey, ns []dao.NewExecution) (answers []answer[uint64], err error) {
			err = s.writing(func(ctx context.Context) (err error) {
				answers, err = s.writeStarts(ctx, key, ns)
				return err
			})
			return answers, err
		},
		written: s.tellStarted,
	}
}

// newOutputs has outputs written together, of all tasks.
func (s *Server) newOutputs() *batcher[struct{}, dao.TaskOutput, bool] {
	return &batcher[struct{}, dao.TaskOutput, bool]{
		maxItems: batchItems, maxBytes: batchBytes, mayBeOne: isRefused,
		write: func(_ struct{}, outputs []dao.TaskOutput) (answers []answer[bool], err error) {
			err = s.writing(func(ctx context.Context) (err error) {
				answers, err = s.writeOutputs(ctx, outputs)
				return err
			})
			return answers, err
		},
	}
}

// isRefused says that the database has written nothing, because of what it was given.
func isRefused(err error) bool {
	return errors.Is(err, dao.ErrRefused) || errors.Is(err, dao.ErrDuplicate)
}

// writing runs write, for the calls of several clients: it has the time of one, and goes
// on when one of them has left.
func (s *Server) writing(write func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(s.working, s.cfg.RequestTimeout)
	defer cancel()
	return s.whileReachable(ctx, write)
}
