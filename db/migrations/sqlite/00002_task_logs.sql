-- The ends of containers' logs, kept when their task ends: pods go. SQLite
-- cannot read their format, so the view is without them.

-- +goose Up
CREATE TABLE task_logs (
  id                       INTEGER  PRIMARY KEY AUTOINCREMENT,
  task_execution_id        INTEGER  NOT NULL CHECK (typeof(task_execution_id) = 'integer' AND task_execution_id >= 0),
  pod                      TEXT     NOT NULL,
  container                TEXT     NOT NULL,
  position                 INTEGER  NOT NULL CHECK (typeof(position) = 'integer' AND position >= 0),
  truncated                BOOLEAN  NOT NULL,
  -- as MySQL's COMPRESS() gives it
  content                  BLOB     NOT NULL,
  created_at               DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')) CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  CONSTRAINT task_logs_once UNIQUE (task_execution_id, pod, container),
  CONSTRAINT task_logs_of_task FOREIGN KEY (task_execution_id) REFERENCES task_executions (id),
  CONSTRAINT task_logs_named CHECK (pod <> '' AND container <> ''),
  CONSTRAINT task_logs_truncated CHECK (truncated IN (0, 1))
);

CREATE VIEW v_task_logs AS
SELECT t.workflow_execution_id AS execution_id, l.task_execution_id AS task_id, t.task_name AS task, l.pod, l.container, l.truncated
FROM task_logs l
JOIN task_executions t ON t.id = l.task_execution_id;

-- +goose Down
DROP VIEW v_task_logs;
DROP TABLE task_logs;
