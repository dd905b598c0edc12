# SPDX-License-Identifier: Apache-2.0
"""Managed nodes through boto3 (spec §1.7, §1.19, §11.2)."""

from __future__ import annotations

import asyncio
import time

import pytest

from patchwright.server.infra import sql
from server.aws.served import new_region
from server.patching.bench import OUTDATED


def ids(pages):
    """Ids of all nodes on *pages*."""
    return [node["InstanceId"] for page in pages for node in page["InstanceInformationList"]]


def test_a_node_is_described_as_it_described_itself(aws, ssm):
    """With what its activation gave it."""
    before = time.time()
    node = aws.enrol(ComputerName="host", PlatformName="Debian GNU/Linux", PlatformVersion="12", IPAddress="192.0.2.7")

    (found,) = ssm.describe_instance_information()["InstanceInformationList"]

    assert found["InstanceId"] == node.instance_id
    assert (found["PingStatus"], found["ResourceType"], found["IamRole"]) == ("Online", "ManagedInstance", "node")
    assert (found["PlatformType"], found["PlatformName"], found["PlatformVersion"]) == (
        "Linux",
        "Debian GNU/Linux",
        "12",
    )
    assert (found["ComputerName"], found["IPAddress"]) == ("host", "192.0.2.7")
    assert before - 1 <= found["RegistrationDate"].timestamp() <= time.time() + 1
    assert (found["SourceId"], found["SourceType"]) == (node.instance_id, "AWS::SSM::ManagedInstance")
    assert not {"AgentVersion", "Name", "SourceLocation", "AssociationStatus"} & set(found)


def test_a_node_says_what_its_cloud_calls_it(aws, ssm):
    """An `i-…` id is where it comes from, and never its own; it can be found by it."""
    node, _ = aws.enrol(), aws.enrol()
    said = {
        "SourceId": "i-0123456789abcdef0",
        "SourceType": "AWS::EC2::Instance",
        "SourceLocation": "eu-west-1",
        "AvailabilityZone": "eu-west-1a",
        "AvailabilityZoneId": "euw1-az1",
    }
    hello = {"InstanceId": node.instance_id, **said}
    aws.run(aws.house.ask("AmazonSSM.UpdateInstanceInformation", hello, key=node))
    wrong = {**hello, "SourceType": "A toaster"}
    assert aws.run(aws.house.code("AmazonSSM.UpdateInstanceInformation", wrong, key=node)) == "ValidationException"

    (found,) = ssm.describe_instance_information(Filters=[{"Key": "SourceIds", "Values": [said["SourceId"]]}])[
        "InstanceInformationList"
    ]
    (properties,) = ssm.describe_instance_properties(
        FiltersWithOperator=[{"Key": "SourceTypes", "Values": [said["SourceType"]]}]
    )["InstanceProperties"]
    (listed,) = ssm.list_nodes(Filters=[{"Key": "AvailabilityZoneId", "Values": ["euw1"], "Type": "BeginWith"}])[
        "Nodes"
    ]

    assert found["InstanceId"] == node.instance_id
    assert {name: found[name] for name in said if name.startswith("Source")} == dict(list(said.items())[:3])
    assert {name: properties[name] for name in said if name != "AvailabilityZoneId"} == {
        name: value for name, value in said.items() if name != "AvailabilityZoneId"
    }
    assert {name: listed["NodeType"]["Instance"][name] for name in said} == said


def test_nodes_are_listed_in_pages_of_any_size(aws, ssm):
    """Every node once, in order of id; ten a page unless told otherwise."""
    expected = sorted(aws.enrol().instance_id for _ in range(13))
    pages = ssm.get_paginator("describe_instance_information")

    assert len(ssm.describe_instance_information()["InstanceInformationList"]) == 10
    assert ids(pages.paginate()) == expected
    for size in (5, 12, 13, 50):
        assert ids(pages.paginate(PaginationConfig={"PageSize": size})) == expected
    for size in (4, 51):
        with pytest.raises(ssm.exceptions.ClientError, match="ValidationException"):
            ssm.describe_instance_information(MaxResults=size)


