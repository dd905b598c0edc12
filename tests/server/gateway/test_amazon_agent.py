# SPDX-License-Identifier: Apache-2.0
"""
Amazon's agent, played from what its requests look like, at a server that is a process of its own.

What it says in which order, and what people see of it by boto3 (spec agent-protocol §3 to §10).
"""

from __future__ import annotations

import base64
import hashlib
import json
import signal
import threading

import boto3
import pytest

from farm.amazon_agent import AmazonAgent
from farm.amazon_wire import Refused
from farm.commands import until
from ports import free_port
from server.process import Process

END_SECONDS = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that all stories share."""
    process = Process(tmp_path_factory.mktemp("amazon") / "data", "--listen", "127.0.0.1:0", "--control-channel", "off")
    yield process.ready()
    process.end(signal.SIGKILL)


@pytest.fixture(scope="module")
def ssm(server):
    """A client of root."""
    return server.client()


@pytest.fixture
def agent(server, ssm, tmp_path):
    """An agent that has registered and said that it is there."""
    return started(server, ssm, tmp_path / "agent")


def started(server, ssm, home, **options):
    """A new agent."""
    found = AmazonAgent(server.url, home, **options)
    activation = ssm.create_activation(IamRole="node")
    found.register(activation["ActivationId"], activation["ActivationCode"])
    found.start()
    return found


def send(ssm, agent, document="AWS-RunShellScript", **parameters):
    """SendCommand; returns the command's id."""
    answer = ssm.send_command(DocumentName=document, InstanceIds=[agent.instance_id], Parameters=parameters)
    return answer["Command"]["CommandId"]


def seen(ssm, agent, command_id, **members):
    """GetCommandInvocation."""
    return ssm.get_command_invocation(CommandId=command_id, InstanceId=agent.instance_id, **members)


def wait_for(ssm, agent, command_id, *statuses):
    """GetCommandInvocation, as soon as it has one of *statuses*."""

    def found():
        shown = seen(ssm, agent, command_id)
        return shown if shown["Status"] in statuses else None

    return until(found, what=f"{command_id} is {' or '.join(statuses)}", timeout=END_SECONDS)


def document(ssm, name, *steps, **parameters):
    """A document of these steps: (name, lines) or (name, lines, further inputs)."""
    main = [
        {
            "action": "aws:runShellScript",
            "name": step[0],
            "inputs": {"runCommand": step[1], **(step[2] if len(step) > 2 else {})},
        }
        for step in steps
    ]
    content = {"schemaVersion": "2.2", "parameters": parameters, "mainSteps": main}
    ssm.create_document(Content=json.dumps(content), Name=name, DocumentType="Command")
    return name


def steps_of(ssm, agent, command_id):
    """Name, status, code and output of each step."""
    (invocation,) = ssm.list_command_invocations(CommandId=command_id, InstanceId=agent.instance_id, Details=True)[
        "CommandInvocations"
    ]
    return {one["Name"]: (one["Status"], one["ResponseCode"], one["Output"]) for one in invocation["CommandPlugins"]}


def test_it_registers_says_what_it_is_and_runs_a_command(ssm, agent):
    """The shortest path there is: six operations."""
    (known,) = ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [agent.instance_id]}])[
        "InstanceInformationList"
    ]
    assert (known["AgentVersion"], known["PlatformName"], known["PingStatus"]) == (
        "3.3.0.0",
        "Debian GNU/Linux",
        "Online",
    )
    command_id = send(ssm, agent, commands=["echo hello $AWS_SSM_INSTANCE_ID", "echo oops >&2; exit 3"])

    assert agent.poll() == 1

    found = seen(ssm, agent, command_id)
    assert (found["Status"], found["ResponseCode"]) == ("Failed", 3)
    assert found["StandardOutputContent"] == f"hello {agent.instance_id}\n"
    assert found["StandardErrorContent"] == "oops\n"
    assert found["ExecutionStartDateTime"]
    assert found["ExecutionEndDateTime"]
    assert agent.errors == []


def test_of_several_steps_each_keeps_what_it_told(ssm, agent):
    """The last reply names no step: what the earlier ones said stays."""
    name = document(ssm, "Several", ("step1", ["echo 1"]), ("step2", ["echo 2; exit 5"]), ("step3", ["echo 3"]))
    command_id = send(ssm, agent, name)

    agent.poll()

    assert steps_of(ssm, agent, command_id) == {
        "step1": ("Success", 0, "1\n"),
        "step2": ("Failed", 5, "2\n"),
        "step3": ("Success", 0, "3\n"),
    }
    assert seen(ssm, agent, command_id, PluginName="step2")["StandardOutputContent"] == "2\n"


