package webadmin

import (
	"bytes"
	"regexp"
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

// lastLines returns at most the last limit bytes of text, from the beginning of
// a line if there is one, and whether something is missing.
func lastLines(text []byte, limit int) ([]byte, bool) {
	if len(text) <= limit {
		return text, false
	}
	text = text[len(text)-limit-1:] // with the byte before: a line may begin right here
	if i := bytes.IndexByte(text, '\n'); i >= 0 && i < len(text)-1 {
		return text[i+1:], true
	}
	return text[1:], true
}