def test_nodes_are_filtered(aws, ssm):
    """Old filters and new ones; entries are ANDed, their values ORed; page boundaries do not matter."""
    web = sorted(aws.enrol(tags={"role": "web", "x": "1"}).instance_id for _ in range(7))
    db = aws.enrol(tags={"role": "db"}, PlatformType="Windows", AgentVersion="9.9").instance_id
    pages = ssm.get_paginator("describe_instance_information")

    def matching(*filters, size=5):
        given = [{"Key": key, "Values": list(values)} for key, values in filters]
        return ids(pages.paginate(Filters=given, PaginationConfig={"PageSize": size}))

    assert matching(("tag:role", ["web"])) == web
    assert matching(("tag:role", ["web", "db"])) == sorted([*web, db])
    assert matching(("tag-key", ["x"])) == web
    assert matching(("tag-key", ["x", "role"]), ("PlatformTypes", ["Windows"])) == [db]
    assert matching(("InstanceIds", [db, web[0], "mi-00000000000000000"])) == sorted([db, web[0]])
    assert matching(("AgentVersion", ["9.9"])) == [db]
    assert matching(("PingStatus", ["Online"])) == sorted([*web, db])
    assert matching(("PingStatus", ["ConnectionLost", "Inactive"])) == []
    assert matching(("ResourceType", ["ManagedInstance"]), ("IamRole", ["node"])) == sorted([*web, db])
    assert matching(("ResourceType", ["EC2Instance"])) == []
    assert matching(("AssociationStatus", ["Success", "Pending", "Failed"])) == []
    assert matching(("SourceIds", [db])) == [db]
    assert matching(("SourceTypes", ["AWS::SSM::ManagedInstance"]), ("tag:x", ["1"])) == web
    assert matching(("SourceTypes", ["AWS::EC2::Instance"])) == []
    activation = ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [db]}])
    assert matching(("ActivationIds", [activation["InstanceInformationList"][0]["ActivationId"]])) == [db]
    old = [{"key": "PlatformTypes", "valueSet": ["Windows"]}]
    assert ids(pages.paginate(InstanceInformationFilterList=old)) == [db]


def test_filters_that_are_none_are_refused_though_there_is_no_node(ssm):
    """InvalidFilterKey; and the two kinds of filters do not mix."""
    with pytest.raises(ssm.exceptions.InvalidFilterKey):
        ssm.describe_instance_information(Filters=[{"Key": "Colour", "Values": ["red"]}])
    with pytest.raises(ssm.exceptions.ClientError, match="ValidationException"):
        ssm.describe_instance_information(
            Filters=[{"Key": "InstanceIds", "Values": ["x"]}],
            InstanceInformationFilterList=[{"key": "InstanceIds", "valueSet": ["x"]}],
        )


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        ("InstanceIds", "x", "InvalidInstanceId"),
        ("InstanceIds", "mi-1", "InvalidInstanceId"),
        ("PingStatus", "online", "InvalidInstanceInformationFilterValue"),
        ("PlatformTypes", "Plan9", "InvalidInstanceInformationFilterValue"),
        ("ResourceType", "Instance", "InvalidInstanceInformationFilterValue"),
        ("AssociationStatus", "Fine", "InvalidInstanceInformationFilterValue"),
        ("ActivationIds", "x", "InvalidInstanceInformationFilterValue"),
    ],
)
def test_a_value_that_a_filter_cannot_have_is_refused(ssm, key, value, code):
    """In both kinds of filters."""
    for given in (
        {"Filters": [{"Key": key, "Values": [value]}]},
        {"InstanceInformationFilterList": [{"key": key, "valueSet": [value]}]},
    ):
        with pytest.raises(ssm.exceptions.ClientError) as refused:
            ssm.describe_instance_information(**given)
        assert refused.value.response["Error"]["Code"] == code


def test_a_request_has_fifty_filters(ssm):
    """No statement grows without end."""
    one = {"Key": "AgentVersion", "Values": [str(n) for n in range(100)]}

    assert ssm.describe_instance_information(Filters=[one] * 50)["InstanceInformationList"] == []
    with pytest.raises(ssm.exceptions.ClientError, match="ValidationException"):
        ssm.describe_instance_information(Filters=[one] * 51)


def test_who_was_heard_of_is_connected(aws, ssm):
    """Nobody else is, whether it exists or not, here or elsewhere."""
    node = aws.enrol()

    def status(target, client=ssm):
        answer = client.get_connection_status(Target=target)
        assert answer["Target"] == target
        return answer["Status"]

    assert status(node.instance_id) == "connected"
    assert status(node.instance_id, aws.client(region=new_region())) == "notconnected"
    for target in ("mi-00000000000000000", "i-12345678", "ecs:cluster_task_runtime", "x" * 400):
        assert status(target) == "notconnected"
    silence(aws, node, 3600)
    assert status(node.instance_id) == "notconnected"
    (found,) = ssm.describe_instance_information()["InstanceInformationList"]
    assert found["PingStatus"] == "ConnectionLost"


