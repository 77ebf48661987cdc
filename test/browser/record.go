package browser

import (
	"slices"
	"strings"
	"sync"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
)

// record collects what happens in a tab.
type record struct {
	mu               sync.Mutex
	requests, errors []string
}

// add takes an event of the tab. chromedp calls it before the step that caused
// the event returns.
func (r *record) add(event any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, "data:") { // part of the page: nobody is asked
			r.requests = append(r.requests, e.Request.URL)
		}
	case *network.EventWebSocketCreated:
		r.requests = append(r.requests, e.URL)
	case *runtime.EventExceptionThrown:
		r.errors = append(r.errors, exception(e.ExceptionDetails))
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			r.errors = append(r.errors, "console.error: "+arguments(e.Args))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			r.errors = append(r.errors, e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

func (r *record) requested() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

func (r *record) failed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.errors)
}

func exception(details *runtime.ExceptionDetails) string {
	if details.Exception != nil && details.Exception.Description != "" {
		return details.Text + " " + details.Exception.Description
	}
	return details.Text
}

// arguments gives what console.error was called with.
func arguments(args []*runtime.RemoteObject) string {
	texts := make([]string, 0, len(args))
	for _, arg := range args {
		text := arg.Description
		if text == "" {
			text = string(arg.Value)
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}
