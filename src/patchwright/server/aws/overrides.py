# SPDX-License-Identifier: Apache-2.0
"""BaselineOverride (spec §3.6): a file of baselines in the API's shape, read by the API's own model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from patchwright.core.errors import MalformedBaseline, MalformedOverride
from patchwright.core.system import OperatingSystem
from patchwright.server.aws.ssm.baselines import apply, blank
from patchwright.server.patching import Definition, GivenBaseline
from patchwright.server.wire import ApiError, Models

_ENTRIES_LIMIT = 100
_NAME = "BaselineOverride"
_TARGET = "AmazonSSM.GetDeployablePatchSnapshotForInstance"  # the one operation that takes a baseline as a value
_AROUND = {"InstanceId": "mi-00000000000000000", "SnapshotId": "00000000-0000-0000-0000-000000000000"}


class BaselineFiles:
    """Reads what a node fetched from the URL that BaselineOverride names."""

    def __init__(self, models: Models) -> None:
        operation = models.operation(_TARGET)
        assert operation is not None  # noqa: S101 - a target of botocore's own
        self._operation = operation

    def read(self, text: str) -> dict[OperatingSystem, GivenBaseline]:
        """The baselines by operating system. Raises MalformedOverride, which names the entry."""
        try:
            rows = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            msg = f"it is no JSON: {error}"
            raise MalformedOverride(msg[:300]) from None
        if not isinstance(rows, list) or not 1 <= len(rows) <= _ENTRIES_LIMIT:
            msg = f"it is no array of 1 to {_ENTRIES_LIMIT} baselines"
            raise MalformedOverride(msg)
        found: dict[OperatingSystem, GivenBaseline] = {}
        for number, row in enumerate(rows, 1):
            try:
                given = self._baseline(row)
            except (ApiError, MalformedBaseline) as error:
                msg = f"entry {number}: {getattr(error, 'message', error)}"
                raise MalformedOverride(msg[:2000]) from None
            system = given.definition.baseline.operating_system
            if system in found:
                msg = f"entry {number} is a second one for {system.value}"
                raise MalformedOverride(msg)
            found[system] = given
        return found

    def _baseline(self, row: Any) -> GivenBaseline:
        if not isinstance(row, dict):
            msg = "it is no object"
            raise MalformedBaseline(msg)
        request: Mapping[str, Any] = self._operation.parse(msgspec.json.encode({**_AROUND, _NAME: row}))
        read = request.get(_NAME, {})
        name, identity = row.get("Name"), row.get("BaselineId")
        made = blank(name[:128] if isinstance(name, str) and name else _NAME, read.get("OperatingSystem", "WINDOWS"))
        definition: Definition = apply(made, read)
        return GivenBaseline(identity if isinstance(identity, str) else "", definition)
