# SPDX-License-Identifier: Apache-2.0
"""Available and effective patches through boto3 (spec §1.1, §1.3, §1.19)."""

from __future__ import annotations

import datetime
import json

import pytest

from core import made
from patchwright.core.advisory import Notice
from patchwright.core.package import Manager
from patchwright.core.protocol import FactsMessage, Phase
from server.aws.test_baselines import create, refusal
from server.patching.bench import OUTDATED, bodies_of, debian
from server.patching.test_families import sealed

EPOCH_DAY = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
NOTICE = Notice(
    "RLSA-2026:1",
    "security",
    "important",
    title="a security update",
    updated="2026-11-01",
    cves=("CVE-2026-2", "CVE-2026-1"),
    bugzillas=("200", "100"),
)
ROCKY = sealed(
    ["a.x86_64 1-1"],
    [
        made.offer("a.x86_64 2:3.4-5.el9", notices=("RLSA-2026:1",)),
        made.offer("a.x86_64 1-1", build_time=1_700_000_000),
    ],
    [NOTICE],
    manager=Manager.DNF,
)


@pytest.fixture
def nodes(aws):
    """A Debian node and one of Rocky Linux that have reported."""
    deb, rpm = aws.enrol(), aws.enrol()
    aws.run(aws.house.scan(deb, OUTDATED))
    aws.run(report(aws.house, rpm, ROCKY))
    return deb, rpm


async def report(house, node, view):
    """A Scan of a node of whatever operating system."""
    command = (await house.send(node))["CommandId"]
    await house.messages(node)
    system, product = view.facts.operating_system.value, view.facts.product
    body = {"CommandId": command, "StepName": "PatchLinux", "OperatingSystem": system, "Product": product}
    operation = (await house.ask("Patchwright.BeginOperation", body, key=node))["OperationId"]
    message = FactsMessage(operation, Phase.BEFORE, view.facts).to_json()
    if (await house.ask("Patchwright.PutFacts", message, key=node))["Next"] == "send-bodies":
        bodies = [{"Digest": digest, "Body": body.decode()} for digest, body in bodies_of(view).items()]
        await house.ask("Patchwright.PutBodies", {"OperationId": operation, "Bodies": bodies}, key=node)
        assert (await house.ask("Patchwright.PutFacts", message, key=node))["Next"] == "done"


def filters(**wanted):
    """Filters of a request, each with its values written as `a,b`."""
    return [{"Key": key, "Values": values.split(",")} for key, values in wanted.items()]


def available(ssm, page=100, **wanted):
    """The patches on all pages."""
    pages = ssm.get_paginator("describe_available_patches")
    found = pages.paginate(Filters=filters(**wanted), PaginationConfig={"PageSize": page})
    return [one for answer in found for one in answer["Patches"]]


def effective(ssm, baseline_id, page=100):
    """By title, what a baseline says, over all pages."""
    pages = ssm.get_paginator("describe_effective_patches_for_patch_baseline")
    found = pages.paginate(BaselineId=baseline_id, PaginationConfig={"PageSize": page})
    return {one["Patch"]["Title"]: one["PatchStatus"] for answer in found for one in answer["EffectivePatches"]}


def test_nothing_is_available_where_no_node_reported(ssm):
    """An empty list for everyone, of every system (spec §1.19)."""
    assert ssm.describe_available_patches()["Patches"] == []
    baseline_id = ssm.create_patch_baseline(Name="windows")["BaselineId"]
    answer = ssm.describe_effective_patches_for_patch_baseline(BaselineId=baseline_id)
    assert (answer["EffectivePatches"], "NextToken" in answer) == ([], False)


