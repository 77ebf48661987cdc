// Package chaos runs the real services through everything that can go wrong, and
// checks afterwards that nothing was lost and no Job launched twice.
//
// Three managers and two jobapis, the built binaries, work on a MariaDB and on an
// API server with the Job controller, a scheduler and nodes that kwok simulates. A
// client starts executions of several shapes, some with a priority, and repeats each
// start until it is answered; it cancels some. Among them are such that fail, have
// Jobs whose pods are retried, or can never run: these must fail alone. There is a
// limit on running Jobs. A reporter records the outputs of some of the Jobs as the
// containers would. Meanwhile, for some minutes:
//
//   - managers and jobapis are killed (SIGKILL), stopped for longer than the lease
//     and continued, or asked to end, and are started again;
//   - MariaDB, the API server and etcd are killed and started again;
//   - connections are reset, held back (and what was held comes late), lose their
//     answers, or are slow: a proxy lies between each pair that talks (wire);
//   - the build is changed: all begins with the previous build on the schema that is
//     one version older; the present one migrates it under load; from then on each
//     start takes one of the two. The previous build comes from the git history:
//     what there was before the newest migration was added. Without that history
//     (a shallow clone) there is only the present build, as the log says.
//
// Then the faults cease, the upgrade comes to its end, and every execution and Job
// must end, within settleTimeout. `jobnetes verify` is run, and has the word on what
// was lost and what was done twice; what it cannot know is checked beside it. A
// number, the seed, decides which faults come one after the other, though not what
// they hit: processes are not deterministic, as those of test/sim are.
//
// Run it with `make chaos MINUTES=10 SEED=1`; what it comes to is a line of JSON
// (Result).
package chaos
