package verify

// Kind is what sort of thing a finding is: a word that stays. docs/operations.md
// lists them.
type Kind string

// The kinds of finding.
const (
	// Of rows and definitions.
	DefinitionInvalid Kind = "DefinitionInvalid"
	RowsInconsistent  Kind = "RowsInconsistent"
	TaskMissing       Kind = "TaskMissing"
	TaskUnexpected    Kind = "TaskUnexpected"
	TaskDiffers       Kind = "TaskDiffers"
	ExecutionDiffers  Kind = "ExecutionDiffers"
	TaskRunsOn        Kind = "TaskRunsOn"
	EventMissing      Kind = "EventMissing"
	EventUnexpected   Kind = "EventUnexpected"
	EventOrder        Kind = "EventOrder"
	CheckPanicked     Kind = "CheckPanicked"
	// Of executions that nobody moves.
	NoManager     Kind = "NoManager"
	NotClaimed    Kind = "NotClaimed"
	WakesLate     Kind = "WakesLate"
	JobNotCreated Kind = "JobNotCreated"
	JobEndNotSeen Kind = "JobEndNotSeen"
	// Of Jobs.
	JobGone       Kind = "JobGone"
	JobOrphan     Kind = "JobOrphan"
	JobDoubled    Kind = "JobDoubled"
	JobRelabelled Kind = "JobRelabelled"
	JobRunsOn     Kind = "JobRunsOn"
	// Of the audit log.
	LaunchedTwice  Kind = "LaunchedTwice"
	CreateMissing  Kind = "CreateMissing"
	CreatedUnknown Kind = "CreatedUnknown"
)

// advice says why something may be, and what to do about it.
type advice struct{ why, do string }

// advices returns it for each kind.
func advices() map[Kind]advice {
	const (
		report = "if nobody did, please report it, with the rows of this execution (workflow_executions, task_executions, execution_events)"
		events = "find who changed events; " + report
		rows   = "find who changed rows; " + report
	)
	return map[Kind]advice{
		DefinitionInvalid: {
			"somebody changed workflow_versions by SQL, or another build took the definition for valid",
			"an open execution will fail with InvalidDefinition as soon as a manager reads it: apply a corrected definition and start again; of one that has ended, nothing is wrong but that it cannot be checked",
		},
		RowsInconsistent: {
			"somebody changed rows by SQL, or restored a part of a backup",
			"an open execution will fail with InconsistentRows as soon as a manager reads it: start it again; " + rows,
		},
		TaskMissing: {
			"a row was deleted, a restored backup is not complete, another build decided otherwise, or a step was lost",
			"start the workflow again if the step matters; " + rows,
		},
		TaskUnexpected: {
			"a row was inserted or changed by SQL, another build decided otherwise, or a step was taken twice",
			"see whether the task's Job did harm; " + rows,
		},
		TaskDiffers: {
			"a row was changed by SQL, or another build decided otherwise",
			rows,
		},
		ExecutionDiffers: {
			"a row was changed by SQL, or another build decided otherwise",
			rows,
		},
		TaskRunsOn: {
			"the execution's row was changed by SQL",
			"nobody will end the task: delete its Job, then set its status = 2, error_reason = 'Aborted' and ended_at by SQL; " + rows,
		},
		EventMissing: {
			"events were deleted, or rows changed, by SQL",
			"the history is not rewritten: believe the rows; " + events,
		},
		EventUnexpected: {
			"events were inserted, or rows changed, by SQL",
			"the history is not rewritten: believe the rows; " + events,
		},
		EventOrder: {
			"events were inserted by SQL, or restored in another order",
			"the history is not rewritten: believe the rows; " + events,
		},
		CheckPanicked: {
			"this is a bug of jobnetes",
			"please report it, with the rows of this execution",
		},
		NoManager: {
			"managers are down, or cannot reach the database",
			"start a manager, and see the managers' logs",
		},
		NotClaimed: {
			"its manager died, and the others hold as many executions as they may (manager.max-executions), have another k8s.job-namespace than its Job, hang, or have clocks that are behind",
			"start another manager, with the k8s.job-namespace of its Job if there is one; see the managers' logs, and compare their clocks (NTP)",
		},
		WakesLate: {
			"somebody changed wake_at or lease_until by SQL, or a manager's clock was ahead",
			"nobody holds it: --repair wakes it now; somebody does: restart that manager with the right time",
		},
		JobNotCreated: {
			"the API server is away or refuses Jobs for a time (a quota, missing rights, a webhook), or its manager hangs",
			"its manager's /readyz and log say why",
		},
		JobEndNotSeen: {
			"its manager cannot reach the API server or the database, has another namespace in its settings (k8s.job-namespace), or hangs",
			"its manager's /readyz and log say why; restart that manager",
		},
		JobGone: {
			"somebody, or something, other than jobnetes deleted the Job",
			"its manager will fail the task with JobDeleted within k8s.relist-interval; find who deletes Jobs (the API server's audit log tells), then start the workflow again",
		},
		JobOrphan: {
			"the database was restored from an older backup, its rows were deleted, or somebody copied a Job",
			"see that this is the right database (db.*), then --repair deletes the Job",
		},
		JobDoubled: {
			"somebody copied the Job, or deleted the task's Job and made another",
			"find who; --repair deletes this Job, not the task's own",
		},
		JobRelabelled: {
			"somebody changed the Job's labels",
			"put the labels back: managers find Jobs by them",
		},
		JobRunsOn: {
			"no manager runs, or none can delete Jobs",
			"see the managers' logs; --repair deletes the Job",
		},
		LaunchedTwice: {
			"a stranger deleted the Job after it was created and before its manager could note it (the gap that docs/architecture.md tells of), or created one by that name",
			"see whether the task's work was done twice, and who created and deleted Jobs; if no stranger did, please report it, with the log and the execution's rows",
		},
		CreateMissing: {
			"the log is not complete (another API server's, rotated away, a policy that leaves out Jobs), job_uid was changed by SQL, or the API server was killed twice: before it noted the creation, and before it noted the deletion",
			"give the logs of all API servers by --audit-log; if they are complete, " + rows,
		},
		CreatedUnknown: {
			"the database was restored from an older backup, its rows were deleted, or somebody copied a Job",
			"see who created it; `jobnetes verify` tells if it is still there",
		},
	}
}

// rowsChanged is what to do about events that do not fit the rows, in place of believing
// these, if the rows do not fit the definition.
const rowsChanged = "the history is not rewritten, and rows of this execution were changed, too, as is found besides: where they differ, the events have what happened; find who changed rows"

// aboutEvents and aboutRows are the kinds of finding about the events and the rows of an
// execution.
var (
	aboutEvents = []Kind{EventMissing, EventUnexpected, EventOrder}
	aboutRows   = []Kind{RowsInconsistent, TaskMissing, TaskUnexpected, TaskDiffers, ExecutionDiffers, TaskRunsOn}
)

// finding makes a finding with the advice of its kind.
func finding(kind Kind, what string) Finding {
	a := advices()[kind]
	return Finding{Kind: kind, What: what, Why: a.why, Do: a.do}
}
