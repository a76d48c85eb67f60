"""Starts Amazon's DynamoDB Local from a folder instead of downloading it.

The folder is named by DYNAMODB_LOCAL_HOME; without that variable LocalStack does what it always does.
"""

import os

from localstack.runtime import hooks


@hooks.on_infra_start()
def dynamodb_from_folder():
    folder = os.environ.get("DYNAMODB_LOCAL_HOME")
    if not folder:
        return

    from localstack.services.dynamodb.server import DynamodbServer
    from localstack.utils.run import ShellCommandThread

    def start_server(server):
        thread = ShellCommandThread(
            ["java", f"-Djava.library.path={folder}/DynamoDBLocal_lib", "-jar", f"{folder}/DynamoDBLocal.jar",
             "-port", str(server.port), "-inMemory"],
            auto_restart=True,
            name="dynamodb-local",
        )
        thread.start()
        return thread

    DynamodbServer.do_start_thread = start_server
