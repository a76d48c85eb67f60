"""Makes CloudFormation quicker, and lets it keep what a template retains.

It looks every half second, not every five, whether a resource is there yet: a function is ready within a second, and a stack of seven
took half a minute longer only by waiting. And a resource whose DeletionPolicy is Retain outlives its stack, as on AWS.
"""

from localstack.runtime import hooks


@hooks.on_infra_start()
def look_more_often():
    from localstack.services.cloudformation.resource_provider import ResourceProviderExecutor

    deploy = ResourceProviderExecutor.deploy_loop

    def deploy_loop(self, resource_provider, resource, raw_payload, *arguments, **options):
        options.setdefault("sleep_time", 0.5)
        return deploy(self, resource_provider, resource, raw_payload, *arguments, **options)

    ResourceProviderExecutor.deploy_loop = deploy_loop


@hooks.on_infra_start()
def keep_what_is_retained():
    from localstack.aws.api.cloudformation import ChangeAction
    from localstack.services.cloudformation.engine.v2.change_set_model_executor import ChangeSetModelExecutor
    from localstack.services.cloudformation.resource_provider import OperationStatus, ProgressEvent

    execute = ChangeSetModelExecutor._execute_resource_action

    def execute_unless_retained(self, action, logical_resource_id, *arguments, **options):
        template = self._change_set.stack.processed_template or {}
        resource = template.get("Resources", {}).get(logical_resource_id, {})
        # The old resource of a replacement is UpdateReplacePolicy's matter.
        goes = action == ChangeAction.Remove and not options.get("part_of_replacement")
        if goes and resource.get("DeletionPolicy") == "Retain":
            return ProgressEvent(OperationStatus.SUCCESS, resource_model={})
        return execute(self, action, logical_resource_id, *arguments, **options)

    ChangeSetModelExecutor._execute_resource_action = execute_unless_retained
