package schema

import (
	"cmp"
	"slices"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// orderedMap is a map whose keys come in order. CEL's own come in another one
// each time, so that $.map(k, k)[0] would be any key. Nor does CEL charge for the
// copy of all keys that each loop over a map begins with; here it is made once.
type orderedMap struct {
	traits.Mapper
	keys []ref.Val // nil until they are asked for
}

// newInputMap returns an object of the input as a map of CEL.
func newInputMap(object map[string]any) ref.Val {
	return &orderedMap{Mapper: types.NewStringInterfaceMap(types.DefaultTypeAdapter, object)}
}

// newLiteralMap returns a map that a condition has made as one in order, or an
// error if a key is not of the types that the language allows.
func newLiteralMap(id int64, made traits.Mapper) ref.Val {
	for it := made.Iterator(); it.HasNext() == types.True; {
		switch key := it.Next(); key.(type) {
		case types.Bool, types.Int, types.Uint, types.String:
		default:
			return types.NewErrWithNodeID(id, "a key is a boolean, a whole number or a string, and not of type %s", celTypeName(key))
		}
	}
	return &orderedMap{Mapper: made}
}

// Iterator implements traits.Iterable.
func (m *orderedMap) Iterator() traits.Iterator {
	if m.keys == nil {
		for it := m.Mapper.Iterator(); it.HasNext() == types.True; {
			m.keys = append(m.keys, it.Next())
		}
		slices.SortFunc(m.keys, compareKeys)
	}
	return types.NewRefValList(types.DefaultTypeAdapter, m.keys).Iterator()
}

// compareKeys orders keys by their types, then by their values.
func compareKeys(a, b ref.Val) int {
	if n := cmp.Compare(a.Type().TypeName(), b.Type().TypeName()); n != 0 {
		return n
	}
	// Values of one of the types that a key may have compare without an error.
	n, _ := a.(traits.Comparer).Compare(b).(types.Int)
	return int(n)
}
