// Command pause is the first process of each pod on the test cluster's node: it
// holds the pod's namespaces, reaps what containers that share its processes
// leave behind, and waits for SIGTERM or SIGINT.
package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	// One signal may stand for many children: hence reap takes all, and one
	// place is enough.
	child := make(chan os.Signal, 1)
	signal.Notify(child, syscall.SIGCHLD)
	for {
		reap() // at once, too: children may have ended before anybody listened
		select {
		case <-stop:
			return
		case <-child:
		}
	}
}

// reap takes leave of all children that have ended.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if pid <= 0 || err != nil { // none has ended, or there is none
			return
		}
	}
}
