"""Keeps LocalStack's door on the address that GATEWAY_LISTEN names.

LocalStack 4.9 reads only the port from it and listens on every address of the machine: anybody on the network could run
code as the user.
"""

from localstack import config
from localstack.runtime import hooks


@hooks.on_runtime_create()
def listen_where_told():
    from localstack.runtime.server import twisted

    listen = twisted.endpoints.TCP4ServerEndpoint
    hosts = {address.port: address.host for address in config.GATEWAY_LISTEN}

    class Endpoint(listen):
        def __init__(self, reactor, port, *arguments, **options):
            if not arguments and port in hosts:
                options.setdefault("interface", hosts[port])
            super().__init__(reactor, port, *arguments, **options)

    twisted.endpoints.TCP4ServerEndpoint = Endpoint
