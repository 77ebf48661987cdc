package schema

import (
	"fmt"
	"regexp"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

const (
	// maxRegexProgram bounds a regular expression, in instructions.
	maxRegexProgram = 500
	// maxPattern bounds one that is not known before the evaluation, in bytes.
	maxPattern = 1000
	// patternCost is for compiling a byte of a pattern: x{1000} is no small one.
	patternCost = 100
	// stepsPerUnit is how many instructions, each over one byte, cost one unit.
	stepsPerUnit = 100
)

// match replaces CEL's own matches() to charge for it before it is done: it is
// the one function that can take long over a single text.
type match struct {
	interpreter.InterpretableCall
	constant *pattern // nil if it is not known before the evaluation
}

// pattern is a compiled regular expression.
type pattern struct {
	regexp *regexp.Regexp
	size   int // in instructions
}

func compilePattern(source string) (*pattern, error) {
	size, err := types.RegexProgramSize(source)
	if err != nil {
		return nil, err
	}
	if size > maxRegexProgram {
		return nil, fmt.Errorf("the regexp has %d instructions when it is compiled; at most %d are allowed", size, maxRegexProgram)
	}
	compiled, err := regexp.Compile(source)
	if err != nil {
		return nil, err
	}
	return &pattern{compiled, size}, nil
}

func newMatch(call interpreter.InterpretableCall) *match {
	m := &match{InterpretableCall: call}
	if literal, ok := call.Args()[1].(interpreter.InterpretableConst); ok {
		if source, ok := literal.Value().(types.String); ok {
			// If it is wrong, the evaluation finds that again, and says so.
			m.constant, _ = compilePattern(string(source))
		}
	}
	return m
}

// Exec implements interpreter.InterpretableV2.
func (m *match) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	var values [2]ref.Val
	for i, arg := range m.Args() {
		if values[i] = arg.Exec(frame); types.IsUnknownOrError(values[i]) {
			return values[i]
		}
	}
	text, isText := values[0].(types.String)
	source, isPattern := values[1].(types.String)
	if !isText || !isPattern {
		return types.NewErrWithNodeID(m.ID(), "no such overload: %s", m.Function())
	}
	p := m.constant
	if p == nil {
		if len(source) > maxPattern {
			return types.NewErrWithNodeID(m.ID(), "the regexp has %d bytes; at most %d are allowed", len(source), maxPattern)
		}
		charge(frame, m.ID(), uint64(len(source)+1)*patternCost)
		var err error
		if p, err = compilePattern(string(source)); err != nil {
			return types.LabelErrNode(m.ID(), types.WrapErr(err))
		}
	}
	charge(frame, m.ID(), 1+uint64(len(text))*uint64(p.size)/stepsPerUnit)
	return types.Bool(p.regexp.MatchString(string(text)))
}

// Eval implements interpreter.Interpretable.
func (m *match) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, m.Exec)
}
