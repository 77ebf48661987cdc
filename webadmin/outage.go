package webadmin

import (
	"context"
	"errors"
	"net/http"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/reach"
)

// Run keeps the Server knowing whether the database answers, until ctx ends.
// Without it the Server serves, and does not know.
func (s *Server) Run(ctx context.Context) { _ = s.database.Run(ctx) } // that ctx has ended

// pingDatabase asks whether there is something to read from: a database that takes
// no write will do.
func (s *Server) pingDatabase(ctx context.Context) error {
	err := s.store.Ping(ctx)
	if errors.Is(err, dao.ErrReadOnly) {
		return nil
	}
	return err
}

// whileReachable runs read, with the context of r, if the database answers, as far
// as is known, and cuts it off if it is found to hang.
func (s *Server) whileReachable(r *http.Request, read func(*http.Request) error) error {
	if err := s.database.Err(); err != nil {
		return problem{kind: dao.ErrUnavailable, cause: err}
	}
	ctx, done := s.database.While(r.Context())
	defer done()
	err := read(r.WithContext(ctx))
	if errors.Is(err, dao.ErrUnavailable) {
		s.database.Doubt()
	}
	if away, ok := errors.AsType[*reach.AwayError](context.Cause(ctx)); ok && err != nil {
		return problem{kind: dao.ErrUnavailable, cause: away} // not that it was cut off
	}
	return err
}

// reachable is h for as long as the database answers.
func (s *Server) reachable(h handlerFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		return s.whileReachable(r, func(r *http.Request) error { return h(w, r) })
	}
}
