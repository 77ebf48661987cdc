package webadmin

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// escapes are terminal sequences: CSI (colours, cursor), OSC (titles, links)
// and the short ones (ECMA-48).
var escapes = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-~])`)

// pictures are Unicode's pictures of the control characters.
const pictures = 0x2400

// cleanText makes what a program printed fit for a page: without terminal
// sequences, in valid UTF-8, other control characters as their pictures, and
// without the marks that turn the direction of text, which could make a line
// look like another.
func cleanText(data []byte) string {
	text := strings.ToValidUTF8(string(data), "\uFFFD")
	text = escapes.ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\n' || c == '\t':
			return c
		case c == '\r': // progress bars write over their line
			return '\n'
		case c < ' ':
			return pictures + c
		case unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c):
			return '\uFFFD'
		default:
			return c
		}
	}, text)
}

// tail reads r to its end, or to the first error, and returns its last limit
// bytes, from the beginning of a line if there is one, and how many bytes r had
// in all. It keeps no more than twice the limit in memory.
func tail(r io.Reader, limit int) (last []byte, total int64, err error) {
	buf := make([]byte, 0, min(2*limit, 64<<10))
	for {
		if len(buf) == cap(buf) && cap(buf) < 2*limit {
			buf = slices.Grow(buf, min(cap(buf), 2*limit-cap(buf)))
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf, total = buf[:len(buf)+n], total+int64(n)
		if len(buf) >= 2*limit {
			buf = buf[:copy(buf, buf[len(buf)-limit:])]
		}
		if errors.Is(err, io.EOF) {
			return lastLines(buf, total, limit), total, nil
		}
		if err != nil {
			return lastLines(buf, total, limit), total, err
		}
	}
}

func lastLines(buf []byte, total int64, limit int) []byte {
	if total <= int64(limit) {
		return buf
	}
	buf = buf[max(0, len(buf)-limit):]
	if i := bytes.IndexByte(buf, '\n'); i >= 0 && i < len(buf)-1 {
		buf = buf[i+1:]
	}
	return buf
}
