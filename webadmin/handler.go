package webadmin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strconv"
)

// handlerFunc answers a request, or returns an error for fail to answer.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

// response knows whether an answer has begun.
type response struct {
	http.ResponseWriter
	begun bool
}

func (w *response) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *response) Write(p []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// handle makes an http.Handler of h: its error, or panic, becomes the answer.
func (s *Server) handle(h handlerFunc) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &response{ResponseWriter: rw}
		if err := recovered(h, w, r); err != nil {
			s.fail(w, r, err)
		}
	})
}

func recovered(h handlerFunc, w http.ResponseWriter, r *http.Request) (err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			panic(p)
		default:
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return h(w, r)
}

// writeJSON encodes v into a buffer first: an error can still become an answer.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	return write(w, status, buf.Bytes())
}

func writeText(w http.ResponseWriter, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	return write(w, http.StatusOK, []byte(text))
}

// write sends a whole answer. That the client may be gone is no error of ours.
func write(w http.ResponseWriter, status int, body []byte) error {
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.Copy(w, bytes.NewReader(body))
	return nil
}

// pathID returns the id in the path. Ids fit into 63 bits: SQLite knows no more.
func pathID(r *http.Request) (uint64, error) {
	return parseID(r.PathValue("id"))
}

func parseID(text string) (uint64, error) {
	id, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, problem{kind: errBadRequest, message: fmt.Sprintf("%q is no id: an id is a number, as in the lists.", text)}
	}
	return id, nil
}

// queryID returns the id in the query, 0 if there is none.
func queryID(r *http.Request, name string) (uint64, error) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return 0, nil
	}
	return parseID(text)
}
