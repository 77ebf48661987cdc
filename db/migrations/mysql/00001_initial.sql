-- The tables of jobnetes. Documented column by column in docs/sql.md.
-- Times are UTC. Defaults use UTC_TIMESTAMP, not CURRENT_TIMESTAMP, so that a
-- row inserted by hand in a session of another time zone is right too.
-- JSON is kept as text: MySQL's JSON type would reorder keys and change
-- numbers, and JSON_VALID refuses what is nested deeper than 32 on MariaDB.

-- +goose Up
CREATE TABLE users (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name       VARCHAR(255)    NOT NULL,
  created_at DATETIME(6)     NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  updated_at DATETIME(6)     NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  CONSTRAINT users_name UNIQUE (name),
  CONSTRAINT users_name_given CHECK (name <> '')
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

INSERT IGNORE INTO users (id, name) VALUES (1, 'jobnetesadmin');

CREATE TABLE workflows (
  id         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name       VARCHAR(255)    NOT NULL,
  definition LONGTEXT        NOT NULL,
  user_id    BIGINT UNSIGNED NOT NULL,
  created_at DATETIME(6)     NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  updated_at DATETIME(6)     NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  CONSTRAINT workflows_name UNIQUE (name),
  CONSTRAINT workflows_user FOREIGN KEY (user_id) REFERENCES users (id),
  CONSTRAINT workflows_name_given CHECK (name <> '')
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE workflow_versions (
  id          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  workflow_id BIGINT UNSIGNED NOT NULL,
  version     INT UNSIGNED    NOT NULL,
  definition  LONGTEXT        NOT NULL,
  created_at  DATETIME(6)     NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  CONSTRAINT workflow_versions_version UNIQUE (workflow_id, version),
  CONSTRAINT workflow_versions_own UNIQUE (workflow_id, id),
  CONSTRAINT workflow_versions_workflow FOREIGN KEY (workflow_id) REFERENCES workflows (id),
  CONSTRAINT workflow_versions_positive CHECK (version > 0)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE workflow_executions (
  id                  BIGINT UNSIGNED  NOT NULL AUTO_INCREMENT PRIMARY KEY,
  workflow_id         BIGINT UNSIGNED  NOT NULL,
  workflow_version_id BIGINT UNSIGNED  NULL,
  name                VARCHAR(255)     NOT NULL DEFAULT '',
  status              TINYINT UNSIGNED NOT NULL DEFAULT 0,
  input               LONGTEXT         NOT NULL DEFAULT ('{}'),
  output              LONGTEXT         NOT NULL DEFAULT ('{}'),
  attempt             INT UNSIGNED     NOT NULL DEFAULT 1,
  error_msg           TEXT             NOT NULL DEFAULT (''),
  started_at          DATETIME(6)      NULL,
  ended_at            DATETIME(6)      NULL,
  lease_owner         VARCHAR(255)     NULL,
  lease_epoch         BIGINT UNSIGNED  NOT NULL DEFAULT 0,
  lease_until         DATETIME(6)      NULL,
  wake_at             DATETIME(6)      NULL DEFAULT (UTC_TIMESTAMP(6)),
  created_at          DATETIME(6)      NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  updated_at          DATETIME(6)      NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  INDEX workflow_executions_wake (wake_at),
  INDEX workflow_executions_lease (lease_owner),
  INDEX workflow_executions_status (status, id),
  INDEX workflow_executions_workflow (workflow_id, id),
  INDEX workflow_executions_workflow_status (workflow_id, status, id),
  CONSTRAINT workflow_executions_of_workflow FOREIGN KEY (workflow_id) REFERENCES workflows (id),
  CONSTRAINT workflow_executions_of_version FOREIGN KEY (workflow_id, workflow_version_id) REFERENCES workflow_versions (workflow_id, id),
  -- 0 scheduled, 1 running, 2 success, 3 failed
  CONSTRAINT workflow_executions_times CHECK (
    (status = 0 AND started_at IS NULL AND ended_at IS NULL) OR
    (status = 1 AND started_at IS NOT NULL AND ended_at IS NULL) OR
    (status IN (2, 3) AND started_at IS NOT NULL AND ended_at IS NOT NULL)),
  CONSTRAINT workflow_executions_pinned CHECK (status IN (0, 3) OR workflow_version_id IS NOT NULL),
  CONSTRAINT workflow_executions_reason CHECK (status <> 3 OR error_msg <> ''),
  CONSTRAINT workflow_executions_woken CHECK ((status IN (0, 1)) = (wake_at IS NOT NULL)),
  CONSTRAINT workflow_executions_leased CHECK ((lease_owner IS NULL) = (lease_until IS NULL)),
  CONSTRAINT workflow_executions_released CHECK (status IN (0, 1) OR lease_owner IS NULL)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE task_executions (
  id                       BIGINT UNSIGNED  NOT NULL AUTO_INCREMENT PRIMARY KEY,
  workflow_execution_id    BIGINT UNSIGNED  NOT NULL,
  parent_task_execution_id BIGINT UNSIGNED  NULL,
  prev_task_execution_id   BIGINT UNSIGNED  NULL,
  next_task_execution_id   BIGINT UNSIGNED  NULL,
  set_index                INT UNSIGNED     NULL,
  execution_name           VARCHAR(63)      NULL,
  task_name                VARCHAR(255)     NOT NULL,
  task_type                VARCHAR(32)      NOT NULL,
  scope                    VARCHAR(255)     NOT NULL DEFAULT '',
  attempt                  INT UNSIGNED     NOT NULL DEFAULT 1,
  status                   TINYINT UNSIGNED NOT NULL DEFAULT 0,
  input                    LONGTEXT         NOT NULL,
  output                   LONGTEXT         NOT NULL DEFAULT ('{}'),
  recorded_output          LONGTEXT         NULL,
  recorded_rev             INT UNSIGNED     NOT NULL DEFAULT 0,
  job_uid                  VARCHAR(64)      NULL,
  error_reason             VARCHAR(255)     NOT NULL DEFAULT '',
  error_msg                TEXT             NOT NULL DEFAULT (''),
  started_at               DATETIME(6)      NOT NULL,
  ended_at                 DATETIME(6)      NULL,
  elapsed_sec              INT UNSIGNED     NOT NULL DEFAULT 0,
  created_at               DATETIME(6)      NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  updated_at               DATETIME(6)      NOT NULL DEFAULT (UTC_TIMESTAMP(6)),
  INDEX task_executions_execution (workflow_execution_id, id),
  CONSTRAINT task_executions_once UNIQUE (workflow_execution_id, task_name, scope, attempt),
  CONSTRAINT task_executions_job UNIQUE (execution_name),
  CONSTRAINT task_executions_of_execution FOREIGN KEY (workflow_execution_id) REFERENCES workflow_executions (id),
  CONSTRAINT task_executions_parent FOREIGN KEY (parent_task_execution_id) REFERENCES task_executions (id),
  CONSTRAINT task_executions_prev FOREIGN KEY (prev_task_execution_id) REFERENCES task_executions (id),
  CONSTRAINT task_executions_next FOREIGN KEY (next_task_execution_id) REFERENCES task_executions (id),
  -- 0 running, 1 success, 2 failed
  CONSTRAINT task_executions_status CHECK (status IN (0, 1, 2)),
  CONSTRAINT task_executions_type CHECK (task_type IN ('kube-job', 'parallel', 'branch')),
  CONSTRAINT task_executions_attempt CHECK (attempt > 0),
  CONSTRAINT task_executions_times CHECK ((status = 0) = (ended_at IS NULL)),
  CONSTRAINT task_executions_reason CHECK ((status = 2) = (error_reason <> '')),
  CONSTRAINT task_executions_in_set CHECK ((parent_task_execution_id IS NULL) = (set_index IS NULL)),
  CONSTRAINT task_executions_successor CHECK (next_task_execution_id IS NULL OR status = 1),
  CONSTRAINT task_executions_has_job CHECK (task_type = 'kube-job' OR (execution_name IS NULL AND job_uid IS NULL)),
  CONSTRAINT task_executions_recorded CHECK ((recorded_rev = 0) = (recorded_output IS NULL))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE TABLE execution_events (
  id                    BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  workflow_execution_id BIGINT UNSIGNED NOT NULL,
  task_execution_id     BIGINT UNSIGNED NULL,
  at                    DATETIME(6)     NOT NULL,
  type                  VARCHAR(64)     NOT NULL,
  actor                 VARCHAR(255)    NOT NULL,
  reason                VARCHAR(255)    NOT NULL DEFAULT '',
  message               TEXT            NOT NULL DEFAULT (''),
  INDEX execution_events_execution (workflow_execution_id, id),
  CONSTRAINT execution_events_of_execution FOREIGN KEY (workflow_execution_id) REFERENCES workflow_executions (id),
  CONSTRAINT execution_events_of_task FOREIGN KEY (task_execution_id) REFERENCES task_executions (id)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

-- What the services share and nobody configures, such as the key of task tokens.
CREATE TABLE secrets (
  name       VARCHAR(64)    NOT NULL PRIMARY KEY,
  value      VARBINARY(255) NOT NULL,
  created_at DATETIME(6)    NOT NULL DEFAULT (UTC_TIMESTAMP(6))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin;

CREATE VIEW v_executions AS
SELECT e.id, w.name AS workflow, v.version AS workflow_version, e.name,
  CASE e.status WHEN 0 THEN 'scheduled' WHEN 1 THEN 'running' WHEN 2 THEN 'success' ELSE 'failed' END AS status,
  e.attempt, e.input, e.output, e.error_msg, e.created_at, e.started_at, e.ended_at,
  TIMESTAMPDIFF(MICROSECOND, e.started_at, COALESCE(e.ended_at, UTC_TIMESTAMP(6))) / 1000000 AS duration_sec,
  e.lease_owner AS manager
FROM workflow_executions e
JOIN workflows w ON w.id = e.workflow_id
LEFT JOIN workflow_versions v ON v.id = e.workflow_version_id;

CREATE VIEW v_tasks AS
SELECT t.id, t.workflow_execution_id AS execution_id, w.name AS workflow, t.task_name AS task, t.task_type AS type,
  CASE t.status WHEN 0 THEN 'running' WHEN 1 THEN 'success' ELSE 'failed' END AS status,
  t.attempt, t.execution_name AS job, t.parent_task_execution_id AS parent_id, t.prev_task_execution_id AS prev_id,
  t.next_task_execution_id AS next_id, t.input, t.output, t.error_reason, t.error_msg, t.started_at, t.ended_at,
  TIMESTAMPDIFF(MICROSECOND, t.started_at, COALESCE(t.ended_at, UTC_TIMESTAMP(6))) / 1000000 AS duration_sec
FROM task_executions t
JOIN workflow_executions e ON e.id = t.workflow_execution_id
JOIN workflows w ON w.id = e.workflow_id;

-- +goose Down
DROP VIEW v_tasks;
DROP VIEW v_executions;
DROP TABLE secrets;
DROP TABLE execution_events;
DROP TABLE task_executions;
DROP TABLE workflow_executions;
DROP TABLE workflow_versions;
DROP TABLE workflows;
DROP TABLE users;
