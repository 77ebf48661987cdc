-- A client's own id of a start, so that one that is tried again starts nothing
-- twice.

-- +goose Up
ALTER TABLE workflow_executions ADD COLUMN request_id TEXT NULL CONSTRAINT workflow_executions_request CHECK (request_id <> '');
CREATE UNIQUE INDEX workflow_executions_once ON workflow_executions (workflow_id, request_id);

-- +goose Down
DROP INDEX workflow_executions_once;
ALTER TABLE workflow_executions DROP COLUMN request_id;
