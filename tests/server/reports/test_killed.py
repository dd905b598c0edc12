# SPDX-License-Identifier: Apache-2.0
"""A worker that is killed while it writes: nothing is half written, and another one finishes."""

from __future__ import annotations

import json

from patchwright.server.config import Quotas
from patchwright.server.infra import SystemClock, open_buckets, open_database
from patchwright.server.inventory import Service
from patchwright.server.reports import TO_DESTINATION, Syncs, Writer
from server.clocks import FakeClock
from server.nodes.made import enrol_many
from server.reports.killed_sync import kill_in_the_middle

NODES = 220


def objects(root):
    """The objects that are there."""
    return sorted(path for path in root.rglob("*.json") if path.is_file())


async def begin(database, scope, root):
    """Nodes, and a sync that is due."""
    clock = SystemClock()
    many = await enrol_many(database, clock, scope, NODES)
    destination = {"BucketName": "bucket", "SyncFormat": "JsonSerDe", "Region": "us-east-1"}
    syncs = Syncs(database, clock, Quotas(), open_buckets(root, None, clock))
    await syncs.create(scope, "sync", kind=TO_DESTINATION, destination=destination, source=None)
    return many, syncs


async def test_a_worker_that_is_killed_leaves_whole_objects_and_a_run_that_goes_on(database_url, scope, tmp_path):
    """On both engines; the one who goes on begins where the dead one was, not from the start."""
    root = tmp_path / "buckets"
    database = await open_database(database_url, data_dir=tmp_path)
    many, syncs = await begin(database, scope, root)
    await database.close()

    await kill_in_the_middle(database_url, root, lambda: len(objects(root)) >= NODES // 4)

    before = {path: path.stat().st_mtime_ns for path in objects(root)}
    assert NODES // 4 <= len(before) < NODES
    database = await open_database(database_url, data_dir=tmp_path)
    clock = FakeClock(SystemClock().now() + 121)
    inventory = Service(database, clock, Quotas(), online_seconds=660.0)
    assert await Writer(database, clock, open_buckets(root, None, clock), inventory).run_due() == 1
    syncs = Syncs(database, clock, Quotas(), open_buckets(root, None, clock))
    (sync,), _ = await syncs.listed(scope, kind=None, after="", limit=9)
    await database.close()

    assert sync.state == "Successful"
    after = objects(root)
    assert [path.stem for path in after] == many
    for path in after:
        (line,) = [json.loads(text) for text in path.read_text().splitlines()]
        assert line["resourceId"] == path.stem
    again = [path for path, moment in before.items() if path.stat().st_mtime_ns != moment]
    assert len(again) <= 50  # the nodes of one page
