# SPDX-License-Identifier: Apache-2.0
"""Resources belong to an account and a region (design §5): neighbours never see each other, whatever they ask."""

from __future__ import annotations

import json
import shutil
from unittest.mock import MagicMock

import pytest

from server.aws import tenant as town
from server.aws.test_unserved import OUR_OWN, SERVED
from server.gateway.house import build
from server.patching.bench import OUTDATED, PATCHED
from server.wire.client import MODELS

# Accounts are of the installation (test_accounts.py); identities speak Query and have no region (test_iam_tenants.py).
OF_TENANTS = [one for one in OUR_OWN if one.startswith("Patchwright.") and not one.endswith(("Account", "Accounts"))]


class Tenant:
    """An account and a region with one of everything."""

    def __init__(self, house, region):
        self.house = house
        self.region = region

    async def furnish(self, view):
        """One of everything, under the same names as everybody's."""
        tags = [{"Key": "Patch Group", "Value": "web"}]
        self.node = await self.house.enrol(region=self.region, tags={"Patch Group": "web"})
        rules = {"PatchRules": [{"PatchFilterGroup": {"PatchFilters": []}, "ApproveAfterDays": 0}]}
        created = {"Name": "web", "OperatingSystem": "DEBIAN", "ApprovalRules": rules, "Tags": tags}
        self.baseline = (await self.ask("CreatePatchBaseline", created))["BaselineId"]
        await self.ask("RegisterPatchBaselineForPatchGroup", {"BaselineId": self.baseline, "PatchGroup": "web"})
        self.command = await self.house.scan(self.node, view)
        self.ids = {self.node.instance_id, self.baseline, self.command}
        return self

    async def ask(self, operation, body):
        """The answer of an operation that is to succeed."""
        return await self.house.ask(f"AmazonSSM.{operation}", body, region=self.region)

    async def code(self, operation, body, prefix="AmazonSSM"):
        """The code of one that is to be refused."""
        return await self.house.code(f"{prefix}.{operation}", body, region=self.region)


@pytest.fixture(params=["another region", "another account"])
async def neighbours(request, house, shared_url, master_key, tmp_path):
    """Two tenants that have the same things."""
    mine = await Tenant(house, "us-east-1").furnish(OUTDATED)
    if request.param == "another region":
        yield mine, await Tenant(house, "eu-west-1").furnish(PATCHED)
        return
    (tmp_path / "other").mkdir()
    shutil.copy(master_key, tmp_path / "other" / "master.key")
    other = await build(tmp_path / "other", shared_url, "8" + house.account[1:])
    yield mine, await Tenant(other, "us-east-1").furnish(PATCHED)
    await other.close()


def everything(tenant):
    """Every listing operation, asked as widely as it can be, and the count of own things in it."""
    ids = {"InstanceIds": [tenant.node.instance_id]}
    return {
        "DescribeInstanceInformation": {"MaxResults": 50},
        "DescribeInstanceProperties": {},
        "DescribeActivations": {},
        "ListNodes": {},
        "ListNodesSummary": {
            "Aggregators": [{"AggregatorType": "Count", "TypeName": "Instance", "AttributeName": "Region"}]
        },
        "DescribePatchBaselines": {"Filters": [{"Key": "OWNER", "Values": ["Self"]}]},
        "DescribeInstancePatchStates": ids,
        "DescribeInstancePatches": {"InstanceId": tenant.node.instance_id},
        "ListCommandInvocations": {"Details": True},
        "ListTagsForResource": {"ResourceType": "PatchBaseline", "ResourceId": tenant.baseline},
        "GetPatchBaselineForPatchGroup": {"PatchGroup": "web", "OperatingSystem": "DEBIAN"},
    }


async def test_every_listing_shows_ones_own_and_nothing_of_the_neighbour(neighbours):
    """Same names, same tags, same groups, same facts."""
    for mine, theirs in (neighbours, neighbours[::-1]):
        for operation, body in everything(mine).items():
            answer = await mine.ask(operation, body)
            text = json.dumps(answer)
            assert not [one for one in theirs.ids if one in text], operation
            (found,) = [value for name, value in answer.items() if isinstance(value, list)] or [["one"]]
            assert len(found) == (3 if operation == "DescribeInstancePatches" else 1), operation


