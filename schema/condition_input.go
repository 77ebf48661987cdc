package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// inputName stands for $ in what CEL compiles, because CEL has no $ in names.
// It is as long as $, so that all positions stay right.
const inputName = "_"

// renameInput replaces every $ outside of literals and comments.
func renameInput(src string) (string, error) {
	out := []byte(src)
	previous := byte(0) // the last byte that is no space
	for i := 0; i < len(src); {
		start := i
		switch c := src[i]; {
		case strings.HasPrefix(src[i:], "//"):
			i += lineLength(src[i:])
			continue
		case c == '\'' || c == '"':
			i += literalLength(src[i:], false)
		case isWordByte(c):
			for i < len(src) && isWordByte(src[i]) {
				i++
			}
			word := src[start:i]
			if word == inputName && previous != '.' {
				return "", fmt.Errorf("%s: there is no %q; the input is called $", position(src, start), word)
			}
			if isRawPrefix(word) && i < len(src) && (src[i] == '\'' || src[i] == '"') {
				i += literalLength(src[i:], true)
			}
		case c == '$':
			if i++; previous == '.' || touchesWord(src, start) {
				return "", fmt.Errorf("%s: $ is the whole input; write $.key for a part of it", position(src, start))
			}
			out[start] = inputName[0]
		default:
			i++
			if strings.IndexByte(" \t\r\n\f", c) >= 0 {
				continue
			}
		}
		previous = src[i-1]
	}
	return string(out), nil
}

// literalLength returns the length of the string literal that src begins with,
// as far as it goes if it does not end.
func literalLength(src string, raw bool) int {
	quote := src[:1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(src, triple) {
		quote = triple
	}
	for i := len(quote); i < len(src); i++ {
		switch {
		case src[i] == '\\' && !raw:
			i++
		case strings.HasPrefix(src[i:], quote):
			return i + len(quote)
		}
	}
	return len(src)
}

func lineLength(src string) int {
	if n := strings.IndexByte(src, '\n'); n >= 0 {
		return n
	}
	return len(src)
}

// isRawPrefix tells whether a word before a quote makes the literal raw, in
// which a backslash escapes nothing.
func isRawPrefix(word string) bool {
	switch strings.ToLower(word) {
	case "r", "br", "rb":
		return true
	}
	return false
}

func isWordByte(c byte) bool { return c == '_' || isAlphanumeric(rune(c)) }

// touchesWord tells whether the byte at i is next to a letter, digit or $.
func touchesWord(src string, i int) bool {
	touches := func(j int) bool {
		return j >= 0 && j < len(src) && (isWordByte(src[j]) || src[j] == '$')
	}
	return touches(i-1) || touches(i+1)
}

// position describes the place of a byte for people. One-line sources, which
// nearly all are, need no line.
func position(src string, offset int) string {
	line := strings.Count(src[:offset], "\n") + 1
	column := utf8.RuneCountInString(src[strings.LastIndexByte(src[:offset], '\n')+1:offset]) + 1
	return describePosition(src, line, column)
}

func describePosition(src string, line, column int) string {
	if strings.Contains(src, "\n") {
		return fmt.Sprintf("line %d, column %d", line, column)
	}
	return fmt.Sprintf("column %d", column)
}

// decodeInput decodes JSON for CEL: whole numbers as int64 if they fit, so
// that they stay exact, other numbers as float64, and objects in order.
func decodeInput(input []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(input))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("the input is not JSON: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the input is not JSON: something follows the value")
	}
	return convertValue(v)
}

func convertValue(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, fmt.Errorf("the input's number %s is too large", v)
		}
		return f, nil
	case map[string]any:
		for key, element := range v {
			if v[key], err = convertValue(element); err != nil {
				return nil, err
			}
		}
		return newInputMap(v), nil
	case []any:
		for i, element := range v {
			if v[i], err = convertValue(element); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
