"""A day with boto3 and the aws CLI, and what Terraform and CDK call for a pipeline, a webhook and a custom action type."""
import copy
import json
import os
import subprocess
import sys
import time

import boto3

plan = json.loads(sys.argv[1])
client = boto3.client("codepipeline")
errors = client.exceptions


def aws(*arguments):
    """The CLI's answer."""
    command = [os.path.join(os.path.dirname(sys.executable), "aws"), "codepipeline", "--output", "json", *arguments]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, (arguments, run.stderr)
    return json.loads(run.stdout) if run.stdout else None


def refused(error, call, **arguments):
    try:
        answer = call(**arguments)
    except error as caught:
        return str(caught)
    raise AssertionError(f"{error.__name__} was expected, not {answer}")


def wait(what, look):
    for _ in range(300):
        found = look()
        if found:
            return found
        time.sleep(0.25)
    raise SystemExit(f"{what}: {client.get_pipeline_state(name=name)}")


def pages(operation, member, size=1, **arguments):
    """Everything that a list operation has, with as many pages as possible."""
    config = {"PageSize": size} if size else {}
    answers = client.get_paginator(operation).paginate(PaginationConfig=config, **arguments)
    return [item for page in answers for item in page[member]]


def ends(id, status):
    def ended():
        found = client.get_pipeline_execution(pipelineName=name, pipelineExecutionId=id)["pipelineExecution"]
        return found["status"] not in ("InProgress", "Stopping") and found["status"]

    found = wait(f"{id} does not end", ended)
    assert found == status, (found, status)


def asked(id):
    """The token of the approval that this execution waits for."""

    def token():
        stage = client.get_pipeline_state(name=name)["stageStates"][1]
        inside = stage.get("latestExecution", {}).get("pipelineExecutionId") == id
        return inside and stage["actionStates"][0].get("latestExecution", {}).get("token")

    return wait(f"{id} does not ask", token)


# Create, read, update.
declaration = plan["day"]
name = declaration["name"]
created = aws("create-pipeline", "--pipeline", json.dumps(declaration), "--tags", "key=team,value=blue")
assert created["pipeline"]["version"] == 1 and created["tags"] == [{"key": "team", "value": "blue"}], created
read = client.get_pipeline(name=name)
arn = read["metadata"]["pipelineArn"]
first = client.list_pipeline_executions(pipelineName=name)["pipelineExecutionSummaries"][0]["pipelineExecutionId"]
# Before the update, which would end it.
client.stop_pipeline_execution(pipelineName=name, pipelineExecutionId=first, abandon=True, reason="not that one")
ends(first, "Stopped")
changed = copy.deepcopy(read["pipeline"])
changed["stages"][1]["actions"][0]["configuration"] = {"CustomData": "Look at the page first"}
updated = client.update_pipeline(pipeline=changed)["pipeline"]
assert updated["version"] == 2 and updated["stages"] == changed["stages"], updated
assert client.get_pipeline(name=name, version=1)["pipeline"]["version"] == 1
refused(errors.PipelineVersionNotFoundException, client.get_pipeline, name=name, version=9)

# Start, twice with one token; approve by the CLI.
one = client.start_pipeline_execution(name=name, clientRequestToken="monday")["pipelineExecutionId"]
assert client.start_pipeline_execution(name=name, clientRequestToken="monday")["pipelineExecutionId"] == one
token = asked(one)
gate = ["--pipeline-name", name, "--stage-name", "Gate"]
aws("put-approval-result", *gate, "--action-name", "Ask", "--token", token, "--result", "summary=fine,status=Approved")
ends(one, "Succeeded")

# A rejection, and a retry of it.
two = aws("start-pipeline-execution", "--name", name)["pipelineExecutionId"]
answer = {"pipelineName": name, "stageName": "Gate", "actionName": "Ask"}
token = asked(two)
client.put_approval_result(**answer, token=token, result={"status": "Rejected", "summary": "not yet"})
ends(two, "Failed")
refused(errors.ApprovalAlreadyCompletedException, client.put_approval_result, **answer, token=token,
        result={"status": "Approved", "summary": "late"})
retried = aws("retry-stage-execution", *gate, "--pipeline-execution-id", two, "--retry-mode", "FAILED_ACTIONS")
assert retried["pipelineExecutionId"] == two, retried
client.put_approval_result(**answer, token=asked(two), result={"status": "Approved", "summary": "now"})
ends(two, "Succeeded")
refused(errors.StageNotRetryableException, client.retry_stage_execution, pipelineName=name, stageName="Gate",
        pipelineExecutionId=two, retryMode="ALL_ACTIONS")

# Stop, by the CLI.
three = aws("start-pipeline-execution", "--name", name)["pipelineExecutionId"]
asked(three)
stop = ["--pipeline-name", name, "--pipeline-execution-id", three, "--abandon", "--reason", "lunch"]
assert aws("stop-pipeline-execution", *stop)["pipelineExecutionId"] == three
ends(three, "Stopped")
refused(errors.PipelineExecutionNotStoppableException, client.stop_pipeline_execution, pipelineName=name,
        pipelineExecutionId=three, abandon=True)

