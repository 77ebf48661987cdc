package kube

import (
	"context"
	"fmt"
	"strconv"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// listPage is how many Jobs one answer holds.
const listPage = 500

// EachJob reads from the API server, never a cache, the Jobs that have this
// installation's label, whatever other labels have become of them, and calls each
// for one after the other; executionID, unless it is 0, has it read only those of
// that execution.
func (c *Client) EachJob(ctx context.Context, executionID uint64, each func(job *batchv1.Job)) error {
	selector := LabelInstallation + "=" + c.cfg.Installation
	if executionID != 0 {
		selector += "," + LabelExecutionID + "=" + strconv.FormatUint(executionID, 10)
	}
	err := c.pages(ctx, selector, func(list *batchv1.JobList) {
		for i := range list.Items {
			each(&list.Items[i])
		}
	})
	if err != nil {
		return fmt.Errorf("list the Jobs of namespace %s: %w", c.cfg.Namespace, err)
	}
	return nil
}

// pages reads the Jobs that a selector matches, page by page.
func (c *Client) pages(ctx context.Context, selector string, page func(list *batchv1.JobList)) error {
	opts := metav1.ListOptions{LabelSelector: selector, Limit: listPage}
	for {
		list, err := c.page(ctx, opts)
		if err != nil {
			return err
		}
		page(list)
		if opts.Continue = list.Continue; opts.Continue == "" {
			return nil
		}
	}
}

func (c *Client) page(ctx context.Context, opts metav1.ListOptions) (*batchv1.JobList, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	return c.api.BatchV1().Jobs(c.cfg.Namespace).List(ctx, opts)
}
