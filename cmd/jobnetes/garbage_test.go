package main

import (
	"bytes"
	"os"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/yaml"
)

// TestGCLimit: where jobapi begins to collect garbage for want of memory is well below
// where its pod would be killed for it.
func TestGCLimit(t *testing.T) {
	t.Parallel()
	manifest, err := os.ReadFile("../../setting/k8s/base/jobapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := bytes.Cut(manifest, []byte("\n---\n"))
	var d appsv1.Deployment
	if err := yaml.Unmarshal(first, &d); err != nil || len(d.Spec.Template.Spec.Containers) != 1 {
		t.Fatalf("the manifest does not begin with the Deployment of one container: %v", err)
	}
	if limit := d.Spec.Template.Spec.Containers[0].Resources.Limits.Memory().Value(); limit < jobapiGarbage.limit*4/3 {
		t.Errorf("the pod may have %d bytes, at least 4/3 of %d wanted", limit, jobapiGarbage.limit)
	}
}