# A transition closed and opened.
aws("disable-stage-transition", *gate, "--transition-type", "Inbound", "--reason", "tea")
transition = client.get_pipeline_state(name=name)["stageStates"][1]["inboundTransitionState"]
assert not transition["enabled"] and transition["disabledReason"] == "tea", transition
client.enable_stage_transition(pipelineName=name, stageName="Gate", transitionType="Inbound")
assert client.get_pipeline_state(name=name)["stageStates"][1]["inboundTransitionState"]["enabled"]

# Every paginator of the client; the CLI goes through pages by itself.
ids = [it["pipelineExecutionId"] for it in pages("list_pipeline_executions", "pipelineExecutionSummaries", pipelineName=name)]
assert ids == [three, two, one, first], ids
filtered = pages("list_pipeline_executions", "pipelineExecutionSummaries", pipelineName=name,
                 filter={"succeededInStage": {"stageName": "Deploy"}})
assert [it["pipelineExecutionId"] for it in filtered] == [two, one], filtered
ran = pages("list_action_executions", "actionExecutionDetails", pipelineName=name, filter={"pipelineExecutionId": two})
assert [it["actionName"] for it in ran] == ["Unpack", "Ask", "Ask", "Fetch"], ran
latest = {"latestInPipelineExecution": {"pipelineExecutionId": two, "startTimeRange": "Latest"}}
ran = pages("list_action_executions", "actionExecutionDetails", pipelineName=name, filter=latest)
assert [it["actionName"] for it in ran] == ["Unpack", "Ask", "Fetch"], ran
targets = pages("list_deploy_action_execution_targets", "targets", pipelineName=name,
                actionExecutionId=ran[0]["actionExecutionId"])
assert [it["status"] for it in targets] == ["Succeeded"], targets
assert pages("list_rule_executions", "ruleExecutionDetails", pipelineName=name) == []
assert name in [it["name"] for it in pages("list_pipelines", "pipelines")]
types = pages("list_action_types", "actionTypes", size=None, actionOwnerFilter="AWS")
assert {"S3", "Manual", "Lambda", "StepFunctions"} <= {it["id"]["provider"] for it in types}, types
assert {it["id"]["provider"] for it in client.list_rule_types()["ruleTypes"]} >= {"VariableCheck", "LambdaInvoke"}
listed = aws("list-pipeline-executions", "--pipeline-name", name, "--page-size", "1")["pipelineExecutionSummaries"]
assert [it["pipelineExecutionId"] for it in listed] == ids, listed
some = aws("list-action-executions", "--pipeline-name", name, "--max-items", "2")
rest = aws("list-action-executions", "--pipeline-name", name, "--starting-token", some["NextToken"])
every = pages("list_action_executions", "actionExecutionDetails", pipelineName=name)
shown = some["actionExecutionDetails"] + rest["actionExecutionDetails"]
assert [it["actionExecutionId"] for it in shown] == [it["actionExecutionId"] for it in every], shown
refused(errors.InvalidNextTokenException, client.list_pipelines, nextToken="nonsense")

# Tags.
aws("tag-resource", "--resource-arn", arn, "--tags", "key=stage,value=test", "key=team,value=green")
tags = pages("list_tags_for_resource", "tags", resourceArn=arn)
assert {it["key"]: it["value"] for it in tags} == {"stage": "test", "team": "green"}, tags
client.untag_resource(resourceArn=arn, tagKeys=["stage"])
assert aws("list-tags-for-resource", "--resource-arn", arn)["tags"] == [{"key": "team", "value": "green"}]

# Delete.
aws("delete-pipeline", "--name", name)
refused(errors.PipelineNotFoundException, client.get_pipeline, name=name)
refused(errors.PipelineNotFoundException, client.get_pipeline_state, name=name)
client.delete_pipeline(name=name)


# Terraform's and CloudFormation's resources, by the calls that they make.
def pipeline_resource(declaration):
    name = declaration["name"]
    sent = copy.deepcopy(declaration)
    for stage in sent["stages"]:
        for action in stage["actions"]:
            action.setdefault("runOrder", 1)
            action.setdefault("inputArtifacts", [])
            action.setdefault("outputArtifacts", [])
    client.create_pipeline(pipeline=sent, tags=[{"key": "by", "value": "tool"}])

    def read():
        found = client.get_pipeline(name=name)
        arn = found["metadata"]["pipelineArn"]
        client.get_pipeline_state(name=name)
        tags = client.list_tags_for_resource(resourceArn=arn)["tags"]
        return arn, found["pipeline"], {it["key"]: it["value"] for it in tags}

    arn, found, tags = read()
    assert tags == {"by": "tool"}, tags
    # What is read is what was sent: nothing that a tool would take for drift.
    assert {key: found[key] for key in sent} == sent, (found, sent)
    sent["stages"][1]["actions"][0]["configuration"] = {"CustomData": "changed"}
    client.update_pipeline(pipeline=sent)
    client.tag_resource(resourceArn=arn, tags=[{"key": "more", "value": "yes"}])
    client.untag_resource(resourceArn=arn, tagKeys=["by"])
    again, found, tags = read()
    assert again == arn and found["version"] == 2 and tags == {"more": "yes"}, (again, found, tags)
    assert {key: found[key] for key in sent} == sent, (found, sent)
    # CloudFormation's DisableInboundStageTransitions and RestartExecutionOnUpdate.
    client.disable_stage_transition(pipelineName=name, stageName="Gate", transitionType="Inbound", reason="by a stack")
    client.enable_stage_transition(pipelineName=name, stageName="Gate", transitionType="Inbound")
    client.start_pipeline_execution(name=name)


