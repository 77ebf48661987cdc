package manager

import (
	"testing"

	"github.com/jobnetes/jobnetes/dao"
)

func TestNotes(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		noted   int // indexes, from 0 on
		again   int // of them, once more
		outputs []dao.IndexOutput
		want    string
	}{
		"none":                  {0, 0, nil, ""},
		"one":                   {1, 0, nil, "1 of 20 indexes (0): why 0"},
		"all of them recorded":  {2, 0, []dao.IndexOutput{{Index: 0, Output: "1"}, {Index: 1, Output: "2"}}, ""},
		"the first recorded":    {2, 0, []dao.IndexOutput{{Index: 0, Output: "1"}, {Index: 1, Output: "{}"}}, "1 of 20 indexes (1): why 1"},
		"more than are shown":   {12, 0, nil, "12 of 20 indexes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …): why 0"},
		"only one of the later": {11, 0, recorded(10), "1 of 20 indexes (10): no JSON object"},
		"noted again":           {12, 2, nil, "12 of 20 indexes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, …): why 0"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var n notes
			for _, noted := range []int{tc.noted, tc.again} {
				for i := range noted {
					n.add(uint32(i), "why "+string(rune('0'+i)))
				}
			}
			n.add(19, "") // took its output
			if got := n.of(tc.outputs, 20); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// recorded are the outputs of so many indexes.
func recorded(n int) (outputs []dao.IndexOutput) {
	for i := range n {
		outputs = append(outputs, dao.IndexOutput{Index: uint32(i), Output: "1"})
	}
	return outputs
}
