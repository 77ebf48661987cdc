-- The outputs of indexed tasks, one for each index.

-- +goose Up
-- index_count: how many indexes the task has; NULL: it is not indexed.
-- indexes_closed: its Job has ended, so that no index records any more.
ALTER TABLE task_executions
  ADD COLUMN index_count    INT UNSIGNED NULL,
  ADD COLUMN indexes_closed BOOLEAN      NOT NULL DEFAULT 0;

CREATE TABLE task_indexes (
  task_execution_id BIGINT UNSIGNED NOT NULL,
  idx               INT UNSIGNED    NOT NULL,
  output            LONGTEXT        NOT NULL,
  -- NULL: the output is what the index's pod has left
  recorded_at       DATETIME(6)     NULL,
  -- NULL: it is not known to have succeeded
  succeeded_at      DATETIME(6)     NULL,
  PRIMARY KEY (task_execution_id, idx),
  CONSTRAINT task_indexes_of_task FOREIGN KEY (task_execution_id) REFERENCES task_executions (id),
  CONSTRAINT task_indexes_from CHECK (recorded_at IS NOT NULL OR succeeded_at IS NOT NULL)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE OR REPLACE VIEW v_indexes AS
SELECT t.workflow_execution_id AS execution_id, i.task_execution_id AS task_id, t.task_name AS task, i.idx,
  i.output, i.recorded_at, i.succeeded_at
FROM task_indexes i
JOIN task_executions t ON t.id = i.task_execution_id;

-- Left joins, though there is always a workflow: a database that may begin with the few
-- workflows reads all of their executions, and sorts them, to show the newest.
CREATE OR REPLACE VIEW v_executions AS
SELECT e.id, w.name AS workflow, v.version AS workflow_version, e.name,
  CASE e.status WHEN 0 THEN 'scheduled' WHEN 1 THEN 'running' WHEN 2 THEN 'success' ELSE 'failed' END AS status,
  e.attempt, e.input, e.output, e.error_msg, e.created_at, e.started_at, e.ended_at,
  TIMESTAMPDIFF(MICROSECOND, e.started_at, COALESCE(e.ended_at, UTC_TIMESTAMP(6))) / 1000000 AS duration_sec,
  e.lease_owner AS manager, e.priority, e.cancel_requested_at, e.cancel_requested_by
FROM workflow_executions e
LEFT JOIN workflows w ON w.id = e.workflow_id
LEFT JOIN workflow_versions v ON v.id = e.workflow_version_id;

CREATE OR REPLACE VIEW v_tasks AS
SELECT t.id, t.workflow_execution_id AS execution_id, w.name AS workflow, t.task_name AS task, t.task_type AS type,
  CASE t.status WHEN 0 THEN 'running' WHEN 1 THEN 'success' ELSE 'failed' END AS status,
  t.attempt, t.execution_name AS job, t.parent_task_execution_id AS parent_id, t.prev_task_execution_id AS prev_id,
  t.next_task_execution_id AS next_id, t.input, t.output, t.error_reason, t.error_msg, t.started_at, t.ended_at,
  TIMESTAMPDIFF(MICROSECOND, t.started_at, COALESCE(t.ended_at, UTC_TIMESTAMP(6))) / 1000000 AS duration_sec,
  t.status = 0 AND COALESCE(t.slot, 1) = 0 AS waiting
FROM task_executions t
LEFT JOIN workflow_executions e ON e.id = t.workflow_execution_id
LEFT JOIN workflows w ON w.id = e.workflow_id;

-- +goose Down
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
DROP VIEW v_indexes;
DROP TABLE task_indexes;
ALTER TABLE task_executions
  DROP COLUMN indexes_closed,
  DROP COLUMN index_count;