def test_a_node_gets_another_role(aws, ssm):
    """Of a node that is there, a role that has a name."""
    node = aws.enrol().instance_id

    assert set(ssm.update_managed_instance_role(InstanceId=node, IamRole="other")) == {"ResponseMetadata"}
    (found,) = ssm.describe_instance_information(Filters=[{"Key": "IamRole", "Values": ["other"]}])[
        "InstanceInformationList"
    ]
    assert found["InstanceId"] == node
    with pytest.raises(ssm.exceptions.InvalidInstanceId):
        ssm.update_managed_instance_role(InstanceId="mi-00000000000000000", IamRole="other")
    with pytest.raises(ssm.exceptions.InvalidInstanceId):
        aws.client(region=new_region()).update_managed_instance_role(InstanceId=node, IamRole="stolen")
    for wrong in ({"InstanceId": "i-12345678"}, {"IamRole": ""}, {"IamRole": "x" * 65}):
        with pytest.raises(ssm.exceptions.ClientError, match="ValidationException"):
            ssm.update_managed_instance_role(**{"InstanceId": node, "IamRole": "other", **wrong})


def test_a_node_that_is_deregistered_is_gone_and_its_history_stays(aws, ssm):
    """No listing shows it, its tags are nobody's, its key is refused; what it did can be read as before."""
    node, other = aws.enrol(tags={"role": "web", "Patch Group": "web"}), aws.enrol(tags={"role": "web"})
    done = aws.run(aws.house.scan(node, OUTDATED))
    open_command = aws.run(aws.house.send(node, other))["CommandId"]
    aws.run(aws.house.messages(node))
    aws.run(aws.house.begin(node, open_command))
    name = node.instance_id

    assert set(ssm.deregister_managed_instance(InstanceId=name)) == {"ResponseMetadata"}
    hello = ("AmazonSSM.UpdateInstanceInformation", {"InstanceId": name})
    until = time.monotonic() + 10  # keys are remembered for half a second
    while aws.run(aws.house.call(*hello, key=node)).status == 200:
        assert time.monotonic() < until

    for target, body in (
        hello,
        ("Patchwright.BeginOperation", {"CommandId": open_command, "StepName": "PatchLinux"}),
    ):
        assert aws.run(aws.house.code(target, body, key=node)) == "UnrecognizedClientException"
    assert ids([ssm.describe_instance_information()]) == [other.instance_id]
    assert len(ssm.describe_instance_properties()["InstanceProperties"]) == 1
    assert len(ssm.list_nodes()["Nodes"]) == 1
    assert ssm.describe_instance_patch_states(InstanceIds=[name])["InstancePatchStates"] == []
    for call in (
        lambda: ssm.describe_instance_patches(InstanceId=name),
        lambda: ssm.deregister_managed_instance(InstanceId=name),
        lambda: ssm.send_command(
            DocumentName="AWS-RunPatchBaseline", InstanceIds=[name], Parameters={"Operation": ["Scan"]}
        ),
    ):
        with pytest.raises(ssm.exceptions.InvalidInstanceId):
            call()
    with pytest.raises(ssm.exceptions.InvalidResourceId):
        ssm.list_tags_for_resource(ResourceType="ManagedInstance", ResourceId=name)
    assert rows(aws, "tag", "resource_id", name) == 0

    ended = ssm.get_command_invocation(CommandId=open_command, InstanceId=name)
    assert (ended["Status"], ended["StatusDetails"]) == ("Failed", "Undeliverable")
    assert ssm.get_command_invocation(CommandId=done, InstanceId=name)["Status"] == "Success"
    waiting = ssm.get_command_invocation(CommandId=open_command, InstanceId=other.instance_id)
    assert waiting["Status"] == "Pending"
    assert rows(aws, "operation", "instance_id", name) == 2
    assert rows(aws, "operation", "instance_id", name, "ended_at IS NULL") == 0
    assert rows(aws, "last_operation", "instance_id", name) == 0
    assert rows(aws, "facts", "instance_id", name) == 1


