# SPDX-License-Identifier: Apache-2.0
"""GetDeployablePatchSnapshotForInstance (spec §1.3, §1.19): the baseline of a run, frozen, for the node or a user."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from patchwright.core.system import OperatingSystem
from patchwright.server.aws.links import SnapshotLinks
from patchwright.server.aws.members import require_self
from patchwright.server.aws.services import Services
from patchwright.server.aws.ssm.baselines import apply, blank
from patchwright.server.patching import Definition, Snapshots
from patchwright.server.wire import ApiError, Caller, Handler

_NAME = "BaselineOverride"


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    snapshots = SnapshotOperations(services.snapshots, services.snapshot_links)
    return {"AmazonSSM.GetDeployablePatchSnapshotForInstance": snapshots.get_deployable_patch_snapshot}


class SnapshotOperations:
    """One method per operation."""

    def __init__(self, snapshots: Snapshots, links: SnapshotLinks) -> None:
        self._snapshots = snapshots
        self._links = links

    async def get_deployable_patch_snapshot(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetDeployablePatchSnapshotForInstance. Nodes ask for themselves; UseS3DualStackEndpoint changes nothing."""
        require_self(caller, request["InstanceId"])
        instance_id, given = request["InstanceId"], request.get("BaselineOverride")
        override = None if given is None else partial(_override, given, instance_id)
        found = await self._snapshots.deploy(caller.scope, instance_id, request["SnapshotId"], override)
        return {
            "InstanceId": found.instance_id,
            "SnapshotId": found.snapshot_id,
            "Product": found.product,
            "SnapshotDownloadUrl": self._links.link(caller.scope, found),
        }


def _override(given: Mapping[str, Any], instance_id: str, system: OperatingSystem) -> Definition:
    """The baseline that *given* is. Raises ApiError where it is for another operating system than the node's."""
    wanted = given.get("OperatingSystem", system.value)
    if wanted != system.value:
        raise ApiError(
            "UnsupportedOperatingSystem", f"The override is for {wanted}, and {instance_id} runs {system.value}."
        )
    return apply(blank(_NAME, system.value), given)
