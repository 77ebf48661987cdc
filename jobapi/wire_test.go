package jobapi

import (
	"bytes"
	"fmt"
	"testing"

	"google.golang.org/grpc"

	pb "github.com/jobnetes/jobnetes/proto"
)

// rawCodec sends and receives bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) ([]byte, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("marshal %T", v)
	}
	return b, nil
}

func (rawCodec) Unmarshal(data []byte, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("unmarshal %T", v)
	}
	*b = bytes.Clone(data)
	return nil
}

// The bytes on the wire are those of the original's clients, written by hand:
// whatever is generated from the proto must not move a number.
func TestWireOfTheOriginal(t *testing.T) {
	t.Parallel()
	store := setupStore(t)
	b := setup(t, testConfig(), store, nil)
	if id := apply(t, b, chain).GetId(); id != 1 {
		t.Fatalf("workflow %d, want 1", id)
	}

	var res []byte
	// 1 varint: workflow_id; 2 bytes: exec_name; 3 bytes: input.
	request := []byte("\x08\x01" + "\x12\x05march" + "\x1a\x07{\"n\":1}")
	if err := b.conn.Invoke(asUser(t), "/jobapi.Jobapi/StartWorkflow", request, &res, grpc.ForceCodec(rawCodec{})); err != nil {
		t.Fatal(err)
	}
	if want := []byte("\x08\x01"); !bytes.Equal(res, want) { // 1 varint: id
		t.Errorf("StartWorkflow answers %q, want %q", res, want)
	}
	execution, err := store.Execution(t.Context(), 1)
	if err != nil || execution.WorkflowID != 1 || execution.Name != "march" || execution.Input != `{"n":1}` {
		t.Errorf("execution %+v, %v", execution, err)
	}

	task := claim(t, store, 1).begin("extract", "kube-job")
	if task.ID != 1 {
		t.Fatalf("task %d, want 1", task.ID)
	}
	// 1 varint: task_id; 2 bytes: data.
	request = []byte("\x08\x01" + "\x12\x07{\"n\":2}")
	if err := b.conn.Invoke(asUser(t), "/jobapi.Jobapi/RecordTaskOutput", request, &res, grpc.ForceCodec(rawCodec{})); err != nil {
		t.Fatal(err)
	}
	if want := []byte("\x08\x01"); !bytes.Equal(res, want) { // 1 varint: task_id
		t.Errorf("RecordTaskOutput answers %q, want %q", res, want)
	}
	if row, err := store.Task(t.Context(), 1); err != nil || row.RecordedOutput == nil || *row.RecordedOutput != `{"n":2}` {
		t.Errorf("recorded %v, %v", row.RecordedOutput, err)
	}
}

// Names, too, are part of the wire: SQL and JSON show the numbers one lower.
func TestStatusNumbers(t *testing.T) {
	t.Parallel()
	for number, name := range map[int32]string{1: "EXECUTION_STATUS_SCHEDULED", 2: "EXECUTION_STATUS_RUNNING", 3: "EXECUTION_STATUS_SUCCESS", 4: "EXECUTION_STATUS_FAILED"} {
		if got := pb.ExecutionStatus_name[number]; got != name {
			t.Errorf("execution status %d is %s, want %s", number, got, name)
		}
	}
	for number, name := range map[int32]string{1: "TASK_STATUS_RUNNING", 2: "TASK_STATUS_SUCCESS", 3: "TASK_STATUS_FAILED"} {
		if got := pb.TaskStatus_name[number]; got != name {
			t.Errorf("task status %d is %s, want %s", number, got, name)
		}
	}
}
