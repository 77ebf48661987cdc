package schema

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// maxProblems bounds how many problems Parse reports, so that the answer to a
// hostile document stays readable and small.
const maxProblems = 100

// Problem is one thing that is wrong with a definition.
type Problem struct {
	// Path is where: a JSON path such as $.tasks[2].task-sets[0][1].name.
	Path string
	// Message is what is wrong, and what would be right.
	Message string
}

// Problems is the error of Parse: everything that is wrong with a definition.
type Problems []Problem

// Error returns one line per problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.Path + ": " + problem.Message
	}
	return strings.Join(lines, "\n")
}

// report collects problems while a document is checked.
type report struct {
	problems Problems
	untold   int
}

func (r *report) add(at *path, format string, args ...any) {
	if r.full() {
		r.untold++
		return
	}
	r.problems = append(r.problems, Problem{Path: at.String(), Message: fmt.Sprintf(format, args...)})
}

// full tells those to whom a message is costly that it would not be kept.
func (r *report) full() bool { return len(r.problems) >= maxProblems }

// count is the number of problems so far, told or not.
func (r *report) count() int { return len(r.problems) + r.untold }

// err returns the problems as an error, or nil if there are none.
func (r *report) err() error {
	if r.count() == 0 {
		return nil
	}
	if r.untold > 0 {
		more := Problem{Path: "$", Message: fmt.Sprintf("and %d more problems; correct those above first", r.untold)}
		return append(r.problems, more)
	}
	return r.problems
}

// path is a place in a document. It is a list linked towards the root, because
// a document has many places and few of them are ever printed. The nil path is
// the root.
type path struct {
	parent *path
	key    string
	index  int
	isKey  bool // whether key or index is the step
}

func (p *path) child(key string) *path { return &path{parent: p, key: key, isKey: true} }

func (p *path) at(index int) *path { return &path{parent: p, index: index} }

// plainKey matches the keys that a path shows without brackets and quotes.
var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// String returns the JSON path, beginning with $.
func (p *path) String() string {
	var steps []string
	for ; p != nil; p = p.parent {
		switch {
		case !p.isKey:
			steps = append(steps, "["+strconv.Itoa(p.index)+"]")
		case plainKey.MatchString(p.key):
			steps = append(steps, "."+p.key)
		default:
			steps = append(steps, "["+strconv.Quote(p.key)+"]")
		}
	}
	var b strings.Builder
	b.WriteByte('$')
	for i := len(steps) - 1; i >= 0; i-- {
		b.WriteString(steps[i])
	}
	return b.String()
}
