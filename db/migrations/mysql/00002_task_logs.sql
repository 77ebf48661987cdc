-- The ends of containers' logs, kept when their task ends: pods go.

-- +goose Up
CREATE TABLE task_logs (
  id                BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  task_execution_id BIGINT UNSIGNED NOT NULL,
  pod               VARCHAR(253)    NOT NULL,
  container         VARCHAR(63)     NOT NULL,
  position          INT UNSIGNED    NOT NULL,
  truncated         BOOLEAN         NOT NULL,
  -- as COMPRESS() gives it: UNCOMPRESS(content) is the log
  content           MEDIUMBLOB      NOT NULL,
  created_at        DATETIME(6)     NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  CONSTRAINT task_logs_once UNIQUE (task_execution_id, pod, container),
  CONSTRAINT task_logs_of_task FOREIGN KEY (task_execution_id) REFERENCES task_executions (id),
  CONSTRAINT task_logs_named CHECK (pod <> '' AND container <> ''),
  CONSTRAINT task_logs_truncated CHECK (truncated IN (0, 1))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE VIEW v_task_logs AS
SELECT t.workflow_execution_id AS execution_id, l.task_execution_id AS task_id, t.task_name AS task, l.pod, l.container, l.truncated,
  CONVERT(UNCOMPRESS(l.content) USING utf8mb4) AS log
FROM task_logs l
JOIN task_executions t ON t.id = l.task_execution_id;

-- +goose Down
DROP VIEW v_task_logs;
DROP TABLE task_logs;
