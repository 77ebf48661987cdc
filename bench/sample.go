package bench

import (
	"math"
	"slices"
	"time"
)

// sample is the values of several runs, or of many events of one.
type sample []float64

// only is the sample of one value.
func only(value float64) sample { return sample{value} }

// percentile gives the value that p percent of the sample do not exceed (nearest
// rank). The sample must not be empty.
func (s sample) percentile(p float64) float64 {
	sorted := slices.Sorted(slices.Values(s))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}

// at gives a percentile as a sample of one value; an empty one has none.
func (s sample) at(p float64) sample {
	if len(s) == 0 {
		return nil
	}
	return only(s.percentile(p))
}

// median gives the value in the middle. The sample must not be empty.
func (s sample) median() float64 {
	sorted := slices.Sorted(slices.Values(s))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// summary gives the median, and the least and the greatest value if there are
// several.
func (s sample) summary() (median *float64, span *[2]float64) {
	if len(s) == 0 {
		return nil, nil
	}
	if len(s) > 1 {
		span = &[2]float64{slices.Min(s), slices.Max(s)}
	}
	return new(s.median()), span
}

// each gives the values that f makes of those of the sample.
func (s sample) each(f func(float64) float64) sample {
	made := make(sample, len(s))
	for i, value := range s {
		made[i] = f(value)
	}
	return made
}

// milliseconds gives d as a number of them.
func milliseconds(d time.Duration) float64 { return d.Seconds() * 1000 }
