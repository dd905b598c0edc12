# SPDX-License-Identifier: Apache-2.0
"""What a document's patch step is to do, once its parameters are filled in. Documents have many authors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Dict, Mapping

from patchwright.core.compliance import Operation
from patchwright.core.errors import InvalidParameters
from patchwright.core.protocol import RebootOption

_UUID = re.compile(r"([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})?\Z")
_FILE = re.compile(r"(https://[\x21-\x7e]+|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/[\x21-\x7e]+)?\Z")
FILE_LIMIT = 2_048  # characters of a URL
INSTALL_OVERRIDE_LIST, BASELINE_OVERRIDE = "InstallOverrideList", "BaselineOverride"


@dataclass(frozen=True)
class PatchStep:
    """
    *snapshot_id* is empty where the command's id is meant (design D13); *install_override_list* and *baseline_override* are
    URLs, `https://…` or `s3://bucket/key`, empty where there is none.
    """

    operation: Operation
    snapshot_id: str = ""
    reboot_option: RebootOption = RebootOption.REBOOT_IF_NEEDED
    install_override_list: str = ""
    baseline_override: str = ""
    association_id: str = ""

    @property
    def files(self) -> Dict[str, str]:
        """The URLs of the files that decide this step, by parameter; a Scan heeds no list (spec §3.6)."""
        listed = self.install_override_list if self.operation is Operation.INSTALL else ""
        given = {INSTALL_OVERRIDE_LIST: listed, BASELINE_OVERRIDE: self.baseline_override}
        return {name: url for name, url in given.items() if url}

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
        snapshot_id, association_id = inputs.get("SnapshotId", ""), inputs.get("AssociationId", "")
        option = inputs.get("RebootOption", RebootOption.REBOOT_IF_NEEDED.value)
        if operation not in operations:
            raise InvalidParameters("the Operation of step {} is one of {}".format(name, ", ".join(operations)))
        for what, value in (("SnapshotId", snapshot_id), ("AssociationId", association_id)):
            if not isinstance(value, str) or not _UUID.match(value):
                raise InvalidParameters(f"the {what} of step {name} is a UUID or empty")
        if option not in options:
            raise InvalidParameters("the RebootOption of step {} is one of {}".format(name, ", ".join(options)))
        return cls(
            Operation(operation),
            snapshot_id,
            RebootOption(option),
            install_override_list=_url(name, INSTALL_OVERRIDE_LIST, inputs),
            baseline_override=_url(name, BASELINE_OVERRIDE, inputs),
            association_id=association_id,
        )


def _url(name: str, what: str, inputs: Mapping[str, Any]) -> str:
    value = inputs.get(what, "")
    if not isinstance(value, str) or len(value) > FILE_LIMIT or not _FILE.match(value):
        raise InvalidParameters(f"the {what} of step {name} is https://…, s3://bucket/key or empty")
    return value
