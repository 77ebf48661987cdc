package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/jobnetes/jobnetes/dao"
	"github.com/jobnetes/jobnetes/reach"
	"github.com/jobnetes/jobnetes/setting"
)

const (
	// openTimeout bounds one try to open the database, and openRetry is the time
	// between two.
	openTimeout = 3 * time.Second
	openRetry   = time.Second
)

// openStore opens the database for a service, and reads what services share. While
// the database is away it tries again every second, which ready tells: whoever
// restarts a service that has ended waits longer each time. What does not pass by
// itself, such as a wrong password or an old schema, is returned at once. The
// caller calls done at the end.
func openStore(ctx context.Context, s setting.Settings, ready *readiness, log *slog.Logger) (store *dao.Store, common shared, done func(), err error) {
	var since time.Time // of the first try that has failed
	for {
		began := time.Now()
		store, common, done, err = openShared(ctx, s)
		switch {
		case ctx.Err() != nil && err != nil: // whatever else the driver calls it
			return nil, shared{}, nil, ctx.Err()
		case err == nil && !since.IsZero():
			log.InfoContext(ctx, "the database answers", "waited", time.Since(since).Round(time.Second).String())
			return store, common, done, nil
		case err == nil || !dao.IsUnavailable(err):
			return store, common, done, err
		case since.IsZero():
			since = began
			log.ErrorContext(ctx, "the database is away: waiting for it, trying every second", "error", err)
		}
		away := reach.State{Name: "database", Known: true, Err: err, Since: since}
		ready.set(func() []reach.State { return []reach.State{away} })
		select {
		case <-ctx.Done():
			return nil, shared{}, nil, ctx.Err()
		case <-time.After(openRetry):
		}
	}
}

// openShared tries once.
func openShared(ctx context.Context, s setting.Settings) (*dao.Store, shared, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	store, done, err := openOnce(ctx, s)
	if err != nil {
		return nil, shared{}, nil, err
	}
	common, err := readShared(ctx, store)
	if err != nil {
		done()
		return nil, shared{}, nil, err
	}
	return store, common, done, nil
}