async def test_states_are_ones_own(neighbours):
    """The one is outdated, the other patched."""
    mine, theirs = neighbours
    for tenant, missing in ((mine, 2), (theirs, 0)):
        ids = {"InstanceIds": [mine.node.instance_id, theirs.node.instance_id]}
        (state,) = (await tenant.ask("DescribeInstancePatchStates", ids))["InstancePatchStates"]
        assert (state["InstanceId"], state["MissingCount"]) == (tenant.node.instance_id, missing)


async def test_what_is_the_neighbours_does_not_exist(neighbours):
    """Named by its id, it is answered like an id that was never given; and nothing of it changes."""
    for mine, theirs in (neighbours, neighbours[::-1]):
        before = await theirs.house.dump()
        node, baseline, command = theirs.node.instance_id, theirs.baseline, theirs.command
        tag = {"Tags": [{"Key": "a", "Value": "1"}]}
        refused = {
            ("GetPatchBaseline", "DoesNotExistException"): {"BaselineId": baseline},
            ("UpdatePatchBaseline", "DoesNotExistException"): {"BaselineId": baseline, "Name": "mine"},
            ("RegisterPatchBaselineForPatchGroup", "DoesNotExistException"): {
                "BaselineId": baseline,
                "PatchGroup": "x",
            },
            ("DescribeInstancePatches", "InvalidInstanceId"): {"InstanceId": node},
            ("GetCommandInvocation", "InvocationDoesNotExist"): {"CommandId": command, "InstanceId": node},
            ("ListCommandInvocations", "InvalidCommandId"): {"CommandId": command},
            ("SendCommand", "InvalidInstanceId"): {
                "DocumentName": "AWS-RunPatchBaseline",
                "Parameters": {"Operation": ["Install"]},
                "InstanceIds": [node],
            },
            ("DeregisterManagedInstance", "InvalidInstanceId"): {"InstanceId": node},
            ("UpdateManagedInstanceRole", "InvalidInstanceId"): {"InstanceId": node, "IamRole": "stolen"},
            ("AddTagsToResource", "InvalidResourceId"): {"ResourceType": "ManagedInstance", "ResourceId": node, **tag},
            ("ListTagsForResource", "InvalidResourceId"): {"ResourceType": "PatchBaseline", "ResourceId": baseline},
            ("RemoveTagsFromResource", "InvalidResourceId"): {
                "ResourceType": "ManagedInstance",
                "ResourceId": node,
                "TagKeys": ["Patch Group"],
            },
        }
        for (operation, code), body in refused.items():
            assert await mine.code(operation, body) == code, operation
        assert await mine.code("GetVerdict", {"InstanceId": node}, "Patchwright") == "InvalidInstanceId"
        everyone = await mine.ask(
            "SendCommand",
            {
                "DocumentName": "AWS-RunPatchBaseline",
                "Parameters": {"Operation": ["Scan"]},
                "Targets": [{"Key": "InstanceIds", "Values": ["*"]}],
            },
        )
        assert everyone["Command"]["TargetCount"] == 1
        if theirs.house is not mine.house:
            assert await theirs.house.dump() == before


async def test_a_nodes_key_is_good_in_its_own_region_only(neighbours):
    """And says whose account it is: the caller does not choose."""
    mine, theirs = neighbours
    body = {"InstanceId": theirs.node.instance_id}

    code = await mine.house.code("AmazonSSM.UpdateInstanceInformation", body, key=theirs.node, region="ap-south-1")
    assert code == "UnrecognizedClientException"
    code = await mine.house.code("AmazonSSM.UpdateInstanceInformation", body, key=mine.node)
    assert code == "AccessDeniedException"


