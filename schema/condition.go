package schema

import (
	"errors"
	"fmt"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/ext"
)

const (
	// MaxConditionSize is the longest source of a condition, in bytes.
	MaxConditionSize = 4096
	// conditionCost bounds an evaluation, in CEL's units (about one for each
	// step, see callCost). It lets a condition look at each of some 100,000
	// elements. There is no limit in time, so that the same input always gives
	// the same result.
	conditionCost = 1_000_000
	// maxQuoted and maxReason keep errors readable, in characters.
	maxQuoted = 100
	maxReason = 1000
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
		ext.Strings(),
		cel.ASTValidators(costlyFunctions{}, cel.ValidateRegexProgramSizeLimit(maxRegexProgram)),
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
		return Condition{}, conditionError(src, err.Error())
	}
	env, err := conditionEnv()
	if err != nil {
		return Condition{}, fmt.Errorf("set up the language of conditions: %w", err)
	}
	ast, issues := env.Compile(text)
	if issues.Err() != nil {
		return Condition{}, conditionError(src, describeIssues(src, issues))
	}
	if t := ast.OutputType(); !t.IsExactType(cel.BoolType) && !t.IsExactType(cel.DynType) {
		return Condition{}, conditionError(src, fmt.Sprintf("its result is of type %s; it must be true or false", t))
	}
	priceKeys(ast.NativeRep())
	c := Condition{source: src, ast: ast}
	if c.program, err = c.plan(); err != nil {
		return Condition{}, conditionError(src, describeFault(err.Error()))
	}
	return c, nil
}

func (c Condition) plan(opts ...cel.ProgramOption) (cel.Program, error) {
	env, err := conditionEnv()
	if err != nil {
		return nil, err
	}
	opts = append(opts, cel.CostLimit(conditionCost), cel.CostTracking(callCost{}), cel.CustomDecoratorV2(chargeInFull))
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
		return false, conditionError(c.source, err.Error())
	}
	vars := map[string]any{inputName: value}
	result, _, err := c.program.Eval(vars)
	if err != nil {
		return false, conditionError(c.source, c.explain(vars, err))
	}
	b, ok := result.Value().(bool)
	if !ok {
		return false, conditionError(c.source, fmt.Sprintf("the result is of type %s; it must be true or false, so compare it with something", celTypeName(result)))
	}
	return b, nil
}
