package schema

import (
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"cel.dev/cel-go/interpreter"
)

const (
	// textPerUnit is how many bytes of text cost one unit.
	textPerUnit = 10
	// zoneCost is for a call with a time zone, which is looked up every time.
	zoneCost = 100
	// tollFunction cannot be called in a condition.
	tollFunction = "@toll"
)

// callCost prices calls by the values they meet. CEL's own prices go by the
// types known before an evaluation, and nothing is known of $. It is an
// interpreter.ActualCostEstimator.
//
// A price is known only after its call, so one call must never be too much. It
// is not, because no value is: the input is bounded, and whatever joins values
// into a larger one (lists, maps, +) is charged for the whole of it, with what
// is shared counted as often as it appears.
type callCost struct{}

func (callCost) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	cost := uint64(1)
	switch function {
	case tollFunction:
		cost = uint64(args[0].(types.Uint))
	case operators.Add:
		// A loop's own list grows in place by a literal, which is paid for.
		if _, ofLoop := args[0].(traits.MutableLister); !ofLoop {
			cost += sizeOf(result, conditionCost)
		}
	case operators.Equals, operators.NotEquals:
		cost += 2 * smallerSize(args[0], args[1])
	case operators.In, operators.OldIn:
		cost += sizeOf(args[0], conditionCost)
		if _, isMap := args[1].(traits.Mapper); !isMap {
			cost += sizeOf(args[1], conditionCost)
		}
	case operators.Index: // looks up, and copies nothing
	default:
		for _, arg := range args {
			cost += textSize(arg)
		}
		cost += textSize(result)
		if list, ok := result.(traits.Lister); ok { // as of split
			cost += sizeOf(list, conditionCost)
		}
		if strings.HasPrefix(function, "get") && len(args) == 2 {
			cost += zoneCost
		}
	}
	return &cost
}

func textSize(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v) / textPerUnit)
	case types.Bytes:
		return uint64(len(v) / textPerUnit)
	}
	return 0
}

// smallerSize bounds the work of comparing two values, which ends with the
// smaller one. It looks at little more than that itself.
func smallerSize(a, b ref.Val) uint64 {
	for limit := uint64(64); ; limit *= 4 {
		if size := min(sizeOf(a, limit), sizeOf(b, limit)); size < limit || limit > conditionCost {
			return size
		}
	}
}

// sizeOf measures a value with all that it holds, in units of cost. It stops
// at a limit, as shared parts can make the whole exponentially large.
func sizeOf(v ref.Val, limit uint64) uint64 {
	size := uint64(0)
	addSize(v, &size, limit)
	return min(size, limit)
}

func addSize(v ref.Val, size *uint64, limit uint64) {
	*size += 1 + textSize(v)
	sizer, ok := v.(traits.Sizer)
	if _, isContainer := v.(traits.Iterable); !ok || !isContainer {
		return
	}
	// Every element counts at least one.
	if n, ok := sizer.Size().(types.Int); ok && *size+uint64(n) >= limit {
		*size = limit
		return
	}
	mapper, isMap := v.(traits.Mapper)
	for it := v.(traits.Iterable).Iterator(); *size < limit && it.HasNext() == types.True; {
		element := it.Next()
		addSize(element, size, limit)
		if isMap {
			if value, found := mapper.Find(element); found {
				addSize(value, size, limit)
			}
		}
	}
}

// chargeInFull decorates the steps of an evaluation for which CEL asks no price
// or asks it too late.
func chargeInFull(step interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	switch step := step.(type) {
	case interpreter.InterpretableConstructor:
		return &literal{step}, nil
	case interpreter.InterpretableCall:
		if step.Function() == overloads.Matches && len(step.Args()) == 2 {
			return newMatch(step), nil
		}
	}
	return step, nil
}

// priceKeys makes every computed key, as in $.a[$.b], the argument of a call,
// because CEL asks no price for hashing it, however long it is.
func priceKeys(checked *ast.AST) {
	id, factory := ast.MaxID(checked), ast.NewExprFactory()
	ast.PostOrderVisit(checked.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.Index {
			return
		}
		args := e.AsCall().Args()
		if args[1].Kind() == ast.LiteralKind {
			return
		}
		id++
		key := factory.NewCall(id, overloads.TypeConvertDyn, args[1])
		checked.SetReference(id, ast.NewFunctionReference(overloads.ToDyn))
		checked.SetType(id, types.DynType)
		e.SetKindCase(factory.NewCall(e.ID(), operators.Index, args[0], key))
	}))
}

// charge adds units to an evaluation's cost. It ends the evaluation, by a panic
// that CEL turns into an error, if that is too much.
func charge(frame *interpreter.ExecutionFrame, id int64, units uint64) {
	if costs := frame.CostTracker(); costs != nil {
		costs.EvalUnary(frame, id, toll{}, types.Uint(units), nil)
	}
}

// toll is the call that charge prices; its argument is the price.
type toll struct{}

func (toll) Function() string   { return tollFunction }
func (toll) OverloadID() string { return tollFunction }

// literal makes a list, or a map in order, and charges for the whole of it.
type literal struct {
	interpreter.InterpretableConstructor
}

// Exec implements interpreter.InterpretableV2.
func (l *literal) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	made := l.InterpretableConstructor.Exec(frame)
	charge(frame, l.ID(), sizeOf(made, conditionCost))
	if m, ok := made.(traits.Mapper); ok {
		return newLiteralMap(l.ID(), m)
	}
	return made
}

// Eval implements interpreter.Interpretable.
func (l *literal) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, l.Exec)
}
