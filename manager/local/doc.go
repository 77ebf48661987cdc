// Package local runs batch/v1 Jobs as processes of this computer, for
// `jobnetes dev`: no cluster, no images.
//
// # Who does what
//
// A Runner keeps one folder per Job and starts, for each Job, a process of its
// own that outlives the Runner: RunJob, in a session of its own. RunJob holds a
// lock on the Job's folder as long as it lives, runs the pods, and writes each
// change to status.json. If only the Runner dies, the Jobs go on and the next
// Runner watches them again. If RunJob dies (kill -9, a reboot), the next one
// ends what is left of the pod's processes, counts the pod as failed, as
// Kubernetes does for a lost node, and goes on under the Job's backoffLimit. A
// command therefore never runs twice at a time. A Job whose folder somebody
// removes is ended and counts as deleted.
//
//	jobs.lock                    held by the Runner
//	jobs/NAME/job.json           the Job as created
//	jobs/NAME/status.json        its status and the pods that have not ended, by RunJob
//	jobs/NAME/ended.jsonl        the pods that have ended, a line each, by RunJob
//	jobs/NAME/lock               held by RunJob
//	jobs/NAME/deleted            the Job is to be deleted
//	jobs/NAME/runner.log         what RunJob itself has to say
//	jobs/NAME/pods/POD/CONTAINER log, output, process, work/
//	jobs.tmp/                    Jobs being created or removed
//
// # What a container gets
//
// Its command and args, with $(VAR) expanded; its env, added to PATH, HOME,
// USER, LOGNAME, SHELL, LANG, LC_ALL, TZ and TMPDIR of the Runner and nothing
// else of it; HOSTNAME, the pod's name; JOBNETES_OUTPUT, the path of the file
// that becomes its termination message (whatever value the Job gives that
// variable); JOBNETES_CONTAINER_ID, by which processes that have left the
// container's process group are found. Without a workingDir it starts in an
// empty folder of its own. When its first process ends, so do the processes
// that it left behind; those that dropped their environment and left the process
// group end, on Linux, with the last container of the pod, in whichever of the
// Job's pods they began, unless RunJob is killed before.
//
// # What differs from a cluster
//
// Ignored, since a process of this computer has no use for them: image and its
// pulling, resources, ports, readiness probes, scheduling (node selectors,
// affinity, tolerations, priority), service accounts, security contexts and
// network settings. Whatever else would change what the Job does is refused by
// Create: volumes and their mounts, references to secrets and config maps,
// sidecars, probes that restart, lifecycle hooks, and the Job fields that
// validate.go lists. With restartPolicy OnFailure a container is restarted
// backoffLimit times and then the Job fails; Kubernetes may cut the last one
// short. An indexed Job needs backoffLimitPerIndex, and takes one slot; of its
// indexes as many run at once as there are slots in all, so that up to the square
// of their number run with as many such Jobs. Pods that a failing Job ends are kept,
// with their logs. All attempts of a container share one log, whose size is not limited.
//
// Without /proc (macOS), processes that a killed RunJob left behind cannot be
// told from others and are not ended.
package local
