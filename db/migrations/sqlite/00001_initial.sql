-- The tables of jobnetes. Documented column by column in docs/sql.md.
-- The same tables, columns, CHECKs and views as the MySQL set. Times are UTC,
-- as text that sorts: 2026-01-31 12:00:00.123. SQLite takes any value for any
-- column, so CHECKs say which columns hold numbers and which times.

-- +goose Up
CREATE TABLE users (
  id                       INTEGER  PRIMARY KEY AUTOINCREMENT,
  name                     TEXT     NOT NULL,
  created_at               DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')) CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  updated_at               DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')) CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  CONSTRAINT users_name UNIQUE (name),
  CONSTRAINT users_name_given CHECK (name <> '')
);

INSERT INTO users (id, name) VALUES (1, 'jobnetesadmin');

CREATE TABLE workflows (
  id                       INTEGER  PRIMARY KEY AUTOINCREMENT,
  name                     TEXT     NOT NULL,
  definition               TEXT     NOT NULL,
  user_id                  INTEGER  NOT NULL CHECK (typeof(user_id) = 'integer' AND user_id >= 0),
  created_at               DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')) CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  updated_at               DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')) CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  CONSTRAINT workflows_name UNIQUE (name),
  CONSTRAINT workflows_user FOREIGN KEY (user_id) REFERENCES users (id),
  CONSTRAINT workflows_name_given CHECK (name <> '')
);
CREATE INDEX workflows_user_id ON workflows (user_id);

CREATE TABLE workflow_versions (
  id                       INTEGER  PRIMARY KEY AUTOINCREMENT,
  workflow_id              INTEGER  NOT NULL CHECK (typeof(workflow_id) = 'integer' AND workflow_id >= 0),
  version                  INTEGER  NOT NULL CHECK (typeof(version) = 'integer' AND version >= 0),
  definition               TEXT     NOT NULL,
  created_at               DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')) CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  CONSTRAINT workflow_versions_version UNIQUE (workflow_id, version),
  CONSTRAINT workflow_versions_own UNIQUE (workflow_id, id),
  CONSTRAINT workflow_versions_workflow FOREIGN KEY (workflow_id) REFERENCES workflows (id),
  CONSTRAINT workflow_versions_positive CHECK (version > 0)
);

