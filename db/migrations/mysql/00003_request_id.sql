-- A client's own id of a start, so that one that is tried again starts nothing
-- twice.

-- +goose Up
ALTER TABLE workflow_executions
  ADD COLUMN request_id VARCHAR(255) NULL,
  ADD CONSTRAINT workflow_executions_once UNIQUE (workflow_id, request_id),
  ADD CONSTRAINT workflow_executions_request CHECK (request_id <> '');

-- +goose Down
ALTER TABLE workflow_executions
  DROP CONSTRAINT workflow_executions_request,
  DROP INDEX workflow_executions_once,
  DROP COLUMN request_id;