def test_a_last_step_that_is_told_after_the_end_is_not_lost(server, ssm, tmp_path):
    """Over a channel the agent's replies overtake each other: in 24 of 62 documents the end came first."""
    agent = started(server, ssm, tmp_path / "hasty", disorder=True)
    name = document(ssm, "Overtaken", ("step1", ["echo 1"]), ("step2", ["echo 2"]))
    command_id = send(ssm, agent, name)

    agent.poll()

    assert seen(ssm, agent, command_id, PluginName="step2")["Status"] == "Success"
    assert steps_of(ssm, agent, command_id) == {"step1": ("Success", 0, "1\n"), "step2": ("Success", 0, "2\n")}


def test_the_flow_of_a_document_is_told_step_by_step(ssm, agent):
    """exit ends it, but for its last step; what is passed over is told as such."""
    name = document(
        ssm,
        "Flow",
        ("step1", ["exit 1"], {"onFailure": "exit"}),
        ("step2", ["echo never"]),
        ("last", ["echo last"], {"finallyStep": "true"}),
    )
    command_id = send(ssm, agent, name)

    agent.poll()

    assert seen(ssm, agent, command_id, PluginName="step1")["Status"] == "Failed"
    told = steps_of(ssm, agent, command_id)
    assert (told["step1"][0], told["step2"][2], told["last"]) == ("Failed", "", ("Success", 0, "last\n"))


def test_a_document_that_wants_a_reboot_goes_on_after_it(server, ssm, agent, tmp_path):
    """It is under way until then; the step runs again, and its output is that of both runs."""
    marker = tmp_path / "marker"
    once = f"echo before; test -e {marker} && {{ echo after; exit 0; }}; touch {marker}; exit 194"
    name = document(ssm, "Reboot", ("first", ["echo first"]), ("again", [once]), ("then", ["echo then"]))
    command_id = send(ssm, agent, name)

    agent.poll()

    assert agent.wants_reboot
    assert seen(ssm, agent, command_id, PluginName="again")["Status"] == "InProgress"
    AmazonAgent(server.url, agent.home).resume()
    assert steps_of(ssm, agent, command_id) == {
        "first": ("Success", 0, "first\n"),
        "again": ("Success", 0, "before\nbefore\nafter\n"),
        "then": ("Success", 0, "then\n"),
    }


def test_a_command_is_cancelled_while_it_runs(ssm, agent):
    """The message that cancels comes by the next poll; the script is killed, and the command ends as cancelled."""
    stop = threading.Event()
    attending = threading.Thread(target=agent.attend, args=(stop,))
    attending.start()
    try:
        command_id = send(ssm, agent, commands=["echo begun; sleep 60"])
        wait_for(ssm, agent, command_id, "InProgress")

        ssm.cancel_command(CommandId=command_id)

        found = wait_for(ssm, agent, command_id, "Cancelled")
        assert found["StatusDetails"] == "Cancelled"
    finally:
        stop.set()
        send(ssm, agent, commands=["true"])  # so that the last poll is over at once
        attending.join(END_SECONDS)
    assert not attending.is_alive()
    assert agent.errors == []


def test_what_comes_twice_runs_once_and_its_end_stays(ssm, agent, tmp_path):
    """The agent answers a second delivery with a fresh start, which changes nothing."""
    count = tmp_path / "count"
    command_id = send(ssm, agent, commands=[f"echo x >> {count}"])
    taken = []
    take = agent.take
    agent.take = lambda *message, **how: (taken.append(message), take(*message, **how))
    agent.poll()

    (message,) = taken
    take(*message)

    assert count.read_text() == "x\n"
    assert seen(ssm, agent, command_id)["Status"] == "Success"


def test_a_document_that_the_agent_cannot_read_has_failed(ssm, agent):
    """It says so and acknowledges nothing: that counts as one."""
    command_id = send(ssm, agent, commands=["true"])
    take = agent.take

    def garbled(message_id, topic, content, upstream, **how):
        take(message_id, topic, content.replace('"schemaVersion"', '"schema"'), upstream, **how)

    agent.take = garbled
    agent.poll()

    found = seen(ssm, agent, command_id)
    assert (found["Status"], found["StatusDetails"]) == ("Failed", "Failed")
    (invocation,) = ssm.list_command_invocations(CommandId=command_id)["CommandInvocations"]
    assert "unsupported schema" in invocation["TraceOutput"]


