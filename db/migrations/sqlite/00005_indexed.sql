-- The outputs of indexed tasks, one for each index.

-- +goose Up
-- index_count: how many indexes the task has; NULL: it is not indexed.
-- indexes_closed: its Job has ended, so that no index records any more.
ALTER TABLE task_executions ADD COLUMN index_count INTEGER NULL CHECK (typeof(index_count) IN ('integer', 'null') AND index_count > 0);
ALTER TABLE task_executions ADD COLUMN indexes_closed BOOLEAN NOT NULL DEFAULT 0 CHECK (indexes_closed IN (0, 1));

CREATE TABLE task_indexes (
  task_execution_id INTEGER  NOT NULL CHECK (typeof(task_execution_id) = 'integer' AND task_execution_id >= 0),
  idx               INTEGER  NOT NULL CHECK (typeof(idx) = 'integer' AND idx >= 0),
  output            TEXT     NOT NULL,
  -- NULL: the output is what the index's pod has left
  recorded_at       DATETIME NULL CHECK (recorded_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  -- NULL: it is not known to have succeeded
  succeeded_at      DATETIME NULL CHECK (succeeded_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  PRIMARY KEY (task_execution_id, idx),
  CONSTRAINT task_indexes_of_task FOREIGN KEY (task_execution_id) REFERENCES task_executions (id),
  CONSTRAINT task_indexes_from CHECK (recorded_at IS NOT NULL OR succeeded_at IS NOT NULL)
) WITHOUT ROWID;

CREATE VIEW v_indexes AS
SELECT t.workflow_execution_id AS execution_id, i.task_execution_id AS task_id, t.task_name AS task, i.idx,
  i.output, i.recorded_at, i.succeeded_at
FROM task_indexes i
JOIN task_executions t ON t.id = i.task_execution_id;

-- Left joins, though there is always a workflow: a database that may begin with the few
-- workflows reads all of their executions, and sorts them, to show the newest.
DROP VIEW v_executions;
CREATE VIEW v_executions AS
SELECT e.id, w.name AS workflow, v.version AS workflow_version, e.name,
  CASE e.status WHEN 0 THEN 'scheduled' WHEN 1 THEN 'running' WHEN 2 THEN 'success' ELSE 'failed' END AS status,
  e.attempt, e.input, e.output, e.error_msg, e.created_at, e.started_at, e.ended_at,
  ROUND((julianday(COALESCE(e.ended_at, 'now')) - julianday(e.started_at)) * 86400, 3) AS duration_sec,
  e.lease_owner AS manager, e.priority, e.cancel_requested_at, e.cancel_requested_by
FROM workflow_executions e
LEFT JOIN workflows w ON w.id = e.workflow_id
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
LEFT JOIN workflow_executions e ON e.id = t.workflow_execution_id
LEFT JOIN workflows w ON w.id = e.workflow_id;

-- +goose Down
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
DROP VIEW v_indexes;
DROP TABLE task_indexes;
ALTER TABLE task_executions DROP COLUMN indexes_closed;
ALTER TABLE task_executions DROP COLUMN index_count;
