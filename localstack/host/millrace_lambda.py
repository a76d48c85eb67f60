"""A Lambda runtime executor for LocalStack 4 that needs no container (LAMBDA_RUNTIME_EXECUTOR=process).

One execution environment is one process: the function's own `bootstrap`, as it would run on AWS, or for a Python
function AWS's runtime interface client under this process's Python. It gets its work from a Lambda Runtime API of its own, a small HTTP server in this process. It handles one invocation at a time; LocalStack
makes more environments when more are needed. A process that has died while it was idle is replaced without a word.
"""

import http.server
import json
import os
import queue
import select
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer

from localstack import config
from localstack.services.lambda_.invocation.lambda_models import InvocationResult
from localstack.services.lambda_.invocation.plugins import RuntimeExecutorPlugin
from localstack.services.lambda_.invocation.runtime_executor import RuntimeExecutor

SECONDS_TO_START = 10


def failure(kind, message):
    """What Lambda answers when it is not the function that speaks."""
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def readable(pipe, milliseconds):
    """Whether there is something to read, or the pipe's end, by then; None waits for it. Unlike select(), poll() takes
    descriptors of any number: LocalStack has many open."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    return bool(poll.poll(milliseconds))


class RuntimeApi(http.server.ThreadingHTTPServer):
    """The Lambda Runtime API (version 2018-06-01) of one environment, on a port of its own."""

    daemon_threads = True

    def __init__(self, environment):
        self.environment = environment
        super().__init__(("127.0.0.1", 0), RuntimeApiRequest)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class RuntimeApiRequest(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """.../invocation/next: waits until there is work."""
        work = self.server.environment.take_work()
        if work is None:
            self.answer(410)  # the environment is being stopped
            return
        self.answer(200, work["payload"].encode(), {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": work["invoke-id"],
            "Lambda-Runtime-Invoked-Function-Arn": work["invoked-function-arn"],
            "Lambda-Runtime-Trace-Id": work["trace-id"],
            "Lambda-Runtime-Deadline-Ms": str(work["deadline-ms"]),
        })

    def do_POST(self):
        """.../invocation/{id}/response, .../invocation/{id}/error or .../init/error."""
        parts = self.path.strip("/").split("/")
        request_id = parts[2] if len(parts) == 4 else None
        self.server.environment.settle(self.read_body(), failed=parts[-1] != "response", request_id=request_id)
        self.answer(202, b"{}")

    def read_body(self):
        length = self.headers.get("Content-Length")
        if length is not None:
            return self.rfile.read(int(length))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return b"".join(chunks)

    def answer(self, status, body=b"", headers=None):
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class ProcessExecutor(RuntimeExecutor):
    """One execution environment."""

    def __init__(self, id, function_version):
        super().__init__(id, function_version)
        self.request_id = None
        self.result = Future()
        self.output, self.reading = [], threading.Lock()

    # -- what LocalStack asks for ---------------------------------------------------------------------------------

    def start(self, env_vars):
        self.env_vars = env_vars
        # Made anew with each process: what still waits for the work of a dead one must not take its successor's.
        self.work, self.ready = queue.Queue(), threading.Event()
        folder = str(self.function_version.config.code.get_unzipped_code_location())
        command = self.command(folder)
        self.api = RuntimeApi(self)
        environment = {name: str(value) for name, value in env_vars.items()} | {
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.api.server_port}",
            "LAMBDA_TASK_ROOT": folder,
            "PATH": os.environ["PATH"],
        }
        # LocalStack has no CodeBuild and no code host: whoever started it may have told where there are such.
        for name in ("AWS_ENDPOINT_URL_CODEBUILD", "MILLRACE_LOCAL_CODE_HOST"):
            if name in os.environ:
                environment.setdefault(name, os.environ[name])
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        threading.Thread(target=self.follow, args=(self.process, self.ready), daemon=True).start()
        if not self.ready.wait(SECONDS_TO_START) or self.process.poll() is not None:
            self.stop()
            raise RuntimeError(f"{command[0]} ended, or asked for no work within {SECONDS_TO_START} s: {self.get_logs()}")

    def command(self, folder):
        """What starts the function: its own bootstrap, or AWS's runtime for a handler in Python."""
        version = self.function_version.config
        if (version.runtime or "").startswith("python"):
            return [sys.executable, "-m", "awslambdaric", version.handler]
        bootstrap = os.path.join(folder, "bootstrap")
        os.chmod(bootstrap, 0o755)
        return [bootstrap]

    def invoke(self, payload):
        if self.process.poll() is not None:
            self.stop()
            self.start(self.env_vars)
        seconds = self.function_version.config.timeout
        self.result, self.output, self.request_id = Future(), [], payload["invoke-id"]
        self.work.put(payload | {"deadline-ms": int((time.time() + seconds) * 1000)})
        if self.process.poll() is not None:  # it may have died before it had a request to fail
            self.exited()
        try:
            return self.result.result(timeout=seconds)
        except NoAnswer:
            self.process.kill()
            body = failure("Sandbox.Timedout", f"Task timed out after {seconds}.00 seconds")
            return InvocationResult(payload["invoke-id"], body, True, self.get_logs())

    def stop(self):
        self.work.put(None)
        self.process.kill()
        self.api.close()

    def get_logs(self):
        return b"".join(self.output).decode(errors="replace")

    def get_address(self):
        return "127.0.0.1"

    def get_endpoint_from_executor(self):
        return "127.0.0.1"

    def get_runtime_endpoint(self):
        return f"http://127.0.0.1:{config.GATEWAY_LISTEN[0].port}/_localstack_lambda/{self.id}"

    @classmethod
    def prepare_version(cls, function_version):
        if function_version.config.code:
            function_version.config.code.prepare_for_execution()

    @classmethod
    def cleanup_version(cls, function_version):
        pass

    # -- what the process does ------------------------------------------------------------------------------------

    def take_work(self):
        work = self.work
        self.ready.set()
        return work.get()

    def settle(self, body, failed, request_id=None):
        """The first answer counts; one for an earlier invocation does not."""
        if self.request_id is None or self.result.done() or request_id not in (None, self.request_id):
            return
        # What it printed before it answered belongs to this invocation; without it LocalStack keeps no log at all.
        self.read_output(self.process)
        self.result.set_result(InvocationResult(self.request_id, body, failed, self.get_logs()))

    def follow(self, process, ready):
        while readable(process.stdout, None) and self.read_output(process):
            pass
        process.wait()
        ready.set()  # nobody need wait for it any longer
        if process is self.process:
            self.exited()

    def read_output(self, process):
        """Keeps all that the process has printed by now; false when it has closed its output."""
        with self.reading:  # so that what one thread has taken from the pipe is kept before another finds it empty
            while readable(process.stdout, 0):
                read = os.read(process.stdout.fileno(), 65536)
                if not read:
                    return False
                self.output.append(read)
        return True

    def exited(self):
        body = failure("Runtime.ExitError", f"Runtime exited with status {self.process.returncode}")
        self.settle(body, failed=True)


class ProcessExecutorPlugin(RuntimeExecutorPlugin):
    name = "process"

    def load(self, *_, **__):
        return ProcessExecutor
