package bench

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// The metrics of what work costs, which the table has as columns.
const (
	requestsPerTask   = "API requests per task"
	statementsPerTask = "SQL statements per task"
	commitsPerTask    = "SQL transactions per task"
	cpuSeconds        = "CPU"
	clusterCPU        = "CPU of the cluster"
	memoryPeak        = "memory of a manager, peak"
)

var costs = []string{requestsPerTask, statementsPerTask, commitsPerTask, cpuSeconds, clusterCPU, memoryPeak}

// columns are the table's.
var columns = []string{"scenario", "work", "metric", "ours", "floor", "ratio", "runs", "requests/task", "statements/task", "commits/task", "CPU s", "cluster's CPU s", "memory MiB"}

// writeTable writes the results as a table for terminals.
func writeTable(to io.Writer, results []result) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{columns}, tableRows(results)...) {
		_, _ = fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// tableRows gives a row for each figure, with what the work costs in the first row of
// that work.
func tableRows(results []result) [][]string {
	var rows [][]string
	last := ""
	for _, r := range results {
		if slices.Contains(costs, r.Metric) {
			continue
		}
		scenario, work, cost := "", "", make([]string, len(costs))
		if key := r.Scenario + "\n" + r.Work; key != last {
			last = key
			scenario, work, cost = r.Scenario, r.Work, costCells(results, r)
		}
		rows = append(rows, append([]string{
			scenario, work, r.Metric + ", " + r.Unit, cell(r.Ours, r.OursRange), cell(r.Floor, r.FloorRange), cell(r.Ratio, nil), strconv.Itoa(r.Runs),
		}, cost...))
	}
	return rows
}

// costCells gives what the work of r costs, as the cells that end a row. Beside it,
// in brackets, is the floor's, where it is known.
func costCells(results []result, r result) []string {
	cells := make([]string, len(costs))
	for at, metric := range costs {
		i := slices.IndexFunc(results, func(c result) bool {
			return c.Scenario == r.Scenario && c.Work == r.Work && c.Metric == metric
		})
		if i < 0 {
			continue
		}
		cells[at] = number(*results[i].Ours)
		if results[i].Floor != nil {
			cells[at] += " [" + number(*results[i].Floor) + "]"
		}
	}
	return cells
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