def test_an_rpm_patch_has_every_member_of_linux(ssm, nodes):
    """Name, epoch, version, release, architecture; notices, CVEs, bugs; who says so and when."""
    (found,) = available(ssm, PRODUCT="RockyLinux9.4", CVE_ID="CVE-2026-1")

    assert found == {
        "Title": "a.x86_64:2:3.4-5.el9",
        "Description": "a security update",
        "ReleaseDate": EPOCH_DAY,
        "Vendor": "Rocky Enterprise Software Foundation",
        "Product": "RockyLinux9.4",
        "Classification": "Security",
        "Severity": "Important",
        "AdvisoryIds": ["RLSA-2026:1"],
        "BugzillaIds": ["100", "200"],
        "CVEIds": ["CVE-2026-1", "CVE-2026-2"],
        "Name": "a",
        "Epoch": 2,
        "Version": "3.4",
        "Release": "5.el9",
        "Arch": "x86_64",
        "Repository": "updates",
    }
    (old,) = available(ssm, PRODUCT="RockyLinux9.4", VERSION="1")
    assert (old["Classification"], old["Severity"], old["AdvisoryIds"], old["Epoch"]) == ("", "", [], 0)
    assert old["ReleaseDate"] == datetime.datetime(2023, 11, 14, tzinfo=datetime.UTC)


def test_a_debian_patch_says_what_its_archive_says(ssm, nodes):
    """Severity is the priority; there is no date (spec §2.4, §2.5)."""
    (found,) = available(ssm, PRODUCT="Debian12", NAME="foo", REPOSITORY="bookworm-security")

    assert found == {
        "Title": "foo.amd64:1.0-1+deb12u1",
        "Vendor": "Debian",
        "Product": "Debian12",
        "Classification": "Security",
        "Severity": "Optional",
        "AdvisoryIds": [],
        "BugzillaIds": [],
        "CVEIds": [],
        "Name": "foo",
        "Epoch": 0,
        "Version": "1.0",
        "Release": "1+deb12u1",
        "Arch": "amd64",
        "Repository": "bookworm-security",
    }


def test_every_page_size_gives_every_patch_once(ssm, nodes):
    """Without filters it is everything; a patch set of Windows is nothing."""
    whole = available(ssm)
    assert len(whole) == 7
    for size in (1, 3, 6, 7):
        assert available(ssm, page=size) == whole
    assert available(ssm, PATCH_SET="OS") == available(ssm, PATCH_ID="KB4480979") == []
    assert available(ssm, PRODUCT="WindowsServer2019", MSRC_SEVERITY="Critical") == []
    assert available(ssm, CLASSIFICATION="SecurityUpdates") == available(ssm, PRODUCT_FAMILY="Windows") == []


def test_another_region_is_offered_nothing_of_it(aws, nodes):
    """Catalogues belong to an account and region."""
    assert available(aws.client(region="eu-test-9")) == []


@pytest.mark.parametrize(
    "wanted",
    [
        *({key: "x"} for key in ("NAME", "SEVERITY", "EPOCH", "VERSION", "RELEASE", "ARCH", "REPOSITORY")),
        *({key: "x"} for key in ("ADVISORY_ID", "CVE_ID", "BUGZILLA_ID", "PRIORITY", "SECTION")),
        {"PRODUCT": "Debian12", "COLOUR": "red"},
        {"PRODUCT": "Debian12", "name": "foo"},
        {"PATCH_SET": "BOTH"},
        {"PRODUCT": "Debian12", "NAME": "foo", "PATCH_ID": "KB1"},
    ],
)
def test_a_question_that_is_none_is_refused(ssm, wanted):
    """Filters on Linux patches need PRODUCT; keys are as documented (spec §1.19)."""
    assert refusal(ssm.describe_available_patches, Filters=filters(**wanted))[0] == "ValidationException"


def test_requests_beyond_the_model_are_refused(ssm):
    """Too many filters, none at all in one, pages that are none, tokens of nobody's or of another question."""
    call = ssm.describe_available_patches
    product = {"Key": "PRODUCT", "Values": ["Debian12"]}
    for arguments in (
        {"Filters": [product] * 6},
        {"Filters": [{"Key": "PRODUCT"}]},
        {"Filters": [{"Key": "PRODUCT", "Values": []}]},
        {"Filters": [{"Key": "PRODUCT", "Values": ["x"] * 101}]},
        {"MaxResults": 0},
        {"MaxResults": 101},
        {"NextToken": "AAAA"},
    ):
        assert refusal(call, **arguments)[0] == "ValidationException"


def test_a_token_is_good_for_its_own_question_only(ssm, nodes):
    """And goes on where the page ended."""
    token = ssm.describe_available_patches(MaxResults=1)["NextToken"]

    assert ssm.describe_available_patches(MaxResults=1, NextToken=token)["Patches"] == available(ssm)[1:2]
    other = {"NextToken": token, "Filters": filters(PRODUCT="Debian12")}
    assert refusal(ssm.describe_available_patches, **other)[0] == "ValidationException"


