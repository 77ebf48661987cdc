package schema

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"
)

const (
	// MaxConditionSize is the longest source of a condition, in bytes.
	MaxConditionSize = 4096
	// conditionCost bounds an evaluation, in CEL's units (about one for each
	// step). It lets a condition look at each of some 100,000 elements.
	conditionCost = 1_000_000
	// conditionTimeout ends what the cost underrates, such as comparing large
	// values again and again. A sane condition takes microseconds.
	conditionTimeout = 5 * time.Second
	// maxRegexProgram bounds a regular expression, which may come from the input.
	maxRegexProgram = 500
)

// Condition is a compiled condition of a branch: a CEL expression over the
// branch's input, which it calls $. The zero Condition cannot be evaluated. A
// Condition is safe for concurrent use.
type Condition struct {
	source  string
	ast     *cel.Ast
	program cel.Program
}

// String returns the condition's source.
func (c Condition) String() string { return c.source }

// conditionEnv is the language of conditions. CrossTypeNumericComparisons lets
// $.value > 3 hold for 4 as for 3.5, since JSON has one kind of number.
var conditionEnv = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		cel.Variable(inputName, cel.DynType),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.ParserExpressionSizeLimit(MaxConditionSize),
		cel.ParserRecursionLimit(100),
		cel.RegexProgramSizeLimit(maxRegexProgram),
		ext.Strings(),
		cel.ASTValidators(costlyFunctions{}),
	)
})

// CompileCondition compiles a condition. The error says where in the source it
// is wrong, or that its result could never be true or false.
func CompileCondition(src string) (Condition, error) {
	if len(src) > MaxConditionSize {
		return Condition{}, fmt.Errorf("the condition has %d bytes; at most %d are allowed", len(src), MaxConditionSize)
	}
	text, err := renameInput(src)
	if err != nil {
		return Condition{}, fmt.Errorf("condition `%s`: %w", src, err)
	}
	env, err := conditionEnv()
	if err != nil {
		return Condition{}, fmt.Errorf("set up the language of conditions: %w", err)
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return Condition{}, fmt.Errorf("condition `%s`: %s", src, describeIssues(src, issues))
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return Condition{}, fmt.Errorf("condition `%s`: its result is of type %s; it must be true or false", src, t)
	}
	c := Condition{source: src, ast: ast}
	if c.program, err = c.plan(); err != nil {
		return Condition{}, fmt.Errorf("condition `%s`: %s", src, describeFault(err.Error()))
	}
	return c, nil
}

func (c Condition) plan(opts ...cel.ProgramOption) (cel.Program, error) {
	env, err := conditionEnv()
	if err != nil {
		return nil, err
	}
	opts = append(opts, cel.CostLimit(conditionCost), cel.InterruptCheckFrequency(100))
	return env.Program(c.ast, opts...)
}

// Eval evaluates the condition over an input, which must be JSON. It is an
// error if the input lacks what the condition asks for, if an operator does
// not apply to what it finds, if the result is no boolean, or if it takes too
// much work.
func (c Condition) Eval(input []byte) (bool, error) {
	if c.program == nil {
		return false, errors.New("the condition was not compiled; get conditions from CompileCondition")
	}
	value, err := decodeInput(input)
	if err != nil {
		return false, fmt.Errorf("condition `%s`: %w", c.source, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), conditionTimeout)
	defer cancel()
	vars := map[string]any{inputName: value}
	result, _, err := c.program.ContextEval(ctx, vars)
	if err != nil {
		return false, fmt.Errorf("condition `%s`: %s", c.source, c.explain(ctx, vars, err))
	}
	b, ok := result.Value().(bool)
	if !ok {
		return false, fmt.Errorf("condition `%s`: the result is of type %s; it must be true or false, so compare it with something", c.source, celTypeName(result))
	}
	return b, nil
}
