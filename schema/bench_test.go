package schema

import (
	"fmt"
	"testing"
)

// BenchmarkParse reads and checks a definition, as each start of a workflow that is
// not known yet does.
func BenchmarkParse(b *testing.B) {
	chain, sets := []string(nil), ""
	for i := range 10 {
		next := ""
		if i < 9 {
			next = fmt.Sprintf(`,"next":"step%d"`, i+1)
		}
		chain = append(chain, kube(fmt.Sprint("step", i), next))
	}
	for i := range 1000 {
		if i > 0 {
			sets += ","
		}
		sets += "[" + kube(fmt.Sprint("item", i), "") + "]"
	}
	for name, definition := range map[string]string{
		"a chain of 10":     workflow(chain...),
		"1,000 in parallel": workflow(`{"name":"all","type":"parallel","task-sets":[` + sets + `]}`),
		"a branch": workflow(`{"name":"check","type":"branch","tasks":[{"condition":"$.value > 3","next":"big"},{"condition":"$.value <= 3","next":"small"}]}`,
			kube("big", ""), kube("small", "")),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(definition)))
			for b.Loop() {
				if _, err := Parse([]byte(definition)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
