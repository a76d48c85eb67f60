"""MiniStack that checks signatures and permissions, as AWS does.

It also writes down what the callers' own policies decided, a line of JSON each, into the file that DECISIONS names: the
caller's ARN, the action, the resource, whether it was allowed, and each statement, by its Sid, that would have allowed it
alone. So a test can say which statements of a role are not needed. It is told to check by AUTH, which is to be `true`.
"""

import contextvars
import json
import os
import threading
from urllib.parse import parse_qs

from ministack.app import main
from ministack.core import iam_actions, iam_evaluator
from ministack.services import iam

action_of = iam_actions.extract_iam_action
arn_of = iam_actions.extract_resource_arn
tag_context = iam_actions.request_tag_context
s3_context = iam_actions.s3_service_context
condition_value = iam_evaluator._resolve_condition_key
evaluate = iam_evaluator.evaluate
evaluate_resource_policy = iam_evaluator.evaluate_resource_policy
of_resource = contextvars.ContextVar("of_resource", default=False)
lock = threading.Lock()
record = open(os.environ["DECISIONS"], "w", buffering=1, encoding="utf-8")


def permission_of(service, *request):
    """The IAM action of a request, where MiniStack takes another for it."""
    action = action_of(service, *request)
    if service == "sqs" and action:
        # There is none for batches: who may send a message may send ten.
        return action.removesuffix("Batch")
    method, path = request[0], request[1].rstrip("/").split("/")
    if service == "lambda" and path[-2:-1] == ["aliases"]:
        return {"GET": "lambda:GetAlias", "PUT": "lambda:UpdateAlias", "DELETE": "lambda:DeleteAlias"}.get(method, action)
    return action


def resource_of(service, method, path, headers, body, params, region, account):
    """The resource of a request, where MiniStack takes another for it: of what asks for a service of ECS, its cluster."""
    operation = headers.get("x-amz-target", "").split(".")[-1]
    if service == "ecs" and operation in ("DescribeServices", "UpdateService"):
        request = json.loads(body)
        names = [request.get("cluster") or "default", (request.get("services") or [request.get("service")])[0]]
        cluster, name = (it.split("/")[-1] for it in names)
        return f"arn:aws:ecs:{region}:{account}:service/{cluster}/{name}"
    return arn_of(service, method, path, headers, body, params, region, account)


def context_of(service, action, body, params):
    """The condition keys of a request: MiniStack's own, and those that it leaves out and our roles are tied to."""
    context = tag_context(service, action, body, params)
    if action == "sts:AssumeRole":
        given = parse_qs(body.decode("utf-8", errors="replace")).get("ExternalId")
        context["sts:ExternalId"] = given[0] if given else None
    elif service == "kms" and body[:1] == b"{":
        request = json.loads(body)
        context["kms:MacAlgorithm"] = request.get("MacAlgorithm")
        context["kms:EncryptionContextKeys"] = list(request.get("EncryptionContext") or {}) or None
    return context


def s3_context_of(action, query, path="", headers=None):
    """The condition keys of a request to S3, with the one that says whether it may put over what is there."""
    condition = (headers or {}).get("if-none-match")
    return s3_context(action, query, path, headers) | ({"s3:if-none-match": condition} if condition else {})


def value_of(key, context):
    """The value of a condition key. To aws:PrincipalArn a session is its role."""
    if key.lower() == "aws:principalarn" and context.principal_type == "AssumedRole":
        name = iam_evaluator._role_name_from_assumed_arn(context.principal_arn)
        role = iam._roles.get_scoped(context.principal_account, None, name)
        return role["Arn"] if role else context.principal_arn
    return condition_value(key, context)


def decide(context, policies, *limits):
    # What does not leave this machine is as safe as with TLS, which our resources ask for.
    context.secure_transport = True
    result = evaluate(context, policies, *limits)
    if not of_resource.get():
        statements = [statement for policy in policies for statement in policy]
        line = {
            "caller": context.principal_arn,
            "action": context.action,
            "resource": context.resource_arn,
            "allowed": result.decision == "Allow",
            "statements": [it.sid for it in statements if iam_evaluator._first_match(context, [it], "Allow")],
        }
        with lock:
            record.write(json.dumps(line) + "\n")
    return result


def decide_by_resource_policy(*arguments, **named):
    token = of_resource.set(True)
    try:
        return evaluate_resource_policy(*arguments, **named)
    finally:
        of_resource.reset(token)


iam_actions.extract_iam_action = permission_of
iam_actions.extract_resource_arn = resource_of
iam_actions.request_tag_context = context_of
iam_actions.s3_service_context = s3_context_of
iam_evaluator._resolve_condition_key = value_of
iam_evaluator.evaluate = decide
iam_evaluator.evaluate_resource_policy = decide_by_resource_policy
main()
