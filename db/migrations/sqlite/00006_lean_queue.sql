-- No statement reads this index any more: claims have indexes of their own, by status
-- (00004). Each start, claim, renewal and end wrote it.

-- +goose Up
DROP INDEX workflow_executions_wake;

-- +goose Down
CREATE INDEX workflow_executions_wake ON workflow_executions (wake_at);
