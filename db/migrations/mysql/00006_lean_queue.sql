-- No statement reads this index any more: claims have indexes of their own, by status
-- (00004). Each start, claim, renewal and end wrote it.

-- +goose Up
ALTER TABLE workflow_executions DROP INDEX workflow_executions_wake;

-- +goose Down
ALTER TABLE workflow_executions ADD INDEX workflow_executions_wake (wake_at);
