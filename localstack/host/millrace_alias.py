"""Lets UpdateAlias give another version a part of an alias's traffic.

LocalStack 4.9 does that in CreateAlias; in UpdateAlias it forgets to say of which function, and fails with an internal error.
"""

from localstack.runtime import hooks


@hooks.on_infra_start()
def weights_of_aliases():
    from localstack.services.lambda_.invocation.lambda_models import AliasRoutingConfig
    from localstack.services.lambda_.provider import LambdaProvider

    create = LambdaProvider._create_routing_config_model

    def create_of_any(self, weights, function_version=None):
        if function_version is None:
            return AliasRoutingConfig(version_weights=weights)
        return create(self, weights, function_version)

    LambdaProvider._create_routing_config_model = create_of_any
