package bench

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
)

// The metrics of what work costs, which the table has as columns.
const (
	requestsPerTask   = "API requests per task"
	statementsPerTask = "SQL statements per task"
	commitsPerTask    = "SQL transactions per task"
	cpuSeconds        = "CPU"
	memoryPeak        = "memory of a manager, peak"
)

var costs = []string{requestsPerTask, statementsPerTask, commitsPerTask, cpuSeconds, memoryPeak}

// writeTable writes the results as a table: a row for each figure, and what the work
// costs in the first row of that work.
func writeTable(to io.Writer, results []result) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "scenario\twork\tmetric\tours\tfloor\tratio\truns\trequests/task\tstatements/task\tcommits/task\tCPU s\tmemory MiB")
	last := ""
	for _, r := range results {
		if slices.Contains(costs, r.Metric) {
			continue
		}
		scenario, work, cost := "", "", ""
		if key := r.Scenario + "\n" + r.Work; key != last {
			last = key
			scenario, work, cost = r.Scenario, r.Work, costColumns(results, r)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s, %s\t%s\t%s\t%s\t%d%s\n", scenario, work, r.Metric, r.Unit,
			cell(r.Ours, r.OursRange), cell(r.Floor, r.FloorRange), cell(r.Ratio, nil), r.Runs, cost)
	}
	return w.Flush()
}

// costColumns gives what the work of r costs, as the ends of a row. Beside it, in
// brackets, is the floor's, where it is known.
func costColumns(results []result, r result) string {
	columns := ""
	for _, metric := range costs {
		columns += "\t"
		i := slices.IndexFunc(results, func(c result) bool {
			return c.Scenario == r.Scenario && c.Work == r.Work && c.Metric == metric
		})
		if i < 0 {
			continue
		}
		columns += number(*results[i].Ours)
		if results[i].Floor != nil {
			columns += " [" + number(*results[i].Floor) + "]"
		}
	}
	return columns
}

// cell gives a value, with its range if it has one.
func cell(value *float64, span *[2]float64) string {
	if value == nil {
		return "-"
	}
	if span == nil {
		return number(*value)
	}
	return fmt.Sprintf("%s (%s to %s)", number(*value), number(span[0]), number(span[1]))
}

// number gives a value to about three digits.
func number(value float64) string {
	digits := 3
	for limit := 1.0; digits > 0 && (value >= limit || value <= -limit); limit *= 10 {
		digits--
	}
	return strconv.FormatFloat(value, 'f', digits, 64)
}
