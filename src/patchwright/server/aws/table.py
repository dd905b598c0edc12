# SPDX-License-Identifier: Apache-2.0
"""Which function serves which operation: each module of operations says it for its own."""

from __future__ import annotations

from collections.abc import Mapping

from patchwright.server.aws import (
    accounts,
    audit,
    calendar_feeds,
    events,
    forecast,
    outputs,
    patchwright,
    reports,
    schedules,
)
from patchwright.server.aws.iam import attachments, identities, keys, managed_policies, simulation, user_groups
from patchwright.server.aws.services import Services
from patchwright.server.aws.ssm import (
    activations,
    baselines,
    catalogue,
    commands,
    compliance,
    document_lists,
    documents,
    fleet,
    groups,
    inventory,
    nodes,
    parameters,
    policies,
    settings,
    snapshots,
    states,
    sync,
    tags,
    window_contents,
    window_executions,
    windows,
)
from patchwright.server.aws.sts import sessions
from patchwright.server.wire import Handler

MODULES = (
    activations,
    baselines,
    catalogue,
    commands,
    compliance,
    document_lists,
    documents,
    fleet,
    groups,
    inventory,
    nodes,
    parameters,
    policies,
    settings,
    snapshots,
    states,
    sync,
    tags,
    window_contents,
    window_executions,
    windows,
    attachments,
    identities,
    keys,
    managed_policies,
    simulation,
    user_groups,
    sessions,
    accounts,
    audit,
    calendar_feeds,
    events,
    forecast,
    outputs,
    patchwright,
    reports,
    schedules,
)


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations that are served, by target."""
    served: dict[str, Handler] = {}
    for module in MODULES:
        served.update(module.operations(services))
    return served
