// Package sim runs real managers (manager.Manager, and with it the engine) and
// real jobapis (jobapi.Server) in a world that is all simulated: the database, the
// API server with its Job controller and kubelet, clients, the clock, and which of
// all that could happen next does. One number, the seed, decides everything, so
// that what fails once fails again in the very same way.
//
// A schedule is one such run. Its managers' and jobapis' goroutines live in a
// bubble of testing/synctest. Each of their calls to the database or the API server
// waits until the scheduler picks it; between two picks everything is blocked, so
// that goroutines race for nothing. The seed also chooses a workload and faults:
// crashes, pauses that outlast the lease, requests that are carried out though
// their answer is lost, or long after they were given up, errors of all kinds, a
// watch that lags and loses, clocks that differ, strangers who delete Jobs; and
// for some a limit on running Jobs, which the first managers may not know. Then
// the faults cease, and the schedule has to come to an end.
//
// Clients start the executions that are not inserted by SQL, and jobs record their
// outputs, by calls of a jobapi (clients.go). They call again until they are
// answered for good, also while a call before is under way; calls meet, so that
// jobapi writes them together. What an index records once more, after its pod's end, is
// written past jobapi. Managers with an address are told of starts.
//
// What a manager writes at the same time shares transactions, by the very code that dao has
// for that (package gather). A quarter of the schedules have it happen often.
//
// After every step the rows, events and Jobs are checked against what is promised
// (invariants.go), and in the end against the same workload's run without faults.
//
// # What is left out
//
// Two gaps are known and documented (docs/architecture.md, "What makes a Job
// single"); Schedule.Gaps lets them happen:
//   - A stranger deletes a Job that was created but not noted yet.
//   - The API server carries out a request to create a Job after whoever sent it
//     has given it up or lost the lease, and after the task has ended or its Job
//     is gone again.
//
// Clients call jobapi's methods as its server does, without gRPC's transport, without
// credentials, and any number at once.
//
// Reads are never stale but for the watch's cache, as with a single primary and
// quorum reads of etcd. Transactions are serializable; dao's tests run on real
// databases.
package sim