def test_of_many_who_deregister_a_node_at_once_one_does(aws):
    """While it pings, replies and begins; the others are told that there is no such node."""
    node, other = aws.enrol(), aws.enrol()
    command = aws.run(aws.house.send(node, other))["CommandId"]
    aws.run(aws.house.messages(node))
    hello = {"InstanceId": node.instance_id}

    async def everybody():
        house = aws.house
        going = [house.call("AmazonSSM.DeregisterManagedInstance", hello, region=aws.region) for _ in range(4)]
        talk = [
            house.call("AmazonSSM.UpdateInstanceInformation", hello, key=node),
            house.reply(node, command, "InProgress"),
            house.reply(node, command, "Success"),
        ]
        answers = await asyncio.gather(*going, *talk)
        return answers[:4], answers[4:]

    gone, talked = aws.run(everybody())
    ssm = aws.client()

    assert sorted((one.status, one.status == 200 or one.code) for one in gone) == [
        (200, True),
        *[(400, "InvalidInstanceId")] * 3,
    ]
    assert all(one.status in {200, 400} for one in talked)
    assert ids([ssm.describe_instance_information()]) == [other.instance_id]
    ended = ssm.get_command_invocation(CommandId=command, InstanceId=node.instance_id)
    assert ended["StatusDetails"] in {"Undeliverable", "Success"}


def test_a_machine_that_was_deregistered_enrols_again_as_another_node(aws, ssm):
    """With an activation; nothing of what it was before comes back."""
    made = ssm.create_activation(IamRole="fleet", RegistrationLimit=2)
    given = {name: made[name] for name in ("ActivationId", "ActivationCode")}
    enrol = {**given, "EnrollmentToken": "t" * 40 + aws.region}
    first = aws.run(aws.house.ask("Patchwright.Enroll", enrol))["InstanceId"]
    ssm.add_tags_to_resource(ResourceType="ManagedInstance", ResourceId=first, Tags=[{"Key": "a", "Value": "1"}])
    ssm.deregister_managed_instance(InstanceId=first)

    second = aws.run(aws.house.ask("Patchwright.Enroll", enrol))["InstanceId"]

    assert second != first
    assert ids([ssm.describe_instance_information()]) == [second]
    assert ssm.list_tags_for_resource(ResourceType="ManagedInstance", ResourceId=second)["TagList"] == []
    with_another_token = {**enrol, "EnrollmentToken": "u" * 40 + aws.region}
    assert aws.run(aws.house.code("Patchwright.Enroll", with_another_token)) == "InvalidActivation"


def test_what_cannot_be_deregistered_is_refused(aws, ssm):
    """Unknown, elsewhere, and what is no managed instance."""
    node = aws.enrol().instance_id
    for client, name in ((ssm, "mi-00000000000000000"), (aws.client(region=new_region()), node)):
        with pytest.raises(ssm.exceptions.InvalidInstanceId):
            client.deregister_managed_instance(InstanceId=name)
    for name in ("i-12345678901234567", "x", node.upper()):
        with pytest.raises(ssm.exceptions.ClientError, match="ValidationException"):
            ssm.deregister_managed_instance(InstanceId=name)
    assert ids([ssm.describe_instance_information()]) == [node]


def silence(aws, node, seconds):
    """Let a node have been heard of so long ago."""

    def write():
        yield sql("UPDATE node SET last_ping_at = last_ping_at - $2 WHERE id = $1", node.instance_id, float(seconds))

    aws.run(aws.house.wired.database.write(write))


def rows(aws, table, column, value, condition="1 = 1"):
    """How many rows a table has of something."""

    def read():
        return (yield sql(f"SELECT COUNT(*) FROM {table} WHERE {column} = $1 AND {condition}", value))

    return aws.run(aws.house.wired.database.read(read))[0][0]


def test_a_token_of_another_request_is_invalid(aws, ssm):
    """InvalidNextToken, since the operation declares it."""
    for _ in range(6):
        aws.enrol()
    token = ssm.describe_instance_information(MaxResults=5)["NextToken"]

    with pytest.raises(ssm.exceptions.InvalidNextToken):
        ssm.describe_instance_information(NextToken=token, Filters=[{"Key": "PingStatus", "Values": ["Online"]}])
    with pytest.raises(ssm.exceptions.InvalidNextToken):
        aws.client(region=aws.region + "-2").describe_instance_information(NextToken=token)
