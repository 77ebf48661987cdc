package schema

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// costlyFunctions keeps functions out of conditions that make one call's work
// or result grow with the product of its arguments, because the cost of a call
// is known only after it. It is a cel.ASTValidator.
type costlyFunctions struct{}

func (costlyFunctions) Name() string { return "jobnetes.costly_functions" }

func (costlyFunctions) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		switch name := e.AsCall().FunctionName(); name {
		case "replace", "join", "format", "indexOf", "lastIndexOf":
			issues.ReportErrorAtID(e.ID(), "%s is not available in conditions", name)
		}
	}))
}

// conditionError quotes the beginning of a condition's source and says why it
// is wrong.
func conditionError(src, reason string) error {
	return fmt.Errorf("condition `%s`: %s", shortened(src, maxQuoted), shortened(reason, maxReason))
}

// shortened returns the first characters of a text, with … for the others.
func shortened(text string, length int) string {
	count := 0
	for i := range text {
		if count == length {
			return text[:i] + "…"
		}
		count++
	}
	return text
}

// expectation matches the list of every token that the parser would have taken.
var expectation = regexp.MustCompile(` expecting (\{.*\}|<EOF>)$`)

// quotedWord matches what CEL's messages put between single quotes.
var quotedWord = regexp.MustCompile(`'([^']*)'`)

// describeIssues renders what is wrong with a source in the user's terms. A
// syntax error is told alone, as those after it are mostly its consequence.
func describeIssues(src string, issues *cel.Issues) string {
	var told []string
	for _, e := range issues.Errors() {
		message, isSyntax := strings.CutPrefix(e.Message, "Syntax error: ")
		message = describeFault(expectation.ReplaceAllString(message, ""))
		if e.Location.Line() > 0 {
			message = describePosition(src, e.Location.Line(), max(e.Location.Column(), 0)+1) + ": " + message
		}
		told = append(told, message)
		if isSyntax {
			break
		}
	}
	return strings.Join(told, "; ")
}

// overloadPhrase matches how CEL says that an operator does not apply.
var overloadPhrase = regexp.MustCompile(`found no matching overload for ('[^']*') applied to '([^']*)'`)

// plainWords puts CEL's phrases into words for those who do not know parsers.
var plainWords = strings.NewReplacer(
	"token recognition error at: '= '", "unexpected '='; equality is ==",
	"token recognition error at: ", "unexpected ",
	"mismatched input ", "unexpected ",
	"extraneous input ", "unexpected ",
	"no viable alternative at input ", "unexpected ",
	"undeclared reference to ", "there is no ",
	"'<EOF>'", "end",
)

// describeFault puts a message of CEL into the user's terms and takes the
// internal names out: those of operators, such as _>_, and that of the input.
func describeFault(message string) string {
	message = overloadPhrase.ReplaceAllString(plainWords.Replace(message), "$1 does not apply to $2")
	return quotedWord.ReplaceAllStringFunc(message, func(quoted string) string {
		word := strings.Trim(quoted, "'")
		if word == inputName {
			return "'$'"
		}
		if _, isOperator := operators.FindReverse(word); isOperator {
			return "'" + operatorName(word) + "'"
		}
		if rest, ok := strings.CutPrefix(word, inputName+"."); ok {
			return "'$." + rest + "'"
		}
		return quoted
	})
}

// operatorName returns how a function is written in a condition.
func operatorName(function string) string {
	switch function {
	case operators.Conditional:
		return "?:"
	case operators.Index:
		return "[]"
	}
	if name, ok := operators.FindReverse(function); ok && name != "" {
		return name
	}
	return function
}

// explain says why an evaluation failed. vars are the evaluation's.
func (c Condition) explain(vars map[string]any, err error) string {
	if _, ok := errors.AsType[interpreter.EvalCancelledError](err); ok {
		return "it takes too much work; look at less of the input"
	}
	message := describeFault(err.Error())
	fault, ok := errors.AsType[*types.Err](err)
	if !ok {
		return message
	}
	node := findNode(c.ast.NativeRep().Expr(), fault.NodeID())
	if key, ok := strings.CutPrefix(err.Error(), "no such key: "); ok {
		message = fmt.Sprintf("there is no key %q; %s", key, adviseKey(node, key))
	} else if strings.HasPrefix(err.Error(), "no such overload") {
		message = c.explainOverload(vars, node)
	}
	if at := c.ast.NativeRep().SourceInfo().GetStartLocation(fault.NodeID()); at.Line() > 0 {
		message = describePosition(c.source, at.Line(), at.Column()+1) + ": " + message
	}
	return message
}

// findNode returns the node with an id, or nil.
func findNode(root ast.Expr, id int64) ast.Expr {
	var found ast.Expr
	ast.PreOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		if e.ID() == id {
			found = e
		}
	}))
	return found
}

// adviseKey says how to guard the access to a key that is missing. node is the
// access that failed, of which the one to the key may be an inner part.
func adviseKey(node ast.Expr, key string) string {
	for node != nil && node.Kind() == ast.SelectKind {
		if node.AsSelect().FieldName() == key {
			if text, ok := selection(node); ok {
				return fmt.Sprintf("guard it with has(%s) && ...", text)
			}
			break
		}
		node = node.AsSelect().Operand()
	}
	return `guard it with "key" in ... && ...`
}

// selection renders $.a.b, and returns false for anything else.
func selection(e ast.Expr) (string, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		if e.AsIdent() == inputName {
			return "$", true
		}
		return e.AsIdent(), true
	case ast.SelectKind:
		operand, ok := selection(e.AsSelect().Operand())
		return operand + "." + e.AsSelect().FieldName(), ok
	}
	return "", false
}

// explainOverload says which operator met values of which types. To know them
// it evaluates the condition once more, this time keeping every value.
func (c Condition) explainOverload(vars map[string]any, node ast.Expr) string {
	const general = "an operator or function does not apply to the values here"
	if node == nil || node.Kind() != ast.CallKind {
		return general
	}
	program, err := c.plan(cel.EvalOptions(cel.OptTrackState))
	if err != nil {
		return general
	}
	// The evaluation fails as before; its values are what is wanted.
	_, details, _ := program.Eval(vars)
	if details == nil || details.State() == nil {
		return general
	}
	call := node.AsCall()
	args := call.Args()
	if call.IsMemberFunction() {
		args = append([]ast.Expr{call.Target()}, args...)
	}
	var names []string
	for _, arg := range args {
		value, ok := details.State().Value(arg.ID())
		if !ok && arg.Kind() == ast.LiteralKind {
			value, ok = arg.AsLiteral(), true
		}
		if !ok {
			return general
		}
		names = append(names, celTypeName(value))
	}
	return fmt.Sprintf("%q does not apply to %s", operatorName(call.FunctionName()), listed(names, "and"))
}

// celTypeName names the type of a value as CEL's own documentation does.
func celTypeName(v ref.Val) string {
	if v == nil {
		return "nothing"
	}
	return strings.TrimPrefix(v.Type().TypeName(), "google.protobuf.")
}
