package webadmin

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"
)

const (
	// valueLimit is how much of an input, an output or a message a page shows,
	// in bytes.
	valueLimit = 16 << 10
	// definitionLimit is the same for a definition.
	definitionLimit = 256 << 10
	// indentDepth is the deepest nesting that is indented: the space of
	// indentation goes with the square of the depth.
	indentDepth = 64
)

// valueView is a JSON value, or a definition, as a page shows it.
type valueView struct {
	Title, Text string
	Size        int    // of the whole, in bytes
	Cut         bool   // Text is only its beginning
	Raw         string // the address of the whole
	None        string // in place of all that: there is no value, or not yet
}

func newValue(title, text, raw string, limit int) valueView {
	v := valueView{Title: title, Size: len(text), Raw: raw}
	v.Text, v.Cut = cutText(cleanText([]byte(indent(text))), limit)
	return v
}

// noOutput is what the rows hold until there is an output.
const noOutput = "{}"

// newOutput returns the output of an execution or a task. Only the {} of a
// success is a result.
func newOutput(text, raw string, ended, success bool) valueView {
	switch {
	case text != noOutput || success:
		return newValue("Output", text, raw, valueLimit)
	case ended:
		return valueView{Title: "Output", None: "none"}
	default:
		return valueView{Title: "Output", None: "none yet"}
	}
}

// indent lays JSON out for people. What is no JSON, such as YAML, stays as it is.
func indent(text string) string {
	var buf bytes.Buffer
	if !json.Valid([]byte(text)) || depth(text) > indentDepth || json.Indent(&buf, []byte(text), "", "  ") != nil {
		return text
	}
	return buf.String()
}

// depth returns how deep JSON nests, or more: brackets in strings count too.
func depth(text string) int {
	deepest, now := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '{', '[':
			now++
			deepest = max(deepest, now)
		case '}', ']':
			now--
		}
	}
	return deepest
}

// cutText returns at most limit bytes of text, whole characters, and whether
// something is missing.
func cutText(text string, limit int) (string, bool) {
	if len(text) <= limit {
		return text, false
	}
	end := limit
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end], true
}

// oneLine returns the first line of text, at most limit characters of it.
func oneLine(text string, limit int) string {
	line, _, more := strings.Cut(strings.TrimSpace(text), "\n")
	runes := []rune(line)
	if len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	if more {
		return line + " …"
	}
	return line
}

// writeValue sends a value as it is stored.
func writeValue(w http.ResponseWriter, text string) error {
	contentType := "text/plain; charset=utf-8"
	if json.Valid([]byte(text)) {
		contentType = "application/json; charset=utf-8"
	}
	w.Header().Set("Content-Type", contentType)
	return write(w, http.StatusOK, []byte(text))
}
