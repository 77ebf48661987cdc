package kube

import (
	"context"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// podPage is how many pods one answer holds, and podSample how many of those that
	// failed, of those that have not ended, and of those that succeeded stand for the
	// pods of a Job that has more.
	podPage   = 500
	podSample = 100
)

// The states of pods, as field selectors.
const (
	havingFailed    = "status.phase=Failed"
	havingSucceeded = "status.phase=Succeeded"
	notEnded        = "status.phase!=Failed,status.phase!=Succeeded"
)

// Pods lists a Job's pods, or some; see manager.Jobs.
func (c *Client) Pods(ctx context.Context, jobName string) ([]corev1.Pod, error) {
	all, err := c.podPage(ctx, jobName, "", podPage, "")
	if err != nil || all.Continue == "" {
		return all.Items, err
	}
	var pods []corev1.Pod
	for _, state := range [...]string{havingFailed, notEnded, havingSucceeded} {
		some, err := c.podPage(ctx, jobName, state, podSample, "")
		if err != nil {
			return nil, err
		}
		pods = append(pods, some.Items...)
	}
	return pods, nil
}

// SucceededPods lists some of a Job's pods that have succeeded; see manager.Jobs.
func (c *Client) SucceededPods(ctx context.Context, jobName, from string) (pods []corev1.Pod, next string, err error) {
	list, err := c.podPage(ctx, jobName, havingSucceeded, podPage, from)
	return list.Items, list.Continue, err
}

// podPage lists at most limit of a Job's pods that are in that state, those that
// follow where from says. The list is never nil.
func (c *Client) podPage(ctx context.Context, jobName, state string, limit int64, from string) (*corev1.PodList, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	list, err := c.api.CoreV1().Pods(c.cfg.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: batchv1.JobNameLabel + "=" + jobName, FieldSelector: state, Limit: limit, Continue: from,
	})
	if err != nil {
		return &corev1.PodList{}, fmt.Errorf("list the pods of Job %s: %w", where(c.cfg.Namespace, jobName), err)
	}
	return list, nil
}
