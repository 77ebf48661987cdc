-- What many managers need of each other: who there is, whose turn it is, what has
-- killed its holders, and what an operator wants to end.

-- +goose Up
CREATE TABLE managers (
  owner      VARCHAR(255) NOT NULL PRIMARY KEY,
  build      VARCHAR(255) NOT NULL DEFAULT '',
  held       INT UNSIGNED NOT NULL DEFAULT 0,
  address    VARCHAR(255) NOT NULL DEFAULT '',
  started_at DATETIME(6)  NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  seen_at    DATETIME(6)  NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  INDEX managers_seen (seen_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- Rows to be locked by transactions that must not run at the same time.
CREATE TABLE locks (
  name VARCHAR(64) NOT NULL PRIMARY KEY
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

INSERT IGNORE INTO locks (name) VALUES ('job-slots');

-- An ALTER does only what can be done while others write: a CHECK, or a virtual
-- column together with anything else, would copy the table.
ALTER TABLE workflow_executions
  ADD COLUMN priority            INT          NOT NULL DEFAULT 0,
  ADD COLUMN takeovers           INT UNSIGNED NOT NULL DEFAULT 0,
  ADD COLUMN strikes             INT UNSIGNED NOT NULL DEFAULT 0,
  ADD COLUMN cancel_requested_at DATETIME(6)  NULL,
  ADD COLUMN cancel_requested_by VARCHAR(255) NULL,
  ADD COLUMN cancel_reason       VARCHAR(1000) NULL;

-- an index in descending order is not to be had everywhere
ALTER TABLE workflow_executions
  ADD COLUMN queue_rank INT GENERATED ALWAYS AS (-priority) VIRTUAL;

ALTER TABLE workflow_executions
  ADD INDEX workflow_executions_queue (status, queue_rank, id),
  ADD INDEX workflow_executions_takeover (status, wake_at),
  ADD INDEX workflow_executions_cancel (cancel_requested_at);

-- slot: NULL: not counted; 0: the task's Job waits for its turn; 1: it may run
ALTER TABLE task_executions
  ADD COLUMN slot       TINYINT UNSIGNED NULL,
  ADD COLUMN namespace  VARCHAR(63)      NOT NULL DEFAULT '',
  ADD COLUMN queue_rank INT              NOT NULL DEFAULT 0;

ALTER TABLE task_executions
  ADD INDEX task_executions_slot (slot, status, namespace, queue_rank, workflow_execution_id, id);

CREATE OR REPLACE VIEW v_executions AS
SELECT e.id, w.name AS workflow, v.version AS workflow_version, e.name,
  CASE e.status WHEN 0 THEN 'scheduled' WHEN 1 THEN 'running' WHEN 2 THEN 'success' ELSE 'failed' END AS status,
  e.attempt, e.input, e.output, e.error_msg, e.created_at, e.started_at, e.ended_at,
  TIMESTAMPDIFF(MICROSECOND, e.started_at, COALESCE(e.ended_at, UTC_TIMESTAMP(6))) / 1000000 AS duration_sec,
  e.lease_owner AS manager, e.priority, e.cancel_requested_at, e.cancel_requested_by
FROM workflow_executions e
JOIN workflows w ON w.id = e.workflow_id
LEFT JOIN workflow_versions v ON v.id = e.workflow_version_id;

CREATE OR REPLACE VIEW v_tasks AS
SELECT t.id, t.workflow_execution_id AS execution_id, w.name AS workflow, t.task_name AS task, t.task_type AS type,
  CASE t.status WHEN 0 THEN 'running' WHEN 1 THEN 'success' ELSE 'failed' END AS status,
  t.attempt, t.execution_name AS job, t.parent_task_execution_id AS parent_id, t.prev_task_execution_id AS prev_id,
  t.next_task_execution_id AS next_id, t.input, t.output, t.error_reason, t.error_msg, t.started_at, t.ended_at,
  TIMESTAMPDIFF(MICROSECOND, t.started_at, COALESCE(t.ended_at, UTC_TIMESTAMP(6))) / 1000000 AS duration_sec,
  t.status = 0 AND COALESCE(t.slot, 1) = 0 AS waiting
FROM task_executions t
JOIN workflow_executions e ON e.id = t.workflow_execution_id
JOIN workflows w ON w.id = e.workflow_id;

-- +goose Down
CREATE OR REPLACE VIEW v_tasks AS
SELECT t.id, t.workflow_execution_id AS execution_id, w.name AS workflow, t.task_name AS task, t.task_type AS type,
  CASE t.status WHEN 0 THEN 'running' WHEN 1 THEN 'success' ELSE 'failed' END AS status,
  t.attempt, t.execution_name AS job, t.parent_task_execution_id AS parent_id, t.prev_task_execution_id AS prev_id,
  t.next_task_execution_id AS next_id, t.input, t.output, t.error_reason, t.error_msg, t.started_at, t.ended_at,
  TIMESTAMPDIFF(MICROSECOND, t.started_at, COALESCE(t.ended_at, UTC_TIMESTAMP(6))) / 1000000 AS duration_sec
FROM task_executions t
JOIN workflow_executions e ON e.id = t.workflow_execution_id
JOIN workflows w ON w.id = e.workflow_id;
CREATE OR REPLACE VIEW v_executions AS
SELECT e.id, w.name AS workflow, v.version AS workflow_version, e.name,
  CASE e.status WHEN 0 THEN 'scheduled' WHEN 1 THEN 'running' WHEN 2 THEN 'success' ELSE 'failed' END AS status,
  e.attempt, e.input, e.output, e.error_msg, e.created_at, e.started_at, e.ended_at,
  TIMESTAMPDIFF(MICROSECOND, e.started_at, COALESCE(e.ended_at, UTC_TIMESTAMP(6))) / 1000000 AS duration_sec,
  e.lease_owner AS manager
FROM workflow_executions e
JOIN workflows w ON w.id = e.workflow_id
LEFT JOIN workflow_versions v ON v.id = e.workflow_version_id;
ALTER TABLE task_executions
  DROP INDEX task_executions_slot,
  DROP COLUMN queue_rank,
  DROP COLUMN namespace,
  DROP COLUMN slot;
ALTER TABLE workflow_executions
  DROP INDEX workflow_executions_cancel,
  DROP INDEX workflow_executions_takeover,
  DROP INDEX workflow_executions_queue,
  DROP COLUMN cancel_reason,
  DROP COLUMN cancel_requested_by,
  DROP COLUMN cancel_requested_at,
  DROP COLUMN strikes,
  DROP COLUMN takeovers,
  DROP COLUMN queue_rank,
  DROP COLUMN priority;
DROP TABLE locks;
DROP TABLE managers;
