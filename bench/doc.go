// Package bench measures what jobnetes costs, beside the floor of the same
// machine in the same run: what a program without jobnetes needs for the same
// work. `make bench` runs it; docs/performance.md has the method.
//
// The processes are the real ones, of bin/jobnetes, on a MariaDB and a Kubernetes
// of the run's own. Nodes are simulated by kwok, and their pods succeed at once,
// so that what is measured is not the work of containers.
//
// A scenario is one kind of work, in a file of its own, and listed in
// scenarios. Nothing fails by being slow.
package bench
