# SPDX-License-Identifier: Apache-2.0
"""What is told of parameters (spec §7.7): that they changed, never what they say. Units of work."""

from __future__ import annotations

from patchwright.server import events
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork
from patchwright.server.parameters.model import Parameter
from patchwright.server.parameters.names import arn

CREATE, UPDATE, DELETE, LABEL = "Create", "Update", "Delete", "LabelParameterVersion"


def parameter(
    scope: Scope, changed: Parameter, operation: str, *, now: float, labels: tuple[str, ...] = ()
) -> UnitOfWork[None]:
    """*operation* was done to a parameter; *labels*, which tell two of the same moment apart, are not told."""
    detail = {
        "operation": operation,
        "name": changed.name,
        "type": changed.type,
        "description": changed.description,
    }
    told = events.derived_id(changed.path, changed.version, operation, now, *labels)
    resources = [arn(scope, changed.path)]
    yield from events.emit(scope, events.PARAMETER, resources, detail, now=now, id=told, subject=changed.name)
