package dao

import (
	"errors"
	"testing"
	"time"

	"github.com/jobnetes/jobnetes/db"
)

// The first who asks makes a secret; who only reads needs no database that takes
// writes.
func TestSecret(t *testing.T) {
	t.Parallel()
	s := open(t, db.Config{Driver: db.SQLite, Path: t.TempDir() + "/jobnetes.db"})
	for _, fresh := range []string{"first", "second"} {
		if got, err := s.Secret(t.Context(), Installation, []byte(fresh), time.Now()); err != nil || string(got) != "first" {
			t.Errorf("the %s asks: %q, %v", fresh, got, err)
		}
	}
	s.exec(t, "PRAGMA query_only = 1") // its one connection
	if got, err := s.Secret(t.Context(), Installation, []byte("third"), time.Now()); err != nil || string(got) != "first" {
		t.Errorf("read-only: %q, %v", got, err)
	}
	if _, err := s.Secret(t.Context(), TokenKey, []byte("x"), time.Now()); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("read-only, and none is there: %v", err)
	}
}