def test_a_baseline_says_what_is_and_what_will_be_approved(ssm, nodes):
    """All four standings, with the rule's level and the day (spec §1.1, feature 61)."""
    rules = [
        {"PatchFilterGroup": {"PatchFilters": []}, "ApproveAfterDays": 360, "ComplianceLevel": "HIGH"},
        {
            "PatchFilterGroup": {"PatchFilters": [{"Key": "SEVERITY", "Values": ["Low"]}]},
            "ApproveAfterDays": 0,
            "ComplianceLevel": "CRITICAL",
        },
    ]
    given = {"Name": "rocky", "OperatingSystem": "ROCKY_LINUX", "ApprovalRules": {"PatchRules": rules[:1]}}
    waiting = ssm.create_patch_baseline(**given)["BaselineId"]

    assert effective(ssm, waiting) == {
        "a.x86_64:2:3.4-5.el9": {
            "DeploymentStatus": "PENDING_APPROVAL",
            "ComplianceLevel": "HIGH",
            "ApprovalDate": EPOCH_DAY + datetime.timedelta(days=360),
        }
    }
    rules[0]["ApproveAfterDays"] = 7
    ssm.update_patch_baseline(BaselineId=waiting, ApprovalRules={"PatchRules": rules})
    assert effective(ssm, waiting) == {
        "a.x86_64:2:3.4-5.el9": {
            "DeploymentStatus": "APPROVED",
            "ComplianceLevel": "HIGH",
            "ApprovalDate": EPOCH_DAY + datetime.timedelta(days=7),
        }
    }
    ssm.update_patch_baseline(BaselineId=waiting, ApprovedPatches=["CVE-2026-1"], ApprovedPatchesComplianceLevel="LOW")
    assert effective(ssm, waiting)["a.x86_64:2:3.4-5.el9"] == {
        "DeploymentStatus": "EXPLICIT_APPROVED",
        "ComplianceLevel": "HIGH",
    }
    ssm.update_patch_baseline(BaselineId=waiting, RejectedPatches=["a-*"])
    assert {title: one["DeploymentStatus"] for title, one in effective(ssm, waiting).items()} == {
        "a.x86_64:0:1-1": "EXPLICIT_REJECTED",
        "a.x86_64:2:3.4-5.el9": "EXPLICIT_REJECTED",
    }


def test_predefined_baselines_answer_for_linux_too(ssm, nodes):
    """By ARN; on pages of any size."""
    arn = ssm.get_default_patch_baseline(OperatingSystem="DEBIAN")["BaselineId"]

    whole = effective(ssm, arn)

    assert whole == {
        title: {"DeploymentStatus": "APPROVED", "ComplianceLevel": "UNSPECIFIED"}
        for title in ("bar.amd64:2.0-1+deb12u1", "foo.amd64:1.0-1+deb12u1")
    }
    assert effective(ssm, arn, page=1) == whole
    first = ssm.describe_effective_patches_for_patch_baseline(BaselineId=arn, MaxResults=1)
    other = {"BaselineId": create(ssm), "NextToken": first["NextToken"]}
    assert refusal(ssm.describe_effective_patches_for_patch_baseline, **other)[0] == "ValidationException"


def test_odd_packages_do_not_break_the_catalogue(aws, ssm):
    """Whatever names and versions a repository has, the answer can be read and paged through."""
    names = ["x+y", "z" * 200, "ä", "[a]", "{}", '"q"', "%s", "a/b"]
    offers = [f"{name} 99999999999999999999:1~rc-1-2" for name in names]
    view = debian([f"{name} 1" for name in names], security=offers, product="a/b/c")
    aws.run(report(aws.house, aws.enrol(), view))

    found = available(ssm, page=1)

    assert {one["Name"] for one in found} >= set(names)
    assert json.dumps(available(ssm, PRODUCT="a/b/c"), default=str) == json.dumps(found, default=str)
    odd = next(one for one in found if one["Name"] == "ä" and "Epoch" not in one)
    assert (odd["Version"], odd["Release"]) == ("1~rc-1", "2")
