# SPDX-License-Identifier: Apache-2.0
"""What is told of parameters (spec §7.7): that they changed, never what they say. Units of work."""

from __future__ import annotations

from patchwright.server import events
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork
from patchwright.server.parameters.model import Parameter
from patchwright.server.parameters.names import arn
from patchwright.server.parameters.policies import EXPIRATION, kind

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


def expired(scope: Scope, gone: Parameter, *, now: float) -> UnitOfWork[None]:
    """A parameter was deleted since its time had come: what its policy of type Expiration did."""
    detail = {
        "policy-type": EXPIRATION,
        "policy-content": next(policy for policy in gone.policies if kind(policy) == EXPIRATION),
        "parameter-name": gone.name,
        "parameter-type": gone.type,
        "parameter-description": gone.description,
        "action-status": "Success",
        "action-reason": "",
    }
    told = events.derived_id(gone.path, gone.version, EXPIRATION, now)
    resources = [arn(scope, gone.path)]
    yield from events.emit(scope, events.PARAMETER_POLICY, resources, detail, now=now, id=told, subject=gone.name)
