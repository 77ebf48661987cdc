//go:build !linux

package local

import (
	"os/exec"

	"k8s.io/apimachinery/pkg/types"
)

// children are the containers' first processes. What those leave behind goes to
// another parent.
type children struct{}

// adoptChildren does nothing here.
func adoptChildren() (c *children, stop func(), err error) { return &children{}, func() {}, nil }

// start starts the first process of a container.
func (c *children) start(cmd *exec.Cmd, _ types.UID, _ string) error { return cmd.Start() }

// wait reaps the container's first process.
func (c *children) wait(cmd *exec.Cmd) { _ = cmd.Wait() }

// endOrphans does nothing: orphans have another parent.
func (c *children) endOrphans(types.UID) error { return nil }
