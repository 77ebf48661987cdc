package bench

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// scenario is a kind of work that is measured.
type scenario struct {
	name    string
	measure func(t *testing.T, b *bench)
}

// scenarios are all there are, in the order of the table.
var scenarios = []scenario{
	{"chain", measureChain},
	{"node", measureNode},
	{"burst", measureBurst},
	{"fanout", measureFanout},
	{"growth", measureGrowth},
	{"indexed", measureIndexed},
	{"throttle", measureThrottle},
	{"backlog", measureBacklog},
	{"start", measureStart},
	{"pages", measurePages},
	{"scaling", measureScaling},
	{"idle", measureIdle},
	{"memory", measureMemory},
}

// all is the name that stands for every scenario.
const all = "all"

// selected gives the scenarios of a list of names, divided by commas.
func selected(list string) ([]scenario, error) {
	if list == all {
		return scenarios, nil
	}
	var found []scenario
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no scenario %q: SCENARIO is one or more, divided by commas, of %s", name, strings.Join(names(), ", "))
		}
		found = append(found, scenarios[i])
	}
	return found, nil
}

func names() []string {
	var all []string
	for _, s := range scenarios {
		all = append(all, s.name)
	}
	return all
}

// bench is one run of a scenario.
type bench struct {
	scenario string
	size     int // SIZE; 0: the scenario's own
	results  []result
	plots    []plot
}

// sizes gives the sizes up to the largest: SIZE, if it is given, else def.
func (b *bench) sizes(def int, steps ...int) []int {
	largest := b.size
	if largest == 0 {
		largest = def
	}
	steps = slices.DeleteFunc(slices.Clone(steps), func(n int) bool { return n >= largest })
	return append(steps, largest)
}

// add adds a result of both sides; a side without values is not measured.
func (b *bench) add(work, metric, unit string, ours, floor sample) {
	b.results = append(b.results, newResult(b.scenario, work, metric, unit, ours, floor))
}

// addPercentiles adds the p50 and the p99 of milliseconds that events of both sides
// took.
func (b *bench) addPercentiles(work, metric string, ours, floor sample) {
	for _, percent := range []float64{50, 99} {
		r := newResult(b.scenario, work, fmt.Sprintf("%s, p%g", metric, percent), "ms", ours.at(percent), floor.at(percent))
		r.Runs = len(ours)
		b.results = append(b.results, r)
	}
}
