package manager

import (
	"context"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/jobnetes/jobnetes/dao"
)

//go:generate go tool mockgen -source=jobs.go -destination=mock_test.go -package=manager

// Jobs is where Jobs run: a cluster (manager/kube) or this computer
// (manager/local). Errors are those of k8s.io/apimachinery/pkg/api/errors.
type Jobs interface {
	// Create submits job under its name and returns it as stored, with its UID.
	// IsAlreadyExists if the name is taken; IsInvalid if it can never run.
	Create(ctx context.Context, job *batchv1.Job) (*batchv1.Job, error)
	// Get reads the Job itself, never a cache. IsNotFound if there is none.
	Get(ctx context.Context, name string) (*batchv1.Job, error)
	// Cached is what the watch last said of the Job; nil if it does not know it.
	Cached(name string) *batchv1.Job
	// Quiet says whether, as far as the watch says, the Job of that name and UID runs and
	// shows nothing to look at, so that nobody need read it: Succeeded returns nil, too.
	// It costs less than Cached, and is asked of each task with each poll.
	Quiet(name string, uid types.UID) bool
	// List returns the Jobs that the watch knows, in no order.
	List() []*batchv1.Job
	// Succeeded returns the pod by which a Job has succeeded, as a watch has told,
	// whether the Job's status says so yet or not; nil if none has told, or the Job
	// is not one that has succeeded as soon as a pod of its has.
	Succeeded(job *batchv1.Job) *corev1.Pod
	// SucceededIndexes returns the pods of an indexed Job, with so many indexes, that
	// have succeeded since the last call, and as far as a watch has told; each once. The
	// first call has them gathered, for as long as others follow within a minute.
	SucceededIndexes(job types.UID, count uint32) []corev1.Pod
	// SucceededPods lists some of the Job's pods that have succeeded: the first, or those
	// that follow where an answer before said. next says where others follow; empty:
	// these are the last. IsResourceExpired if from is of too long ago: begin anew.
	SucceededPods(ctx context.Context, jobName, from string) (pods []corev1.Pod, next string, err error)
	// Pods lists the Job's pods or, if they are over 500, up to 100 each of those that
	// failed, have not ended, and have succeeded.
	Pods(ctx context.Context, jobName string) ([]corev1.Pod, error)
	// LogTail returns the last limit bytes of a container's log, from a line's
	// beginning if there is one among them, and whether there is more before. What
	// it reads is bounded, however long the log is: on a cluster by 32 times limit,
	// and at least 256 KiB. IsNotFound if pod or log are gone.
	LogTail(ctx context.Context, pod, container string, limit int) (text []byte, truncated bool, err error)
	// Delete removes the Job with that UID, whatever it is doing, and its pods.
	// It is no error if there is none.
	Delete(ctx context.Context, name string, uid types.UID) error
	// Ping asks for a sign of life of where the Jobs run. It is asked once a second,
	// and until it answers no other request is made.
	Ping(ctx context.Context) error
	// Run keeps the watch until ctx ends; changed is called with each Job that
	// is new, different or gone, with each pod that Succeeded returns from now on, and
	// with one of an indexed Job when kube.IndexBatch of them have succeeded.
	Run(ctx context.Context, changed func(obj metav1.Object)) error
}

// Store is what the manager needs of the database; *dao.Store is one.
type Store interface {
	// Ping asks the database whether it answers and takes writes, as Jobs.Ping does.
	Ping(ctx context.Context) error
	Due(ctx context.Context, by dao.Claimant, now, alive time.Time) (dao.Due, error)
	ClaimRunning(ctx context.Context, by dao.Claimant, due, until time.Time, limit int) ([]dao.Lease, error)
	ClaimScheduled(ctx context.Context, by dao.Claimant, due, until time.Time, limit int) ([]dao.Lease, error)
	ClaimCancelled(ctx context.Context, by dao.Claimant, now, until time.Time, limit int) ([]dao.Lease, error)
	ClaimInTurn(ctx context.Context, by dao.Claimant, due, until time.Time, ahead, limit int) ([]dao.Lease, error)
	GrantSlots(ctx context.Context, limits dao.JobLimits, now time.Time) (int, error)
	GrantedTasks(ctx context.Context, namespace string) ([]dao.Grant, error)
	TakeTasks(ctx context.Context, l dao.Lease, namespace string, limited bool, tasks int, now time.Time) error
	Renew(ctx context.Context, owner string, until time.Time) ([]dao.Lease, error)
	Heartbeat(ctx context.Context, m dao.Manager) error
	Release(ctx context.Context, leases []dao.Lease, now time.Time) error
	Leave(ctx context.Context, owner string, but []uint64, now time.Time) error
	SetStrikes(ctx context.Context, l dao.Lease, strikes uint32) error
	Acquit(ctx context.Context, l dao.Lease, strikes uint32) error
	OpenRows(ctx context.Context, id uint64) (dao.WorkflowExecution, []*dao.TaskExecution, error)
	Execution(ctx context.Context, id uint64) (dao.WorkflowExecution, error)
	PinVersion(ctx context.Context, l dao.Lease, now time.Time) (dao.WorkflowVersion, error)
	WorkflowVersion(ctx context.Context, id uint64) (dao.WorkflowVersion, error)
	Tasks(ctx context.Context, executionID uint64) ([]*dao.TaskExecution, error)
	RecordedOutputs(ctx context.Context, taskIDs []uint64) (map[uint64]dao.Recorded, error)
	MarkLaunched(ctx context.Context, l dao.Lease, taskID uint64, uid string, now time.Time) error
	Commit(ctx context.Context, l dao.Lease, e *dao.WorkflowExecution, ts []dao.Transition, now time.Time) error
	EndedTasks(ctx context.Context, taskIDs []uint64) (map[uint64]dao.EndedTask, error)
	KeepIndexes(ctx context.Context, l dao.Lease, taskID uint64, outputs []dao.IndexOutput, last bool, now time.Time) error
	Indexes(ctx context.Context, taskID uint64) (dao.Indexes, error)
	IndexOutputs(ctx context.Context, taskID uint64) ([]dao.IndexOutput, error)
	KeepLogs(ctx context.Context, logs []dao.TaskLog, now time.Time) error
	TaskLogs(ctx context.Context, taskID uint64) ([]dao.TaskLog, error)
	TasksWithLogs(ctx context.Context, taskIDs []uint64) (map[uint64]bool, error)
}

// Tokens signs the token by which a task's job proves to jobapi which task it is.
type Tokens interface {
	Sign(taskID uint64, now time.Time) (string, error)
}
