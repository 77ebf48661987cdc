package webadmin

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestFormatDuration(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]time.Duration{
		"0 ms":      0,
		"420 ms":    420 * time.Millisecond,
		"999 ms":    time.Second - time.Microsecond,
		"1.2 s":     1299 * time.Millisecond,
		"59.9 s":    time.Minute - time.Millisecond,
		"1 m 00 s":  time.Minute,
		"3 m 04 s":  3*time.Minute + 4*time.Second,
		"59 m 59 s": time.Hour - time.Millisecond,
		"2 h 05 m":  2*time.Hour + 5*time.Minute + 59*time.Second,
		"23 h 59 m": 24*time.Hour - time.Second,
		"1 d 03 h":  27 * time.Hour,
	} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v: got %q, want %q", d, got, want)
		}
	}
	if got := formatDuration(-time.Second); got != "0 ms" {
		t.Errorf("negative: got %q", got)
	}
}

func TestCleanText(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ in, want string }{
		"plain":         {"a\tb\nc", "a\tb\nc"},
		"colours":       {"\x1b[1;31mred\x1b[0m", "red"},
		"cursor":        {"\x1b[2K\x1b[1Gdone", "done"},
		"title, bell":   {"\x1b]0;title\x07x", "x"},
		"link":          {"\x1b]8;;http://a\x1b\\text\x1b]8;;\x1b\\", "text"},
		"charset":       {"\x1b(Bx", "x"},
		"lone escape":   {"x\x1b", "x␛"},
		"windows":       {"a\r\nb", "a\nb"},
		"progress":      {"10%\r20%", "10%\n20%"},
		"control":       {"a\x00b\x08", "a␀b␈"},
		"delete, C1":    {"a\x7fb\u0085", "a\uFFFDb\uFFFD"},
		"invalid UTF-8": {"a\xffb", "a\uFFFDb"},
		"direction":     {"a\u202Eb", "a\uFFFDb"},
		"other scripts": {"日本 é 🎉", "日本 é 🎉"},
	}
	for name, tc := range cases {
		if got := cleanText([]byte(tc.in)); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		in    string
		limit int
		want  string
		cut   bool
	}{
		"empty":                   {"", 4, "", false},
		"all of it":               {"abcd", 4, "abcd", false},
		"from the next line":      {"one\ntwo\nthree\n", 9, "three\n", true},
		"from a line's own start": {"one\ntwo\nthree\n", 10, "two\nthree\n", true},
		"one long line":           {"0123456789", 4, "6789", true},
		"a long line that ends":   {"0123456789\n", 4, "789\n", true},
	}
	for name, tc := range cases {
		if got, cut := lastLines([]byte(tc.in), tc.limit); string(got) != tc.want || cut != tc.cut {
			t.Errorf("%s: got %q, cut %t, want %q, %t", name, got, cut, tc.want, tc.cut)
		}
	}
}

func TestIndent(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", indentDepth+1) + strings.Repeat("]", indentDepth+1)
	for name, tc := range map[string]struct{ in, want string }{
		"object":    {`{"b":1,"a":[12345678901234567890]}`, "{\n  \"b\": 1,\n  \"a\": [\n    12345678901234567890\n  ]\n}"},
		"too deep":  {deep, deep},
		"no JSON":   {"name: x\n", "name: x\n"},
		"cut short": {`{"a":`, `{"a":`},
	} {
		if got := indent(tc.in); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

func FuzzCleanText(f *testing.F) {
	f.Add([]byte("\x1b[31mred\x1b]0;x"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got := cleanText(data)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\x1b\r\x00\x7f") {
			t.Errorf("%q became %q", data, got)
		}
	})
}
