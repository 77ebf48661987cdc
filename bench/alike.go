package bench

import (
	"context"
	"log/slog"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/jobnetes/jobnetes/jobapi/token"
	"github.com/jobnetes/jobnetes/manager/kube"
)

// alike gives the same floor with Jobs as jobnetes makes them: with the labels by which
// they are found, and the variables by which a container learns its input and reports.
// They cost the API server, and all that read Jobs and pods, more than bare ones.
func (f *floor) alike() (*floor, error) {
	tokens, err := token.NewTokens([]byte(strings.Repeat("k", token.MinKeyBytes)))
	if err != nil {
		return nil, err
	}
	const id = 1000
	signed, err := tokens.Sign(id, time.Now())
	if err != nil {
		return nil, err
	}
	like := *f
	like.name, like.runs = "alike", 0
	like.job = func() *batchv1.Job {
		job := kube.Build(kube.Task{
			Job: f.job(), Installation: strings.Repeat("i", 16), Workflow: "chain", TaskName: "step0",
			ExecutionID: id, TaskID: id, Attempt: 1, Input: "{}", JobapiEndpoint: "127.0.0.1:50051", Token: signed, Retention: time.Hour,
		})
		// No manager is to take it for its own.
		job.Labels[kube.LabelManagedBy], job.Spec.Template.Labels[kube.LabelManagedBy] = like.name, like.name
		job.Namespace = ""
		return job
	}
	return &like, nil
}

// addAlike adds our times once more, beside the floor with Jobs like ours, which does
// the work as do says.
func (b *bench) addAlike(ctx context.Context, w *world, work string, ours sample, do func(*floor) side) error {
	like, err := w.floor.alike()
	if err != nil {
		return err
	}
	var took sample
	for range ours {
		seconds, err := do(like)(ctx)
		if err != nil {
			return err
		}
		slog.InfoContext(ctx, "measured", "work", work, "side", "floor with Jobs like ours", "seconds", seconds)
		took = append(took, seconds)
		if err := w.pods.settle(ctx); err != nil {
			return err
		}
	}
	b.add(work, "time, the floor with Jobs like ours", "s", ours, took)
	return nil
}
