# SPDX-License-Identifier: Apache-2.0
"""What a document's patch step is to do, once its parameters are filled in. Documents have many authors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Mapping

from patchwright.core.compliance import Operation
from patchwright.core.errors import InvalidParameters
from patchwright.core.protocol import RebootOption

_SNAPSHOT = re.compile(r"([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})?\Z")


@dataclass(frozen=True)
class PatchStep:
    """*snapshot_id* is empty where the command's id is meant (design D13)."""

    operation: Operation
    snapshot_id: str = ""
    reboot_option: RebootOption = RebootOption.REBOOT_IF_NEEDED

    @classmethod
    def read(cls, name: str, inputs: Mapping[str, Any]) -> PatchStep:
        """
        The step called *name* with these inputs; all but Operation may be left out.

        Raises:
            InvalidParameters: An input is none that a patch step takes.
        """
        operations = [one.value for one in Operation]
        options = [one.value for one in RebootOption]
        operation = inputs.get("Operation")
        snapshot_id = inputs.get("SnapshotId", "")
        option = inputs.get("RebootOption", RebootOption.REBOOT_IF_NEEDED.value)
        if operation not in operations:
            raise InvalidParameters("the Operation of step {} is one of {}".format(name, ", ".join(operations)))
        if not isinstance(snapshot_id, str) or not _SNAPSHOT.match(snapshot_id):
            raise InvalidParameters(f"the SnapshotId of step {name} is a UUID or empty")
        if option not in options:
            raise InvalidParameters("the RebootOption of step {} is one of {}".format(name, ", ".join(options)))
        return cls(Operation(operation), snapshot_id, RebootOption(option))