CREATE TABLE workflow_executions (
  id                       INTEGER  PRIMARY KEY AUTOINCREMENT,
  workflow_id              INTEGER  NOT NULL CHECK (typeof(workflow_id) = 'integer' AND workflow_id >= 0),
  workflow_version_id      INTEGER  NULL CHECK (workflow_version_id IS NULL OR (typeof(workflow_version_id) = 'integer' AND workflow_version_id >= 0)),
  name                     TEXT     NOT NULL DEFAULT '',
  status                   INTEGER  NOT NULL DEFAULT 0 CHECK (typeof(status) = 'integer' AND status >= 0),
  input                    TEXT     NOT NULL DEFAULT ('{}'),
  output                   TEXT     NOT NULL DEFAULT ('{}'),
  attempt                  INTEGER  NOT NULL DEFAULT 1 CHECK (typeof(attempt) = 'integer' AND attempt >= 0),
  error_msg                TEXT     NOT NULL DEFAULT (''),
  started_at               DATETIME NULL CHECK (started_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  ended_at                 DATETIME NULL CHECK (ended_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  lease_owner              TEXT     NULL,
  lease_epoch              INTEGER  NOT NULL DEFAULT 0 CHECK (typeof(lease_epoch) = 'integer' AND lease_epoch >= 0),
  lease_until              DATETIME NULL CHECK (lease_until GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  wake_at                  DATETIME NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')) CHECK (wake_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  created_at               DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')) CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  updated_at               DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')) CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
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
);
CREATE INDEX workflow_executions_wake ON workflow_executions (wake_at);
CREATE INDEX workflow_executions_lease ON workflow_executions (lease_owner);
CREATE INDEX workflow_executions_status ON workflow_executions (status, id);
CREATE INDEX workflow_executions_workflow ON workflow_executions (workflow_id, id);
CREATE INDEX workflow_executions_workflow_status ON workflow_executions (workflow_id, status, id);
CREATE INDEX workflow_executions_workflow_version_id ON workflow_executions (workflow_version_id);

CREATE TABLE task_executions (
  id                       INTEGER  PRIMARY KEY AUTOINCREMENT,
  workflow_execution_id    INTEGER  NOT NULL CHECK (typeof(workflow_execution_id) = 'integer' AND workflow_execution_id >= 0),
  parent_task_execution_id INTEGER  NULL CHECK (parent_task_execution_id IS NULL OR (typeof(parent_task_execution_id) = 'integer' AND parent_task_execution_id >= 0)),
  prev_task_execution_id   INTEGER  NULL CHECK (prev_task_execution_id IS NULL OR (typeof(prev_task_execution_id) = 'integer' AND prev_task_execution_id >= 0)),
  next_task_execution_id   INTEGER  NULL CHECK (next_task_execution_id IS NULL OR (typeof(next_task_execution_id) = 'integer' AND next_task_execution_id >= 0)),
  set_index                INTEGER  NULL CHECK (set_index IS NULL OR (typeof(set_index) = 'integer' AND set_index >= 0)),
  execution_name           TEXT     NULL,
  task_name                TEXT     NOT NULL,
  task_type                TEXT     NOT NULL,
  scope                    TEXT     NOT NULL DEFAULT '',
  attempt                  INTEGER  NOT NULL DEFAULT 1 CHECK (typeof(attempt) = 'integer' AND attempt >= 0),
  status                   INTEGER  NOT NULL DEFAULT 0 CHECK (typeof(status) = 'integer' AND status >= 0),
  input                    TEXT     NOT NULL,
  output                   TEXT     NOT NULL DEFAULT ('{}'),
  recorded_output          TEXT     NULL,
  recorded_rev             INTEGER  NOT NULL DEFAULT 0 CHECK (typeof(recorded_rev) = 'integer' AND recorded_rev >= 0),
  job_uid                  TEXT     NULL,
  error_reason             TEXT     NOT NULL DEFAULT '',
  error_msg                TEXT     NOT NULL DEFAULT (''),
  started_at               DATETIME NOT NULL CHECK (started_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  ended_at                 DATETIME NULL CHECK (ended_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  elapsed_sec              INTEGER  NOT NULL DEFAULT 0 CHECK (typeof(elapsed_sec) = 'integer' AND elapsed_sec >= 0),
  created_at               DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')) CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  updated_at               DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')) CHECK (updated_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
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
);
CREATE INDEX task_executions_execution ON task_executions (workflow_execution_id, id);
CREATE INDEX task_executions_parent_task_execution_id ON task_executions (parent_task_execution_id);
CREATE INDEX task_executions_prev_task_execution_id ON task_executions (prev_task_execution_id);
CREATE INDEX task_executions_next_task_execution_id ON task_executions (next_task_execution_id);

CREATE TABLE execution_events (
  id                       INTEGER  PRIMARY KEY AUTOINCREMENT,
  workflow_execution_id    INTEGER  NOT NULL CHECK (typeof(workflow_execution_id) = 'integer' AND workflow_execution_id >= 0),
  task_execution_id        INTEGER  NULL CHECK (task_execution_id IS NULL OR (typeof(task_execution_id) = 'integer' AND task_execution_id >= 0)),
  at                       DATETIME NOT NULL CHECK (at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*'),
  type                     TEXT     NOT NULL,
  actor                    TEXT     NOT NULL,
  reason                   TEXT     NOT NULL DEFAULT '',
  message                  TEXT     NOT NULL DEFAULT (''),
  CONSTRAINT execution_events_of_execution FOREIGN KEY (workflow_execution_id) REFERENCES workflow_executions (id),
  CONSTRAINT execution_events_of_task FOREIGN KEY (task_execution_id) REFERENCES task_executions (id)
);
CREATE INDEX execution_events_execution ON execution_events (workflow_execution_id, id);
CREATE INDEX execution_events_task_execution_id ON execution_events (task_execution_id);

-- What the services share and nobody configures, such as the key of task tokens.
CREATE TABLE secrets (
  name                     TEXT     NOT NULL PRIMARY KEY,
  value                    BLOB     NOT NULL,
  created_at               DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now')) CHECK (created_at GLOB '[0-9][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]*')
);

CREATE VIEW v_executions AS
SELECT e.id, w.name AS workflow, v.version AS workflow_version, e.name,
  CASE e.status WHEN 0 THEN 'scheduled' WHEN 1 THEN 'running' WHEN 2 THEN 'success' ELSE 'failed' END AS status,
  e.attempt, e.input, e.output, e.error_msg, e.created_at, e.started_at, e.ended_at,
  ROUND((julianday(COALESCE(e.ended_at, 'now')) - julianday(e.started_at)) * 86400, 3) AS duration_sec,
  e.lease_owner AS manager
FROM workflow_executions e
JOIN workflows w ON w.id = e.workflow_id
LEFT JOIN workflow_versions v ON v.id = e.workflow_version_id;

CREATE VIEW v_tasks AS
SELECT t.id, t.workflow_execution_id AS execution_id, w.name AS workflow, t.task_name AS task, t.task_type AS type,
  CASE t.status WHEN 0 THEN 'running' WHEN 1 THEN 'success' ELSE 'failed' END AS status,
  t.attempt, t.execution_name AS job, t.parent_task_execution_id AS parent_id, t.prev_task_execution_id AS prev_id,
  t.next_task_execution_id AS next_id, t.input, t.output, t.error_reason, t.error_msg, t.started_at, t.ended_at,
  ROUND((julianday(COALESCE(t.ended_at, 'now')) - julianday(t.started_at)) * 86400, 3) AS duration_sec
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
