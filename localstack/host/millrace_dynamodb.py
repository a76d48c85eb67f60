"""Starts Amazon's DynamoDB Local from a folder instead of downloading it.

The folder is named by DYNAMODB_LOCAL_HOME; without that variable LocalStack does what it always does.
"""

import os
import subprocess

from localstack.runtime import hooks

# Ends the program when its own input ends, that is, when LocalStack has ended, in whatever way.
GUARD = '"$@" </dev/null & server=$!; read -r _; kill $server'


@hooks.on_infra_start()
def dynamodb_from_folder():
    folder = os.environ.get("DYNAMODB_LOCAL_HOME")
    if not folder:
        return

    from localstack.services.dynamodb.server import DynamodbServer
    from localstack.utils.threads import FuncThread

    class ServerThread(FuncThread):
        def __init__(self, port):
            self.process = subprocess.Popen(
                ["sh", "-c", GUARD, "guard", "java", f"-Djava.library.path={folder}/DynamoDBLocal_lib",
                 "-jar", f"{folder}/DynamoDBLocal.jar", "-port", str(port), "-inMemory"],
                stdin=subprocess.PIPE,
            )
            super().__init__(lambda *_: self.process.wait(), name="dynamodb-local")

        def stop(self, quiet=False):
            self.process.stdin.close()

    def start_server(server):
        thread = ServerThread(server.port)
        thread.start()
        return thread

    DynamodbServer.do_start_thread = start_server
