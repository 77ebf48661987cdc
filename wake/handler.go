package wake

import (
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// The wire: POST /wake?started=TIME&cancelled=true, either or both.
const (
	path      = "/wake"
	started   = "started" // when by the clock of who tells, as RFC 3339
	cancelled = "cancelled"
)

// Manager is who is told. Neither call waits.
type Manager interface {
	Started(at time.Time)
	Cancelled()
}

// Handle has mux take what Wakers tell, for m.
func Handle(mux *http.ServeMux, m Manager) {
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		n, err := readNews(r.URL.Query())
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if !n.started.IsZero() {
			m.Started(n.started)
		}
		if n.cancelled {
			m.Cancelled()
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

func (n news) query() url.Values {
	q := url.Values{}
	if !n.started.IsZero() {
		q.Set(started, n.started.UTC().Format(time.RFC3339Nano))
	}
	if n.cancelled {
		q.Set(cancelled, "true")
	}
	return q
}

func readNews(q url.Values) (news, error) {
	n := news{cancelled: q.Get(cancelled) == "true"}
	if at := q.Get(started); at != "" {
		var err error
		if n.started, err = time.Parse(time.RFC3339Nano, at); err != nil {
			return news{}, fmt.Errorf("%s: %w", started, err)
		}
	}
	if n == (news{}) {
		return news{}, fmt.Errorf("what has happened? Say %s=TIME or %s=true", started, cancelled)
	}
	return n, nil
}
