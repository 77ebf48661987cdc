package kube

import "testing"

// BenchmarkBuild builds the Job of a task.
func BenchmarkBuild(b *testing.B) {
	t := task(b)
	b.ReportAllocs()
	for b.Loop() {
		Build(t)
	}
}
