package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// idOrName tells the two ways apart to name a workflow: digits only are an id.
func idOrName(arg string) (id uint64, name string) {
	if id, err := strconv.ParseUint(arg, 10, 64); err == nil {
		return id, ""
	}
	return 0, arg
}

// parseID reads the id of what.
func parseID(what, arg string) (uint64, error) {
	id, err := strconv.ParseUint(arg, 10, 64)
	if err != nil || id == 0 {
		return 0, fmt.Errorf("%q is no %s id: that is a number, as `jobnetes executions` shows it", arg, what)
	}
	return id, nil
}

// readValue returns the value that an argument stands for: @FILE is what the
// file holds, @- or - what comes on stdin, and anything else itself.
func readValue(arg string, stdin io.Reader) ([]byte, error) {
	file, isFile := strings.CutPrefix(arg, "@")
	switch {
	case arg == "-":
		return readFile("-", stdin)
	case isFile:
		return readFile(file, stdin)
	default:
		return []byte(arg), nil
	}
}

// readFile reads a file, or stdin if it is named -.
func readFile(name string, stdin io.Reader) ([]byte, error) {
	if name != "-" {
		return os.ReadFile(name)
	}
	data, err := io.ReadAll(stdin)
	if err != nil {
		return nil, fmt.Errorf("read stdin: %w", err)
	}
	return data, nil
}
