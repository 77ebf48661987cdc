package main

import "testing"

func TestErrorLine(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ text, want string }{
		"a line":                   {"exit code 1", "exit code 1"},
		"the last lines of a log":  {"exit code 1; last lines of the log:\nstarting\n\n  cannot open balloons.txt\n", "exit code 1; last lines of the log: starting | cannot open balloons.txt"},
		"what moves the cursor":    {"a\x1b[2Jb\r\nc\td", "a [2Jb | c d"},
		"nothing":                  {"", ""},
		"a line that ends as such": {"why:", "why:"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := errorLine(tc.text); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