def test_values_come_in_the_types_their_parameters_have(ssm, agent):
    """A list stays a list, a map is an object; everything else is the one text it was given as."""
    types = ("String", "StringList", "Integer", "Boolean", "StringMap")
    declared = {kind: {"type": kind, "description": "d"} for kind in types}
    name = document(ssm, "Types", ("step1", ["true"]), **declared)
    got = []
    agent.take = lambda message_id, topic, content, upstream, **how: got.append(
        (message_id, topic, json.loads(content))
    )
    values = {
        "String": ["a"],
        "StringList": ["a", "b"],
        "Integer": ["7"],
        "Boolean": ["true"],
        "StringMap": ['{"k":"v"}'],
    }

    command_id = send(ssm, agent, name, **values)
    agent.poll()

    ((message_id, topic, payload),) = got
    assert message_id == f"aws.ssm.{command_id}.{agent.instance_id}"
    assert topic.startswith("aws.ssm.sendCommand")
    assert payload["Parameters"] == {
        "String": "a",
        "StringList": ["a", "b"],
        "Integer": "7",
        "Boolean": "true",
        "StringMap": {"k": "v"},
    }
    assert (payload["CommandId"], payload["DocumentName"]) == (command_id, name)
    assert payload["CloudWatchOutputEnabled"] == "false"
    assert {"OutputS3KeyPrefix", "OutputS3BucketName", "CloudWatchLogGroupName"} <= payload.keys()
    assert payload["DocumentContent"]["schemaVersion"] == "2.2"
    ssm.cancel_command(CommandId=command_id)


def test_a_patch_step_reaches_it_as_a_script(server, ssm, tmp_path):
    """It fetches the node program from the server and names its digest; no parameter stands in it."""
    ran = []

    def run(script, environment, *, seconds, cancelled):
        ran.append((script, environment, seconds))
        return 0, "patched\n", ""

    agent = started(server, ssm, tmp_path / "patched", run=run)
    command_id = send(
        ssm, agent, "AWS-RunPatchBaseline", Operation=["Scan"], SnapshotId=["0b9a1f2e-6b1c-4c71-9f1b-0d6a3f3a8e11"]
    )

    agent.poll()

    ((script, environment, seconds),) = ran
    assert f"{server.url}/agent/patchwright-agent.pyz" in script
    assert "Scan" not in script
    assert "0b9a1f2e" not in script
    assert seconds == 7200
    assert environment["SSM_COMMAND_ID"] == command_id
    assert seen(ssm, agent, command_id, PluginName="PatchLinux")["StandardOutputContent"] == "patched\n"


def test_it_reads_documents_and_parameters_and_reports_what_it_found(ssm, agent):
    """With its session, as it does for documents in documents, references to parameters, inventory and associations."""
    ssm.put_parameter(Name="/edge/greeting", Value="hello", Type="String")
    content = agent.call("AmazonSSM.GetDocument", {"Name": "AWS-RunShellScript", "DocumentVersion": "$DEFAULT"})[
        "Content"
    ]
    assert json.loads(content)["schemaVersion"]
    names = {"Names": ["/edge/greeting"], "WithDecryption": False}
    assert [one["Value"] for one in agent.call("AmazonSSM.GetParameters", names)["Parameters"]] == ["hello"]

    item = {
        "TypeName": "AWS:Application",
        "SchemaVersion": "1.1",
        "CaptureTime": "2026-11-20T04:27:48Z",
        "Content": [{"Name": "openssl", "Version": "3.0.15", "Publisher": "Debian", "Architecture": "x86_64"}],
    }
    digest = base64.b64encode(
        hashlib.md5(json.dumps(item["Content"]).encode(), usedforsecurity=False).digest()
    ).decode()
    put = {"InstanceId": agent.instance_id, "Items": [{**item, "ContentHash": digest}]}
    agent.call("AmazonSSM.PutInventory", put)
    unchanged = {"TypeName": "AWS:Application", "SchemaVersion": "1.0", "CaptureTime": "2026-11-20T05:27:48Z"}
    agent.call("AmazonSSM.PutInventory", {**put, "Items": [{**unchanged, "ContentHash": digest}]})
    with pytest.raises(Refused) as refused:
        agent.call("AmazonSSM.PutInventory", {**put, "Items": [{**unchanged, "ContentHash": "AAAA" + digest[4:]}]})
    assert refused.value.code in {"ItemContentMismatchException", "InvalidItemContentException"}
    found = ssm.list_inventory_entries(InstanceId=agent.instance_id, TypeName="AWS:Application")
    assert [one["Name"] for one in found["Entries"]] == ["openssl"]

    compliance = {
        "ResourceId": agent.instance_id,
        "ResourceType": "ManagedInstance",
        "ComplianceType": "Association",
        "ExecutionSummary": {"ExecutionTime": 1795148868.432},
        "ItemContentHash": digest,
        "Items": [{"Id": "a", "Title": "b", "Severity": "UNSPECIFIED", "Status": "COMPLIANT"}],
    }
    agent.call("AmazonSSM.PutComplianceItems", compliance)
    agent.call("AmazonSSM.PutComplianceItems", {**compliance, "Items": []})
    kept = ssm.list_compliance_items(ResourceIds=[agent.instance_id], ResourceTypes=["ManagedInstance"])
    assert [one["Id"] for one in kept["ComplianceItems"]] == ["a"]
    assert agent.associations() == []