def webhook_resource(pipeline):
    name = f"{pipeline}-hook"
    webhook = {
        "name": name, "targetPipeline": pipeline, "targetAction": "Fetch",
        "filters": [{"jsonPath": "$.ref", "matchEquals": "refs/heads/main"}],
        "authentication": "GITHUB_HMAC", "authenticationConfiguration": {"SecretToken": "a-secret-of-the-hook"},
    }
    put = client.put_webhook(webhook=webhook, tags=[{"key": "by", "value": "tool"}])["webhook"]

    def read():
        found = [it for it in pages("list_webhooks", "webhooks") if it["arn"] == put["arn"]]
        return found[0] if found else None

    found = read()
    assert found["url"] == put["url"] and found["tags"] == [{"key": "by", "value": "tool"}], found
    shown = {**webhook, "authenticationConfiguration": {"SecretToken": "****"}}
    assert found["definition"] == shown, found
    webhook["filters"] = [{"jsonPath": "$.ref", "matchEquals": "refs/heads/next"}]
    client.put_webhook(webhook=webhook)
    client.tag_resource(resourceArn=put["arn"], tags=[{"key": "more", "value": "yes"}])
    client.untag_resource(resourceArn=put["arn"], tagKeys=["by"])
    found = read()
    assert found["definition"]["filters"] == webhook["filters"] and found["url"] == put["url"], found
    assert client.list_tags_for_resource(resourceArn=put["arn"])["tags"] == [{"key": "more", "value": "yes"}]
    # What CloudFormation's RegisterWithThirdParty wants: a source at GitHub, which cannot be asked for a hook from here.
    changed = client.get_pipeline(name=pipeline)["pipeline"]
    source = changed["stages"][0]["actions"][0]
    source["actionTypeId"] = {"category": "Source", "owner": "ThirdParty", "provider": "GitHub", "version": "1"}
    source["configuration"] = {"Owner": "octocat", "Repo": "site", "Branch": "main", "OAuthToken": "a-secret-token"}
    client.update_pipeline(pipeline=changed)
    shown = client.get_pipeline(name=pipeline)["pipeline"]["stages"][0]["actions"][0]["configuration"]
    assert shown == {**source["configuration"], "OAuthToken": "****"}, shown
    client.delete_webhook(name=name)
    assert read() is None
    client.delete_webhook(name=name)


def custom_action_type_resource():
    key = {"category": "Build", "provider": "ScriptedDay", "version": "1"}
    property = {"name": "Project", "required": True, "key": True, "secret": False, "queryable": True,
                "description": "What is built", "type": "String"}
    artifacts = {"minimumCount": 0, "maximumCount": 5}
    settings = {
        "entityUrlTemplate": "https://build.example.com/{Config:Project}/",
        "executionUrlTemplate": "https://build.example.com/{Config:Project}/{ExternalExecutionId}/",
    }
    client.create_custom_action_type(
        **key, configurationProperties=[property], settings=settings, inputArtifactDetails=artifacts,
        outputArtifactDetails=artifacts, tags=[{"key": "by", "value": "tool"}])

    def read():
        listed = pages("list_action_types", "actionTypes", size=None, actionOwnerFilter="Custom")
        found = [it for it in listed if {part: it["id"][part] for part in key} == key]
        return found[0] if found else None

    found = read()
    assert found["id"]["owner"] == "Custom" and found["settings"] == settings, found
    assert found["inputArtifactDetails"] == artifacts == found["outputArtifactDetails"], found
    (shown,) = found["actionConfigurationProperties"]
    # CodePipeline does not show a property's type, and Terraform does not expect it.
    assert {**shown, "type": "String"} == property, shown
    # The ARN that both tools put together themselves.
    region, account = arn.split(":")[3:5]
    resource = f"arn:aws:codepipeline:{region}:{account}:actiontype:Custom/Build/ScriptedDay/1"
    assert client.list_tags_for_resource(resourceArn=resource)["tags"] == [{"key": "by", "value": "tool"}]
    client.tag_resource(resourceArn=resource, tags=[{"key": "by", "value": "hand"}])
    assert client.list_tags_for_resource(resourceArn=resource)["tags"] == [{"key": "by", "value": "hand"}]
    assert read() == found
    client.delete_custom_action_type(**key)
    assert read() is None


pipeline_resource(plan["declared"])
webhook_resource(plan["declared"]["name"])
client.delete_pipeline(name=plan["declared"]["name"])
refused(errors.PipelineNotFoundException, client.get_pipeline, name=plan["declared"]["name"])
custom_action_type_resource()
print("done")
