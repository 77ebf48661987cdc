"""Start a workflow, or report a task's output, from Python.

    pip install grpcio grpcio-tools
    python -m grpc_tools.protoc -I proto --python_out=. --grpc_python_out=. proto/jobapi.proto

    python jobapi_client.py start chain '{"day": "2026-03-01"}'     # with JOBNETES_JOBAPI_PASSWORD set
    python jobapi_client.py record '{"rows": 1200}'                 # inside a job
"""

import os
import sys

import grpc

import jobapi_pb2
import jobapi_pb2_grpc

ENDPOINT = os.environ.get("JOBNETES_JOBAPI_ENDPOINT", "127.0.0.1:50051")


def start(workflow: str, data: str) -> None:
    metadata = (
        ("username", os.environ.get("JOBNETES_JOBAPI_USERNAME", "jobnetesadmin")),
        ("password", os.environ["JOBNETES_JOBAPI_PASSWORD"]),
    )
    with grpc.insecure_channel(ENDPOINT) as channel:
        request = jobapi_pb2.WorkflowStartRequest(workflow_name=workflow, input=data.encode())
        response = jobapi_pb2_grpc.JobapiStub(channel).StartWorkflow(request, metadata=metadata, timeout=10)
    print("started execution", response.id)


def record(data: str) -> None:
    # The token is good for this task only, and only until it ends.
    metadata = (("authorization", "Bearer " + os.environ["JOBNETES_TOKEN"]),)
    with grpc.insecure_channel(ENDPOINT) as channel:
        request = jobapi_pb2.TaskOutputRecordRequest(
            task_id=int(os.environ["JOBNETES_TASK_ID"]), data=data.encode()
        )
        if "JOBNETES_INDEX" in os.environ:  # a pod of an indexed task
            request.index = int(os.environ["JOBNETES_INDEX"])
        jobapi_pb2_grpc.JobapiStub(channel).RecordTaskOutput(
            request, metadata=metadata, timeout=30, wait_for_ready=True
        )


if __name__ == "__main__":
    {"start": start, "record": record}[sys.argv[1]](*sys.argv[2:])
