# SPDX-License-Identifier: Apache-2.0
"""What earlier operations did to a node, as far as judging it needs to know."""

from __future__ import annotations

from collections.abc import Mapping

from patchwright.core.compliance import History, Install
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork
from patchwright.server.patching import operation_store as store


def history(scope: Scope, instance_id: str, boot_id: str, failures: Mapping[str, str]) -> UnitOfWork[History]:
    """
    The installs of our operations since the node was started as *boot_id*, with the *failures* to be shown.

    What a plan named and did not fail to bring was installed by us in this boot: while it has the plan's version it waits for
    a reboot (spec §3.1). A unit of work.
    """
    installs = {}
    if boot_id:
        for plan, failed in (yield from store.plans_of_boot(scope, instance_id, boot_id)):
            installs.update(
                {action.key: Install(action.after, boot_id) for action in plan.actions if action.key not in failed}
            )
    return History(installs, dict(failures))
