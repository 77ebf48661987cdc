package kube

import (
	"testing"

	batchv1 "k8s.io/api/batch/v1"
)

func version(name, v string) *batchv1.Job {
	job := &batchv1.Job{}
	job.Name, job.UID, job.ResourceVersion = name, "u", v
	return job
}

// What the watch and the list tell comes in any order; the newest counts.
func TestCacheKeepsTheNewest(t *testing.T) {
	t.Parallel()
	c := newCache()
	steps := []struct {
		version string
		want    bool
	}{{"9", true}, {"10", true}, {"9", false}, {"10", false}, {"11", true}}
	for _, s := range steps {
		if got := c.put(version("a", s.version)); got != s.want {
			t.Errorf("put of version %s: %t, want %t", s.version, got, s.want)
		}
	}
	if v := c.get("a").ResourceVersion; v != "11" {
		t.Errorf("version %s is kept", v)
	}
}

func TestCacheRemovesWhatAListDoesNotHave(t *testing.T) {
	t.Parallel()
	c := newCache()
	for _, job := range []*batchv1.Job{version("listed", "5"), version("gone", "6"), version("newer-than-the-list", "21")} {
		c.put(job)
	}
	gone := c.removeMissing(map[string]bool{"listed": true}, "20")
	if len(gone) != 1 || gone[0].Name != "gone" || len(c.list()) != 2 {
		t.Errorf("removed %v, kept %d", gone, len(c.list()))
	}
}

func TestCacheRemovesOnlyTheJobThatIsGone(t *testing.T) {
	t.Parallel()
	c := newCache()
	c.put(version("a", "5"))
	other := version("a", "4")
	other.UID = "before"
	c.remove(other)
	if c.get("a") == nil {
		t.Error("the deletion of an earlier Job removed the present one of that name")
	}
}
