# SPDX-License-Identifier: Apache-2.0
"""GetDeployablePatchSnapshotForInstance and what its link downloads (spec §1.3, §1.19)."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.config import Config

from server.aws.test_baselines import RULES, create, refusal
from server.patching.bench import OUTDATED

RUN, OTHER = "11111111-2222-3333-4444-555555555555", "11111111-2222-3333-4444-666666666666"


@pytest.fixture
def node(aws):
    """A Debian node of the group `web` that has reported."""
    found = aws.enrol(tags={"Patch Group": "web"})
    aws.run(aws.house.scan(found, OUTDATED))
    return found


def ask(ssm, node, snapshot_id=RUN, **more):
    """The answer."""
    return ssm.get_deployable_patch_snapshot_for_instance(InstanceId=node.instance_id, SnapshotId=snapshot_id, **more)


def fetch(url, method="GET"):
    """Status, headers and body of a download."""
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def local(aws, url):
    """The link, where the test's server listens."""
    return aws.server.url + "/" + url.split("/", 3)[3]


def content(aws, answer):
    """What a link downloads, as JSON."""
    status, headers, body = fetch(local(aws, answer["SnapshotDownloadUrl"]))
    assert (status, headers["content-type"]) == (200, "application/json")
    return json.loads(body)


def test_the_answer_is_as_aws_writes_it(aws, ssm, node):
    """What was asked for, the product, and a link for a day."""
    answer = ask(ssm, node)

    assert (answer["InstanceId"], answer["SnapshotId"], answer["Product"]) == (node.instance_id, RUN, "Debian12")
    link = urlsplit(answer["SnapshotDownloadUrl"])
    assert link.scheme in {"http", "https"}
    assert parse_qs(link.query)["X-Amz-Expires"] == ["86400"]


def test_the_link_downloads_the_baseline(aws, ssm, node):
    """The members of GetPatchBaseline, and what it is for."""
    mine = create(ssm, ApprovalRules=RULES, RejectedPatches=["foo"], Description="for the web")
    ssm.register_patch_baseline_for_patch_group(BaselineId=mine, PatchGroup="web")

    found = content(aws, ask(ssm, node))

    baseline = ssm.get_patch_baseline(BaselineId=mine)
    for name in ("ResponseMetadata", "CreatedDate", "ModifiedDate", "PatchGroups"):
        baseline.pop(name)
    assert found.pop("PatchBaseline") == baseline
    day = found.pop("Day")
    assert len(day) == 10
    assert found == {
        "SnapshotId": RUN,
        "InstanceId": node.instance_id,
        "PatchGroup": "web",
        "Product": "Debian12",
    }


def test_the_same_id_is_the_same_content_whatever_happens_to_the_baseline(aws, ssm, node):
    """Changed, deregistered, deleted; another id is what is true now (spec §13.1, case 5)."""
    mine = create(ssm, RejectedPatches=["foo"])
    ssm.register_patch_baseline_for_patch_group(BaselineId=mine, PatchGroup="web")
    first = content(aws, ask(ssm, node))

    ssm.update_patch_baseline(BaselineId=mine, RejectedPatches=["bar"])
    assert content(aws, ask(ssm, node)) == first
    assert content(aws, ask(ssm, node, OTHER))["PatchBaseline"]["RejectedPatches"] == ["bar"]
    ssm.deregister_patch_baseline_for_patch_group(BaselineId=mine, PatchGroup="web")
    ssm.delete_patch_baseline(BaselineId=mine)
    assert content(aws, ask(ssm, node)) == first


def test_a_node_asks_for_itself_and_nobody_else(aws, node):
    """With its own key (spec §11)."""
    other = aws.enrol()
    config = Config(retries={"total_max_attempts": 1})
    keys = {"aws_access_key_id": node.access_key_id, "aws_secret_access_key": node.secret}
    own = boto3.client("ssm", endpoint_url=aws.server.url, region_name=aws.region, config=config, **keys)

    assert content(aws, ask(own, node))["PatchGroup"] == "web"
    assert refusal(ask, ssm=own, node=other)[0] == "AccessDeniedException"


