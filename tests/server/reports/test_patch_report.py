# SPDX-License-Identifier: Apache-2.0
"""The patch report: columns to the letter (spec §7.5), every node once, and no cell that a spreadsheet would run."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from patchwright.server import nodes
from patchwright.server.compliance import Execution
from patchwright.server.infra import Bucket, BucketRefused
from patchwright.server.infra.buckets import DirectoryBuckets
from patchwright.server.nodes import Machine, UnknownNode
from patchwright.server.reports import PatchReports
from patchwright.server.reports.patch_report import DETAIL_COLUMNS, SUMMARY_COLUMNS, harmless, to_csv
from server.compliance.desk import Desk, entry
from server.patching.bench import OUTDATED, RESTARTED

ALL_NODES = (
    "Index,Instance ID,Instance name,Instance IP,Platform name,Platform version,SSM Agent version,Patch baseline,"
    "Patch group,Compliance status,Compliance severity,Noncompliant Critical severity patch count,"
    "Noncompliant High severity patch count,Noncompliant Medium severity patch count,"
    "Noncompliant Low severity patch count,Noncompliant Informational severity patch count,"
    "Noncompliant Unspecified severity patch count"
)
ONE_NODE = (
    "Index,Instance ID,Instance name,Patch name,KB ID/Patch ID,Patch state,Last report time,Compliance level,"
    "Patch severity,Patch classification,CVE ID,Patch baseline,Logs URL,Instance IP,Platform name,Platform version,"
    "SSM Agent version"
)
MACHINE = Machine(
    computer_name="=cmd|' /C calc'!A0",
    platform_name="Debian GNU/Linux",
    platform_version="12",
    agent_version="0.1",
    ip_address="10.0.0.7",
)


@pytest.fixture
def desk(shared_database, scope):
    """Compliance and patching, once on each engine."""
    return Desk(shared_database, scope)


@pytest.fixture
def reports(desk, tmp_path):
    """The reports over them."""
    return PatchReports(desk.database, desk.bench.clock, desk.service, DirectoryBuckets(tmp_path))


async def everything(reports, scope, instance_id="", *, limit=500):
    """The rows of a whole report, read back."""
    text, after = "", None
    while True:
        if instance_id:
            page = await reports.of_one(scope, instance_id, after=after, limit=limit)
        else:
            page = await reports.of_all(scope, after=after, limit=limit)
        text, after = text + page.text, page.more
        if after is None:
            return list(csv.reader(io.StringIO(text, newline=""), strict=True))


async def test_a_report_is_written_to_a_bucket_whole(desk, reports, tmp_path, monkeypatch):
    """Under a name that tells whose it is and when it was; several pages are one object."""
    monkeypatch.setattr("patchwright.server.reports.patch_report._EXPORTED", 2)
    ids = [await desk.bench.enrol() for _ in range(3)]
    await desk.bench.scan(ids[0], OUTDATED)

    every = await reports.export(desk.scope, Bucket("audit", "us-east-1"), prefix="patches/")
    one = await reports.export(desk.scope, Bucket("audit", "us-east-1"), instance_id=ids[0])

    folder = f"patch-report/accountid={desk.scope.account}/region=us-east-1"
    assert every.key == f"patches/{folder}/2026-11-20T04-00-01Z.csv"
    assert one.key == f"{folder}/{ids[0]}-2026-11-20T04-00-01Z.csv"
    for made, rows in ((every, 4), (one, 6)):
        data = (tmp_path / "audit" / made.key).read_bytes()
        assert (len(data), data.count(b"\r\n")) == (made.size, rows)


async def test_what_cannot_be_written_leaves_nothing(desk, reports, tmp_path):
    """A bucket that is none, a prefix that leads out of it, a node that is none."""
    for bucket, prefix in (("Not A Bucket", ""), ("..", ""), ("audit", "../../etc"), ("audit", "a//b")):
        with pytest.raises(BucketRefused):
            await reports.export(desk.scope, Bucket(bucket, "us-east-1"), prefix=prefix)
    with pytest.raises(UnknownNode):
        await reports.export(desk.scope, Bucket("audit", "us-east-1"), instance_id="mi-00000000000000000")

    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_columns_are_those_of_aws():
    """Seventeen of each kind."""
    assert (",".join(SUMMARY_COLUMNS), ",".join(DETAIL_COLUMNS)) == (ALL_NODES, ONE_NODE)
    assert (len(SUMMARY_COLUMNS), len(DETAIL_COLUMNS)) == (17, 17)


async def test_every_node_has_a_row_and_one_that_never_reported_says_so(desk, reports):
    """In order of id, numbered from 1; whatever the size of a page."""
    ids = sorted([await desk.bench.enrol(group="web") for _ in range(5)])
    await desk.bench.scan(ids[1], OUTDATED)
    await desk.bench.scan(ids[3], RESTARTED)
    await desk.put(ids[4], "Patch", entry("KB1", "NON_COMPLIANT", "CRITICAL"), entry("KB2", "NON_COMPLIANT", "LOW"))
    await desk.put(ids[0], "Custom:AV", entry("a", "NON_COMPLIANT", "HIGH"))  # is no patch

    rows = await everything(reports, desk.scope)

    assert rows[0] == list(SUMMARY_COLUMNS)
    assert [(row[0], row[1]) for row in rows[1:]] == [(str(n), one) for n, one in enumerate(ids, start=1)]
    assert [row[9:] for row in rows[1:]] == [
        ["NEVER_REPORTED", "", "0", "0", "0", "0", "0", "0"],
        ["NON_COMPLIANT", "UNSPECIFIED", "0", "0", "0", "0", "0", "2"],
        ["NEVER_REPORTED", "", "0", "0", "0", "0", "0", "0"],
        ["COMPLIANT", "UNSPECIFIED", "0", "0", "0", "0", "0", "0"],
        ["NON_COMPLIANT", "CRITICAL", "1", "0", "0", "1", "0", "0"],
    ]
    assert (rows[2][7].endswith("pb-09a5f8eb62bde80b1"), rows[2][8]) == (True, "web")
    for limit in (1, 2, 5):
        assert await everything(reports, desk.scope, limit=limit) == rows


async def test_one_node_has_its_summary_and_a_row_for_each_patch(desk, reports):
    """The same of each size of page; what comes from the node is text."""
    node = await desk.bench.enrol()
    await nodes.Service(desk.database, desk.bench.clock).ping(desk.scope, node, MACHINE)
    await desk.bench.scan(node, OUTDATED)

    rows = await everything(reports, desk.scope, node)

    assert rows[0] == list(SUMMARY_COLUMNS)
    assert rows[1][:7] == ["1", node, "'=cmd|' /C calc'!A0", "10.0.0.7", "Debian GNU/Linux", "12", "0.1"]
    assert rows[2] == list(DETAIL_COLUMNS)
    assert [row[0] for row in rows[3:]] == ["1", "2", "3"]
    told = dict(zip(DETAIL_COLUMNS, rows[4], strict=True))
    assert told == {
        "Index": "2",
        "Instance ID": node,
        "Instance name": "'=cmd|' /C calc'!A0",
        "Patch name": "foo.amd64:1.0-1+deb12u1",
        "KB ID/Patch ID": "foo.amd64",
        "Patch state": "Missing",
        "Last report time": "2026-11-20T04:00:01Z",
        "Compliance level": "UNSPECIFIED",
        "Patch severity": "Optional",
        "Patch classification": "Security",
        "CVE ID": "",
        "Patch baseline": rows[1][7],
        "Logs URL": "",
        "Instance IP": "10.0.0.7",
        "Platform name": "Debian GNU/Linux",
        "Platform version": "12",
        "SSM Agent version": "0.1",
    }
    for limit in (1, 2, 3):
        assert await everything(reports, desk.scope, node, limit=limit) == rows


async def test_patches_put_by_hand_are_told_as_they_were_put(desk, reports):
    """Whatever they say of themselves, and of whatever time."""
    node = await desk.bench.enrol()
    given = entry("KB1", "NON_COMPLIANT", "HIGH", PatchState="@home", CVEIds="CVE-1,CVE-2", PatchBaselineId="pb-x")
    await desk.put(node, "Patch", given, entry("KB2"), execution=Execution(-62135596800.0))

    rows = await everything(reports, desk.scope, node)

    told = dict(zip(DETAIL_COLUMNS, rows[3], strict=True))
    assert (told["Patch name"], told["KB ID/Patch ID"], told["Patch state"]) == ("title of KB1", "KB1", "'@home")
    assert (told["Last report time"], told["CVE ID"]) == ("0001-01-01T00:00:00Z", "CVE-1,CVE-2")
    assert (told["Compliance level"], told["Patch baseline"]) == ("HIGH", "pb-x")
    assert rows[4][5:7] == ["", "0001-01-01T00:00:00Z"]


async def test_a_node_without_patches_has_its_summary_alone(desk, reports):
    """And a node that is none, or somebody else's, is refused."""
    node = await desk.bench.enrol()

    rows = await everything(reports, desk.scope, node)

    assert (rows[0], rows[1][9], rows[2:]) == (list(SUMMARY_COLUMNS), "NEVER_REPORTED", [list(DETAIL_COLUMNS)])
    for scope in (desk.bench.elsewhere, desk.bench.stranger):
        assert await everything(reports, scope) == [list(SUMMARY_COLUMNS)]
        with pytest.raises(UnknownNode):
            await reports.of_one(scope, node, limit=9)


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1", "＠x"])
def test_what_a_spreadsheet_would_run_is_text(cell):
    """Also behind white space, and in wide letters."""
    assert harmless(cell) == f"'{cell}"


@settings(max_examples=100, derandomize=True, database=None)
@given(st.lists(st.lists(st.text(max_size=12), min_size=2, max_size=4), max_size=4))
def test_rows_are_read_back_as_they_were_written(rows):
    """Quotes, commas, ends of lines, any script; every record ends with CR LF."""
    text = to_csv(rows)

    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == [
        [harmless(cell) for cell in row] for row in rows
    ]
    assert not text or text.endswith("\r\n")
    assert not any(
        cell[:1] in {"=", "+", "-", "@"} for row in csv.reader(io.StringIO(text, newline="")) for cell in row
    )
