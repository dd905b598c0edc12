# SPDX-License-Identifier: Apache-2.0
"""
Outputs that an agent writes to S3 itself, spoken by boto3 with the session that a node of Amazon's agent has.

At a server that is a process of its own (spec agent-protocol §10).
"""

from __future__ import annotations

import io
import signal
import time

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.client import Config
from botocore.exceptions import ClientError

from farm.amazon_agent import AmazonAgent
from server.process import Process

BUCKET = "outputs"
PLUGIN = "awsrunShellScript"
END_SECONDS = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server for all stories."""
    process = Process(tmp_path_factory.mktemp("outputs") / "data", "--listen", "127.0.0.1:0")
    yield process.ready()
    process.end(signal.SIGKILL)


@pytest.fixture
def agent(server, tmp_path):
    """A node that has registered."""
    found = AmazonAgent(server.url, tmp_path / "agent")
    activation = server.client().create_activation(IamRole="node")
    found.register(activation["ActivationId"], activation["ActivationCode"])
    found.start()
    return found


def s3_of(server, key, secret, token=None):
    """A client of S3 as SDKs make it."""
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )


def test_an_agent_writes_to_s3_with_its_session_and_people_read_it(server, agent):
    """Small output at once, large output in parts; the bucket has it a moment later, where the URLs point."""
    ssm = server.client()
    sent = ssm.send_command(
        DocumentName="AWS-RunShellScript",
        InstanceIds=[agent.instance_id],
        Parameters={"commands": ["date"]},
        OutputS3BucketName=BUCKET,
        OutputS3KeyPrefix="logs",
    )["Command"]["CommandId"]
    session = agent.refresh()
    s3 = s3_of(server, session.key_id, session.secret, session.token)
    assert s3.head_bucket(Bucket=BUCKET)["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "us-east-1"
    with pytest.raises(ClientError, match="ServerSideEncryptionConfigurationNotFoundError"):
        s3.get_bucket_encryption(Bucket=BUCKET)

    key = f"logs/{sent}/{agent.instance_id}/{PLUGIN}/0.{PLUGIN}"
    text = b"".join(
        b"line %d\n" % number for number in range(900_000)
    )  # more than the 8 MB from which boto3 makes parts
    s3.put_object(Bucket=BUCKET, Key=f"{key}/stderr", Body=b"oops\n", ACL="bucket-owner-full-control")
    s3.upload_fileobj(
        io.BytesIO(text), BUCKET, f"{key}/stdout", Config=TransferConfig(5_000_000, multipart_chunksize=5_000_000)
    )

    root = server.client()._request_signer._credentials
    people = s3_of(server, root.access_key, root.secret_key)
    assert people.get_object(Bucket=BUCKET, Key=f"{key}/stdout")["Body"].read() == text
    whole = io.BytesIO()
    people.download_fileobj(BUCKET, f"{key}/stdout", whole)  # by ranges, several at once
    assert whole.getvalue() == text
    seen = ssm.get_command_invocation(CommandId=sent, InstanceId=agent.instance_id)
    assert seen["StandardOutputUrl"] == f"{server.url}/{BUCKET}/{key}/stdout"
    assert seen["StandardErrorUrl"] == f"{server.url}/{BUCKET}/{key}/stderr"
    written = server.data / "buckets" / BUCKET / key / "stdout"
    end = time.monotonic() + END_SECONDS
    while not written.exists():
        assert time.monotonic() < end
    assert written.read_bytes() == text


@pytest.mark.parametrize(
    ("document", "steps"),
    [
        ("AWS-RunPatchBaseline", ["PatchLinux"]),
        ("AWS-RunPatchBaselineWithHooks", ["Scan", "VerifyOperation", "RebootAndReport"]),
    ],
)
def test_what_patch_steps_print_is_taken_from_where_the_agent_puts_it(server, agent, document, steps):
    """For the agent they are scripts like any other."""
    ssm = server.client()
    sent = ssm.send_command(
        DocumentName=document,
        InstanceIds=[agent.instance_id],
        Parameters={"Operation": ["Scan"]},
        OutputS3BucketName=BUCKET,
    )["Command"]["CommandId"]
    session = agent.refresh()
    s3 = s3_of(server, session.key_id, session.secret, session.token)
    for step in steps:
        key = f"{sent}/{agent.instance_id}/{PLUGIN}/{step}/stdout"
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"patched\n", ACL="bucket-owner-full-control")
        seen = ssm.get_command_invocation(CommandId=sent, InstanceId=agent.instance_id, PluginName=step)
        assert seen["StandardOutputUrl"] == f"{server.url}/{BUCKET}/{key}"


def test_a_session_writes_for_its_own_node_alone(server, agent, tmp_path):
    """Another node's output is refused in the words of S3."""
    other = AmazonAgent(server.url, tmp_path / "other")
    activation = server.client().create_activation(IamRole="node")
    other.register(activation["ActivationId"], activation["ActivationCode"])
    sent = server.client().send_command(
        DocumentName="AWS-RunShellScript",
        InstanceIds=[agent.instance_id],
        Parameters={"commands": ["date"]},
        OutputS3BucketName=BUCKET,
    )["Command"]["CommandId"]
    session = other.refresh()
    s3 = s3_of(server, session.key_id, session.secret, session.token)
    key = f"{sent}/{agent.instance_id}/{PLUGIN}/0.{PLUGIN}/stdout"
    for call in (
        lambda: s3.put_object(Bucket=BUCKET, Key=key, Body=b"x"),
        lambda: s3.get_object(Bucket=BUCKET, Key=key),
    ):
        with pytest.raises(ClientError, match="AccessDenied"):
            call()
