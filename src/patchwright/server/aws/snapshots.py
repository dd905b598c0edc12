# SPDX-License-Identifier: Apache-2.0
"""What links to baseline snapshots download (spec §1.19)."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from patchwright.server.aws.links import PATH, SnapshotLinks
from patchwright.server.aws.ssm.baselines import describe_definition
from patchwright.server.infra import InfraError
from patchwright.server.patching import Deployable, Snapshot, Snapshots

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class SnapshotDownloads:
    """`GET /snapshots/…`, plain ASGI: the baseline of a run as JSON."""

    def __init__(self, snapshots: Snapshots, links: SnapshotLinks) -> None:
        self._snapshots = snapshots
        self._links = links

    def serves(self, path: str) -> bool:
        """Whether *path* is one of a link."""
        return path.startswith(PATH)

    async def __call__(self, scope: Mapping[str, Any], send: Send) -> None:
        """Answer a GET or HEAD: 403 for a link that is none or has ended, 404 for what is no longer there."""
        status, answer = await self._answer(scope["path"], scope.get("query_string", b"").decode("latin-1"))
        body = json.dumps(answer).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"private, no-store"),  # sources may hold credentials
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _answer(self, path: str, query: str) -> tuple[int, dict[str, Any]]:
        asked = self._links.read(path, query)
        if asked is None:
            return 403, {"message": "The link is none of this server's, or its 24 hours are over: ask for another."}
        try:
            snapshot = await self._snapshots.content(*asked)
        except InfraError:
            return 503, {"message": "The database cannot be reached; try again."}
        if snapshot is None:
            return 404, {"message": "The snapshot is no longer kept: ask for another."}
        return 200, describe_snapshot(asked[1], snapshot)


def describe_snapshot(what: Deployable, snapshot: Snapshot) -> dict[str, Any]:
    """A snapshot as it is downloaded: the members of GetPatchBaseline, and which run, node and day they are for."""
    baseline = {"BaselineId": snapshot.baseline_id or None, **describe_definition(snapshot.definition)}
    return {
        "SnapshotId": what.snapshot_id,
        "InstanceId": what.instance_id,
        "PatchGroup": what.patch_group,
        "Product": what.product,
        "Day": snapshot.day.isoformat(),
        "PatchBaseline": _given(baseline),
    }


def _given(value: Any) -> Any:
    """*value* without members that are None, as the wire leaves them out."""
    if isinstance(value, dict):
        return {name: _given(member) for name, member in value.items() if member is not None}
    return [_given(one) for one in value] if isinstance(value, list) else value
