"""A release by boto3: create, wait, approve, wait. Prints how it ended."""
import json
import sys
import time

import boto3

with open(sys.argv[1]) as file:
    declaration = json.load(file)
name = declaration["name"]
client = boto3.client("codepipeline")

created = client.create_pipeline(pipeline=declaration, tags=[{"key": "made-by", "value": "boto3"}])
assert created["pipeline"]["version"] == 1, created
arn = client.get_pipeline(name=name)["metadata"]["pipelineArn"]
assert client.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "made-by", "value": "boto3"}]
(execution,) = client.list_pipeline_executions(pipelineName=name)["pipelineExecutionSummaries"]
id = execution["pipelineExecutionId"]


def wait(look):
    for _ in range(300):
        found = look()
        if found:
            return found
        time.sleep(0.25)
    raise SystemExit(f"{name} does not go on: {client.get_pipeline_state(name=name)}")


def asked():
    for stage in client.get_pipeline_state(name=name)["stageStates"]:
        for action in stage["actionStates"]:
            if "token" in action.get("latestExecution", {}):
                return stage["stageName"], action["actionName"], action["latestExecution"]["token"]


def ended():
    status = client.get_pipeline_execution(pipelineName=name, pipelineExecutionId=id)["pipelineExecution"]["status"]
    return status if status != "InProgress" else None


stage, action, token = wait(asked)
answer = client.put_approval_result(
    pipelineName=name, stageName=stage, actionName=action, token=token,
    result={"status": "Approved", "summary": "by boto3"},
)
assert answer["approvedAt"].year >= 2024, answer
status = wait(ended)

pages = client.get_paginator("list_action_executions").paginate(pipelineName=name, PaginationConfig={"PageSize": 1})
actions = [detail["actionName"] for page in pages for detail in page["actionExecutionDetails"]]
assert actions == ["Unpack", "Ask", "Fetch"], actions

try:
    client.get_pipeline(name="no-such-pipeline")
    raise SystemExit("there is no such pipeline")
except client.exceptions.PipelineNotFoundException as error:
    assert "no-such-pipeline" in str(error), error
print(status)