async def test_a_users_key_reaches_every_region_of_its_own_account_only(neighbours):
    """An access key belongs to an account (design §5)."""
    mine, theirs = neighbours
    answer = await mine.house.ask("AmazonSSM.DescribeInstanceInformation", {}, region="ap-south-1")

    assert answer["InstanceInformationList"] == []
    assert (
        mine.house.account == theirs.house.account or mine.house.root.access_key_id != theirs.house.root.access_key_id
    )


# -- two accounts and two regions side by side

# Answers in which nothing is anybody's own: the operation tells of the product, or of what is not there before windows run.
NOBODYS = {
    "DescribeMaintenanceWindowExecutionTaskInvocations",
    "DescribeMaintenanceWindowExecutionTasks",
    "DescribeMaintenanceWindowExecutions",
    "DescribePatchGroupState",
    "DescribePatchProperties",
    "GetDefaultPatchBaseline",
    "GetMaintenanceWindowExecution",
    "GetMaintenanceWindowExecutionTask",
    "GetMaintenanceWindowExecutionTaskInvocation",
    "ListComplianceSummaries",
    "ListNodesSummary",
    "Patchwright.DescribeSchedule",
    "Patchwright.ListDeliveries",
    "Patchwright.VerifyAuditTrail",
}
REGIONS = ("us-east-1", "eu-west-1")


@pytest.fixture
async def square(database_url, master_key, tmp_path):
    """Four tenants with the same things: two accounts, each in two regions, and nobody else: one trail is everybody's."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        shutil.copy(master_key, tmp_path / name / "master.key")
    house = await build(tmp_path / "one", database_url, "000000000001")
    other = await build(tmp_path / "other", database_url, "800000000001")
    made = [await town.Tenant(one, region).furnish() for one in (house, other) for region in REGIONS]
    await house.wired.audit.seal()
    yield made
    await other.close()
    await house.close()


def test_no_operation_is_forgotten():
    """Whatever is served has a request that meets a tenant's things: a new operation is not left out."""
    made = town.Tenant(MagicMock(), "us-east-1")
    for name in (
        "ids",
        "activation",
        "baseline",
        "command",
        "feed",
        "parameter",
        "policy",
        "setting",
        "window",
        "target",
        "task",
    ):
        setattr(made, name, MagicMock())

    asked = {*made.reads(), *made.writes()}

    assert {*SERVED, *OF_TENANTS} - asked == set()
    model = MODELS.service("AmazonSSM").model
    for name in SERVED & set(made.writes()):
        assert not name.startswith(("Describe", "List", "Get")), name
        assert model["operations"][name]["output"]


async def test_no_answer_shows_anything_of_a_neighbour(square):
    """Asked as widely as can be, and asked for the neighbours' very ids: twelve pairs, every operation that answers."""
    silent = set()
    for mine in square:
        others = {one for neighbour in square if neighbour is not mine for one in neighbour.known()}
        for asker in square:
            for operation, body in asker.reads().items():
                if operation not in {*SERVED, *OF_TENANTS}:
                    continue
                answer = await mine.call(operation, body)
                assert answer.status in {200, 400}, (operation, answer.body)
                text = answer.body.decode()
                # An id that was asked for may be repeated; what stands behind it may not be shown.
                found = {one for one in others if one in text and one not in json.dumps(body)}
                assert not found, (operation, mine.mark, asker.mark, found)
                if asker is mine and not any(one in text for one in mine.known()):
                    silent.add(operation)
    assert silent == NOBODYS


async def test_nothing_of_a_neighbour_changes(square):
    """Whatever is done with the neighbours' ids, or to things of the same name, every row of theirs stays as it is."""
    mine, *others = square
    for victim in others:
        before = await rows_of(victim)
        for operation, body in victim.writes().items():
            assert operation not in victim.reads()
            await mine.call(operation, body)
            assert await rows_of(victim) == before, operation


async def rows_of(one):
    """Every row of a tenant, by table; what a read leaves behind in a memory is no matter."""
    rows = await one.house.dump()
    return {table: [row for row in found if repr(one.region) in row] for table, found in rows.items()}
