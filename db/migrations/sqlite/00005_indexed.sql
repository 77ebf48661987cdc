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

-- +goose Down
DROP VIEW v_indexes;
DROP TABLE task_indexes;
ALTER TABLE task_executions DROP COLUMN indexes_closed;
ALTER TABLE task_executions DROP COLUMN index_count;
