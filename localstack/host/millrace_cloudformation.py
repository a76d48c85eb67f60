"""Makes CloudFormation look every half second, not every five, whether a resource is there yet.

A function is ready within a second; a stack of seven took half a minute longer only by waiting.
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
