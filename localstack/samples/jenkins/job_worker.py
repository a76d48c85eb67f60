"""A job worker for a custom action, such as a build tool would have one.

It polls CodePipeline for jobs of its action type, takes one at a time, and does it in two steps, as a tool would that
runs its builds elsewhere:

1. The first job of an action builds: the input artifact is fetched with the job's own credentials, each file's SHA-256
   goes into a list, the list becomes the output artifact. Then the worker reports how far it is, with a continuation
   token that names the build.
2. CodePipeline hands the token back in the action's next job, which reports the end, with an output variable.

The action type that it serves:

    aws codepipeline create-custom-action-type --category Build --provider Checksums --action-version 1 \\
        --input-artifact-details minimumCount=1,maximumCount=1 \\
        --output-artifact-details minimumCount=1,maximumCount=1 \\
        --configuration-properties \\
            name=ProjectName,required=true,key=true,secret=false,queryable=true \\
            name=Password,required=false,key=false,secret=true

    python job_worker.py --provider Checksums --query ProjectName=shop

Needs boto3; credentials, region and endpoints come from the environment, as for every AWS client. Whoever runs it may
call PollForJobs, AcknowledgeJob, PutJobSuccessResult and PutJobFailureResult, and nothing else.
"""

import argparse
import hashlib
import io
import os
import sys
import time
import zipfile

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

# Larger artifacts than this are refused, and so are zips that unpack to more.
MOST_BYTES = 512 * 1024 * 1024


def main():
    arguments = parse()
    pipelines = boto3.client("codepipeline")
    action_type = {
        "category": arguments.category,
        "owner": "Custom",
        "provider": arguments.provider,
        "version": arguments.version,
    }
    poll = {"actionTypeId": action_type, "maxBatchSize": 1}
    if arguments.query:
        name, _, value = arguments.query.partition("=")
        poll["queryParam"] = {name: value}
    ended = 0
    until = time.monotonic() + arguments.seconds if arguments.seconds else None
    while arguments.actions is None or ended < arguments.actions:
        jobs = pipelines.poll_for_jobs(**poll)["jobs"]
        if not jobs:
            if until is not None and time.monotonic() > until:
                sys.exit("no job has come")
            time.sleep(arguments.pause)
        for job in jobs:
            ended += work(pipelines, job)


def parse():
    parser = argparse.ArgumentParser(description="Does the jobs of a custom action.")
    parser.add_argument("--category", default="Build")
    parser.add_argument("--provider", required=True)
    parser.add_argument("--version", default="1")
    parser.add_argument("--query", metavar="NAME=VALUE", help="the queryable property and its value")
    parser.add_argument("--actions", type=int, help="end after this many actions; otherwise go on for ever")
    parser.add_argument("--seconds", type=float, help="give up when no job has come in this time")
    parser.add_argument("--pause", type=float, default=5, help="seconds between two polls that found nothing")
    return parser.parse_args()


def work(pipelines, job):
    """Does one job. Answers whether its action has ended with it."""
    number = job["id"]
    try:
        pipelines.acknowledge_job(jobId=number, nonce=job["nonce"])
    except pipelines.exceptions.InvalidNonceException:
        print(f"{number}: another worker was faster", flush=True)
        return False
    try:
        token = job["data"].get("continuationToken")
        if token is None:
            build(pipelines, job)
            return False
        pipelines.put_job_success_result(
            jobId=number,
            executionDetails={"externalExecutionId": token, "summary": "Built", "percentComplete": 100},
            outputVariables={"Build": token},
        )
        print(f"{number}: done", flush=True)
    except pipelines.exceptions.InvalidJobStateException:
        print(f"{number}: nobody waits for it any more", flush=True)
    except (ClientError, Refused, zipfile.BadZipFile) as error:
        # The message is shown to everybody who may look at the pipeline: no secrets in it.
        details = {"type": "JobFailed", "message": str(error)[:5000] or type(error).__name__}
        pipelines.put_job_failure_result(jobId=number, failureDetails=details)
        print(f"{number}: failed: {error}", flush=True)
    return True


class Refused(Exception):
    """The input cannot be built."""


def build(pipelines, job):
    """Builds, stores the output artifact, and asks to be continued."""
    data = job["data"]
    project = data["actionConfiguration"]["configuration"].get("ProjectName", "")
    store = job_store(data["artifactCredentials"])
    source = data["inputArtifacts"][0]["location"]["s3Location"]
    found = store.get_object(Bucket=source["bucketName"], Key=source["objectKey"])
    if found["ContentLength"] > MOST_BYTES:
        raise Refused("the input artifact is too large")
    result = checksums(found["Body"].read(), project)
    target = data["outputArtifacts"][0]["location"]["s3Location"]
    # A store without a key of its own leaves encryption to its bucket.
    encryption = {}
    if "encryptionKey" in data:
        encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": data["encryptionKey"]["id"]}
    store.put_object(Bucket=target["bucketName"], Key=target["objectKey"], Body=result, **encryption)
    number = hashlib.sha256(result).hexdigest()[:12]
    pipelines.put_job_success_result(
        jobId=job["id"],
        continuationToken=number,
        executionDetails={"externalExecutionId": number, "summary": f"Build {number} is stored", "percentComplete": 50},
    )
    print(f"{job['id']}: built {number}", flush=True)


def job_store(credentials):
    """S3 with the job's credentials, which reach its own artifacts only."""
    # An emulator's names for buckets as hosts do not resolve everywhere.
    path = Config(s3={"addressing_style": "path"}) if "AWS_ENDPOINT_URL" in os.environ else None
    return boto3.client(
        "s3",
        aws_access_key_id=credentials["accessKeyId"],
        aws_secret_access_key=credentials["secretAccessKey"],
        aws_session_token=credentials["sessionToken"],
        config=path,
    )


def checksums(artifact, project):
    """A zip with the list of the artifact's files and their SHA-256."""
    lines = []
    with zipfile.ZipFile(io.BytesIO(artifact)) as files:
        if sum(entry.file_size for entry in files.infolist()) > MOST_BYTES:
            raise Refused("the input artifact unpacks to too much")
        for entry in files.infolist():
            if not entry.is_dir():
                lines.append(f"{hashlib.sha256(files.read(entry)).hexdigest()}  {entry.filename}\n")
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr("SHA256SUMS", "".join(sorted(lines)))
        files.writestr("PROJECT", project + "\n")
    return made.getvalue()


if __name__ == "__main__":
    main()
