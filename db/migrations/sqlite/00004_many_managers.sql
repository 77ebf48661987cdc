-- What many managers need of each other: who there is, whose turn it is, what has
-- killed its holders, and what an operator wants to end.

-- +goose Up
CREATE TABLE managers (
  owner      TEXT     NOT NULL PRIMARY KEY,
  build      TEXT     NOT NULL DEFAULT '',
  held       INTEGER  NOT NULL DEFAULT 0 CHECK (typeof(held) = 'integer' AND held >= 0),
  address    TEXT     NOT NULL DEFAULT '',
  started_at DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')) CHECK (started_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  seen_at    DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')) CHECK (seen_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*')
);
CREATE INDEX managers_seen ON managers (seen_at);

-- Rows to be locked by transactions that must not run at the same time.
CREATE TABLE locks (
  name TEXT NOT NULL PRIMARY KEY
);

INSERT INTO locks (name) VALUES ('job-slots');

ALTER TABLE workflow_executions ADD COLUMN priority INTEGER NOT NULL DEFAULT 0
  CONSTRAINT workflow_executions_priority CHECK (typeof(priority) = 'integer' AND priority BETWEEN -1000000 AND 1000000);
ALTER TABLE workflow_executions ADD COLUMN takeovers INTEGER NOT NULL DEFAULT 0 CHECK (typeof(takeovers) = 'integer' AND takeovers >= 0);
ALTER TABLE workflow_executions ADD COLUMN strikes INTEGER NOT NULL DEFAULT 0 CHECK (typeof(strikes) = 'integer' AND strikes >= 0);
ALTER TABLE workflow_executions ADD COLUMN cancel_requested_at DATETIME NULL CHECK (cancel_requested_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*');
ALTER TABLE workflow_executions ADD COLUMN cancel_requested_by TEXT NULL
  CONSTRAINT workflow_executions_cancelled CHECK ((cancel_requested_at IS NULL) = (cancel_requested_by IS NULL));
ALTER TABLE workflow_executions ADD COLUMN cancel_reason TEXT NULL;
ALTER TABLE workflow_executions ADD COLUMN queue_rank INTEGER GENERATED ALWAYS AS (-priority) VIRTUAL;
CREATE INDEX workflow_executions_queue ON workflow_executions (status, queue_rank, id);
CREATE INDEX workflow_executions_takeover ON workflow_executions (status, wake_at);
CREATE INDEX workflow_executions_cancel ON workflow_executions (cancel_requested_at);

-- slot: NULL: not counted; 0: the task's Job waits for its turn; 1: it may run
ALTER TABLE task_executions ADD COLUMN slot INTEGER NULL CONSTRAINT task_executions_slots CHECK (slot IN (0, 1));
ALTER TABLE task_executions ADD COLUMN namespace TEXT NOT NULL DEFAULT '';
ALTER TABLE task_executions ADD COLUMN queue_rank INTEGER NOT NULL DEFAULT 0 CHECK (typeof(queue_rank) = 'integer');
CREATE INDEX task_executions_slot ON task_executions (slot, status, namespace, queue_rank, workflow_execution_id, id);

DROP VIEW v_executions;
CREATE VIEW v_executions AS
SELECT e.id, w.name AS workflow, v.version AS workflow_version, e.name,
  CASE e.status WHEN 0 THEN 'scheduled' WHEN 1 THEN 'running' WHEN 2 THEN 'success' ELSE 'failed' END AS status,
  e.attempt, e.input, e.output, e.error_msg, e.created_at, e.started_at, e.ended_at,
  ROUND((julianday(COALESCE(e.ended_at, 'now')) - julianday(e.started_at)) * 86400, 3) AS duration_sec,
  e.lease_owner AS manager, e.priority, e.cancel_requested_at, e.cancel_requested_by
FROM workflow_executions e
JOIN workflows w ON w.id = e.workflow_id
LEFT JOIN workflow_versions v ON v.id = e.workflow_version_id;

DROP VIEW v_tasks;
CREATE VIEW v_tasks AS
SELECT t.id, t.workflow_execution_id AS execution_id, w.name AS workflow, t.task_name AS task, t.task_type AS type,
  CASE t.status WHEN 0 THEN 'running' WHEN 1 THEN 'success' ELSE 'failed' END AS status,
  t.attempt, t.execution_name AS job, t.parent_task_execution_id AS parent_id, t.prev_task_execution_id AS prev_id,
  t.next_task_execution_id AS next_id, t.input, t.output, t.error_reason, t.error_msg, t.started_at, t.ended_at,
  ROUND((julianday(COALESCE(t.ended_at, 'now')) - julianday(t.started_at)) * 86400, 3) AS duration_sec,
  t.status = 0 AND COALESCE(t.slot, 1) = 0 AS waiting
FROM task_executions t
JOIN workflow_executions e ON e.id = t.workflow_execution_id
JOIN workflows w ON w.id = e.workflow_id;

-- +goose Down
DROP VIEW v_tasks;
CREATE VIEW v_tasks AS
SELECT t.id, t.workflow_execution_id AS execution_id, w.name AS workflow, t.task_name AS task, t.task_type AS type,
  CASE t.status WHEN 0 THEN 'running' WHEN 1 THEN 'success' ELSE 'failed' END AS status,
  t.attempt, t.execution_name AS job, t.parent_task_execution_id AS parent_id, t.prev_task_execution_id AS prev_id,
  t.next_task_execution_id AS next_id, t.input, t.output, t.error_reason, t.error_msg, t.started_at, t.ended_at,
  ROUND((julianday(COALESCE(t.ended_at, 'now')) - julianday(t.started_at)) * 86400, 3) AS duration_sec
FROM task_executions t
JOIN workflow_executions e ON e.id = t.workflow_execution_id
JOIN workflows w ON w.id = e.workflow_id;
DROP VIEW v_executions;
CREATE VIEW v_executions AS
SELECT e.id, w.name AS workflow, v.version AS workflow_version, e.name,
  CASE e.status WHEN 0 THEN 'scheduled' WHEN 1 THEN 'running' WHEN 2 THEN 'success' ELSE 'failed' END AS status,
  e.attempt, e.input, e.output, e.error_msg, e.created_at, e.started_at, e.ended_at,
  ROUND((julianday(COALESCE(e.ended_at, 'now')) - julianday(e.started_at)) * 86400, 3) AS duration_sec,
  e.lease_owner AS manager
FROM workflow_executions e
JOIN workflows w ON w.id = e.workflow_id
LEFT JOIN workflow_versions v ON v.id = e.workflow_version_id;
DROP INDEX task_executions_slot;
ALTER TABLE task_executions DROP COLUMN queue_rank;
ALTER TABLE task_executions DROP COLUMN namespace;
ALTER TABLE task_executions DROP COLUMN slot;
DROP INDEX workflow_executions_cancel;
DROP INDEX workflow_executions_takeover;
DROP INDEX workflow_executions_queue;
ALTER TABLE workflow_executions DROP COLUMN cancel_reason;
ALTER TABLE workflow_executions DROP COLUMN cancel_requested_by;
ALTER TABLE workflow_executions DROP COLUMN cancel_requested_at;
ALTER TABLE workflow_executions DROP COLUMN strikes;
ALTER TABLE workflow_executions DROP COLUMN takeovers;
ALTER TABLE workflow_executions DROP COLUMN queue_rank;
ALTER TABLE workflow_executions DROP COLUMN priority;
DROP TABLE locks;
DROP TABLE managers;
