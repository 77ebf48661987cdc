package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// result is one figure of ours beside the floor's. Either may be missing.
type result struct {
	Scenario string `json:"scenario"`
	// Work is what was done, such as "chain of 10"; Metric what was measured of it.
	Work   string `json:"work"`
	Metric string `json:"metric"`
	Unit   string `json:"unit"`
	// Ours and Floor are medians if there were several runs, and Ratio is the one
	// divided by the other.
	Ours  *float64 `json:"ours"`
	Floor *float64 `json:"floor"`
	Ratio *float64 `json:"ratio"`
	// Runs is how many runs of ours, or events, the figure is from; the ranges are
	// from the least to the greatest of the runs.
	Runs       int         `json:"runs"`
	OursRange  *[2]float64 `json:"ours_range,omitempty"`
	FloorRange *[2]float64 `json:"floor_range,omitempty"`
	// At is when it was measured.
	At time.Time `json:"at"`
}

func newResult(scenario, work, metric, unit string, ours, floor sample) result {
	r := result{Scenario: scenario, Work: work, Metric: metric, Unit: unit, Runs: max(len(ours), 1)}
	r.Ours, r.OursRange = ours.summary()
	r.Floor, r.FloorRange = floor.summary()
	if r.Ours != nil && r.Floor != nil && *r.Floor != 0 {
		r.Ratio = new(*r.Ours / *r.Floor)
	}
	return r
}

// mergeFile puts the results of scenarios into the file of all results, in place of
// those that it has of the same scenarios.
func mergeFile(file string, results []result) error {
	old, err := readFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: remove the file to begin anew", err)
	}
	text, err := json.MarshalIndent(merge(old, results), "", "  ")
	if err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if err := os.WriteFile(file+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return os.Rename(file+".new", file)
}

// readFile gives the results that a file has.
func readFile(file string) ([]result, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the results so far: %w", err)
	}
	var results []result
	if err := json.Unmarshal(text, &results); err != nil {
		return nil, fmt.Errorf("read the results so far: %s: %w", file, err)
	}
	return results, nil
}

// merge gives the results with those of old whose scenarios they do not have, in
// the order of the scenarios.
func merge(old, results []result) []result {
	merged := slices.DeleteFunc(slices.Clone(old), func(o result) bool {
		return slices.ContainsFunc(results, func(r result) bool { return r.Scenario == o.Scenario })
	})
	merged = append(merged, results...)
	slices.SortStableFunc(merged, func(a, b result) int {
		return slices.Index(names(), a.Scenario) - slices.Index(names(), b.Scenario)
	})
	return merged
}
