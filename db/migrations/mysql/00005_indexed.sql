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

-- +goose Down
DROP VIEW v_indexes;
DROP TABLE task_indexes;
ALTER TABLE task_executions
  DROP COLUMN indexes_closed,
  DROP COLUMN index_count;