def test_a_given_baseline_is_used_and_not_stored(aws, ssm, node):
    """With the same defaults as a stored one; sources and all."""
    given = {
        "OperatingSystem": "DEBIAN",
        "ApprovalRules": RULES,
        "RejectedPatches": ["foo"],
        "RejectedPatchesAction": "BLOCK",
        "Sources": [{"Name": "ours", "Products": ["*"], "Configuration": "deb https://u:secret@example.org x main"}],
    }

    found = content(aws, ask(ssm, node, BaselineOverride=given, UseS3DualStackEndpoint=True))["PatchBaseline"]

    assert "BaselineId" not in found
    assert {name: found[name] for name in given if name != "ApprovalRules"} == {
        name: value for name, value in given.items() if name != "ApprovalRules"
    }
    assert found["ApprovalRules"]["PatchRules"][0]["ApproveAfterDays"] == 7
    assert found["ApprovedPatches"] == []
    own = [{"Key": "OWNER", "Values": ["Self"]}]
    assert ssm.describe_patch_baselines(Filters=own)["BaselineIdentities"] == []
    plain = content(aws, ask(ssm, node))["PatchBaseline"]
    assert plain["Name"] == "AWS-DebianDefaultPatchBaseline"
    assert "secret" not in ask(ssm, node, BaselineOverride=given)["SnapshotDownloadUrl"]


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ({"OperatingSystem": "WINDOWS"}, "UnsupportedOperatingSystem"),
        ({"OperatingSystem": "UBUNTU"}, "UnsupportedOperatingSystem"),
        ({"OperatingSystem": "BEOS"}, "ValidationException"),
        ({"ApprovalRules": {"PatchRules": [{"PatchFilterGroup": {"PatchFilters": []}}]}}, "ValidationException"),
        ({"ApprovedPatches": ["x"] * 51}, "ValidationException"),
        ({"AvailableSecurityUpdatesComplianceStatus": "COMPLIANT"}, "ValidationException"),
    ],
)
def test_a_given_baseline_that_cannot_be_is_refused(aws, ssm, node, override, code):
    """And nothing is frozen."""
    before = aws.run(aws.house.dump())

    assert refusal(ask, ssm=ssm, node=node, BaselineOverride=override)[0] == code
    assert aws.run(aws.house.dump()) == before


def test_what_cannot_be_asked_for_is_refused(aws, ssm, node):
    """Unknown nodes, nodes of systems nobody knows, ids that are none."""
    silent = aws.enrol()
    for instance_id, snapshot_id, code in (
        ("mi-00000000000000000", RUN, "InvalidInstanceId"),
        ("i-12345678", RUN, "InvalidInstanceId"),
        ("nonsense", RUN, "ValidationException"),
        (node.instance_id, "nonsense", "ValidationException"),
        (node.instance_id, "", "ValidationException"),
        (silent.instance_id, RUN, "UnsupportedOperatingSystem"),
    ):
        call = ssm.get_deployable_patch_snapshot_for_instance
        assert refusal(call, InstanceId=instance_id, SnapshotId=snapshot_id)[0] == code
    with pytest.raises(ssm.exceptions.UnsupportedOperatingSystem):
        ask(ssm, silent)


def test_a_link_is_good_for_what_it_says_and_for_nothing_else(aws, ssm, node):
    """Changed in any way, or without its signature, it downloads nothing."""
    url = local(aws, ask(ssm, node)["SnapshotDownloadUrl"])
    path, _, query = url.partition("?")
    start, _, said = path.rpartition("/")
    signature = parse_qs(query)["X-Amz-Signature"][0]
    rows = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))
    rows[1] = "eu-west-1"
    forged = base64.urlsafe_b64encode(json.dumps(rows, separators=(",", ":")).encode()).decode().rstrip("=")

    assert fetch(url)[0] == 200
    for wrong in (
        path,
        f"{path}?X-Amz-Signature=",
        f"{path}?X-Amz-Signature={signature[:-1]}",
        f"{path}?X-Amz-Signature={signature[:-1]}{'1' if signature[-1] == '0' else '0'}",
        f"{path}?X-Amz-Signature=%C3%A4%00",
        f"{start}/{forged}?{query}",
        f"{start}/?{query}",
        f"{start}/{'A' * 5000}?{query}",
        f"{start}/%C3%A4?{query}",
        f"{path}A?{query}",
    ):
        status, _, body = fetch(wrong)
        assert status == 403, wrong
        assert set(json.loads(body)) == {"message"}


def test_a_link_ends_after_a_day_and_another_can_be_had(aws, ssm, node, monkeypatch):
    """24 hours to the second (spec §1.19)."""
    url = local(aws, ask(ssm, node)["SnapshotDownloadUrl"])
    ends = json.loads(base64.urlsafe_b64decode(urlsplit(url).path.rpartition("/")[2] + "=="))[-1]
    clock = type(aws.house.clock)

    monkeypatch.setattr(clock, "now", lambda _: ends - 1.0)
    assert fetch(url)[0] == 200
    monkeypatch.setattr(clock, "now", lambda _: float(ends))
    assert fetch(url)[0] == 403
    monkeypatch.undo()
    assert fetch(local(aws, ask(ssm, node)["SnapshotDownloadUrl"]))[0] == 200


def test_downloads_are_not_kept_by_anyone(aws, ssm, node):
    """Sources may hold credentials; HEAD has the same headers and no body."""
    url = local(aws, ask(ssm, node)["SnapshotDownloadUrl"])

    _, headers, body = fetch(url)
    _, head, nothing = fetch(url, "HEAD")

    assert headers["cache-control"] == "private, no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert (head["content-length"], nothing) == (str(len(body)), b"")