def test_scripts_sign_with_what_the_agent_shares(server, ssm, agent):
    """In the file that the environment names; they are the node, and may what nodes may."""
    ssm.put_parameter(Name="/edge/word", Value="known", Type="String")
    command_id = send(ssm, agent, commands=['cat "$AWS_SHARED_CREDENTIALS_FILE"'])
    agent.poll()
    shared = seen(ssm, agent, command_id)["StandardOutputContent"]
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    given = dict(line.split(" = ", 1) for line in shared.splitlines() if " = " in line)
    session = boto3.session.Session(**{name: given[name] for name in names}, region_name="us-east-1")

    who = session.client("sts", endpoint_url=server.url).get_caller_identity()
    node = session.client("ssm", endpoint_url=server.url)

    assert who["Arn"] == f"arn:aws:ssm:us-east-1:{who['Account']}:managed-instance/{agent.instance_id}"
    assert node.get_parameters(Names=["/edge/word"])["Parameters"][0]["Value"] == "known"
    with pytest.raises(node.exceptions.ClientError, match="AccessDenied"):
        node.put_parameter(Name="/edge/word", Value="changed", Type="String", Overwrite=True)


def test_what_ended_while_the_server_was_gone_is_told_afterwards(tmp_path):
    """The server is killed while a script runs: its end comes later, under the id it had, and more often than once."""
    place = f"127.0.0.1:{free_port()}"
    server = Process(tmp_path / "data", "--listen", place).ready()
    agent = started(server, server.client(), tmp_path / "agent")
    gate, log = tmp_path / "gate", tmp_path / "ran"
    script = f"echo ran >> {log}; while ! test -e {gate}; do sleep 0.05; done; echo done"
    command_id = send(server.client(), agent, commands=[script])
    agent.poll(beside=True)
    server.end(signal.SIGKILL)
    gate.touch()
    agent.join()
    assert len(agent.unsent) == 2

    server = Process(tmp_path / "data", "--listen", place).ready()
    try:
        unsent = list(agent.unsent)
        agent.resend()
        found = seen(server.client(), agent, command_id)
        agent.unsent = unsent
        agent.resend()
        assert (found["Status"], found["StandardOutputContent"]) == ("Success", "done\n")
        assert seen(server.client(), agent, command_id)["ResponseMetadata"]["HTTPStatusCode"] == 200
        assert log.read_text() == "ran\n"
    finally:
        server.end(signal.SIGKILL)


def test_it_is_told_where_there_are_no_channels_in_the_words_it_looks_for(server, agent):
    """It goes on polling where the answer has them, and is deaf where not."""
    from http.client import HTTPConnection
    from urllib.parse import urlsplit

    from farm import amazon_wire

    parts = urlsplit(server.url)
    path, body = f"/v1/control-channel/{agent.instance_id}", b'{"MessageSchemaVersion":"1.0","RequestId":"88e7962f"}'
    headers = {
        "host": parts.netloc,
        "content-type": "application/json",
        "x-amz-date": amazon_wire.basic(agent.now()),
        "x-amz-security-token": agent.session.token,
    }
    headers["authorization"] = amazon_wire.authorization(
        headers, body, key_id=agent.session.key_id, region="us-east-1", service="ssmmessages", path=path,
        sign=agent.session.signer(headers["x-amz-date"][:8], "us-east-1", "ssmmessages"),
        signed="content-type;host;x-amz-date;x-amz-security-token",
    )  # fmt: skip
    connection = HTTPConnection(parts.hostname, parts.port, timeout=END_SECONDS)
    connection.request("POST", path, body, headers)
    answer = connection.getresponse()

    assert (answer.status, b"<AccessDeniedException>" in answer.read()) == (403, True)
    connection.close()
