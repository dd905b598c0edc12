# SPDX-License-Identifier: Apache-2.0
"""
How an intent follows from a judgement, and a plan from a resolution (design D4).

The server never resolves dependencies: it states an intent, checks the node's closure against it, and answers with the plan.
"""

from __future__ import annotations

from typing import Dict, Iterable, List, Mapping, Set, Tuple

from patchwright.core.baseline import Baseline, RejectedAction
from patchwright.core.compliance import Item, Judgement, PatchState, outstanding_packages
from patchwright.core.entries import matches, names_package, rpm_file
from patchwright.core.errors import PlanRefused
from patchwright.core.facts import View
from patchwright.core.package import Manager
from patchwright.core.plan import Action, Intent, Plan, Resolution, Wanted
from patchwright.core.system import Family
from patchwright.core.version import compare

_FAMILIES = {Manager.APT: Family.APT, Manager.DNF: Family.RPM, Manager.ZYPPER: Family.ZYPP}


def intend(baseline: Baseline, view: View, judgement: Judgement) -> Intent:
    """
    The intent that follows from a judgement made before an Install.

    Wanted is what is Missing, and what is approved and unpacked but not configured; on SUSE, of each such patch the packages
    that are installed below its version, each in the highest version that any of these patches asks for. Rejected names are
    blocked, or allowed as dependencies, by the baseline's action; a SUSE patch that is blocked blocks the packages it brings,
    but those that an approved one brings too.
    """
    unit = _by_patch if view.facts.operating_system.family is Family.ZYPP else _by_package
    open_keys = {item.key: item for item in judgement.items if item.state in (PatchState.MISSING, PatchState.FAILED)}
    wanted = unit(view, open_keys)
    rejected = set(baseline.rejected)
    if baseline.rejected_action is not RejectedAction.BLOCK:
        return Intent(wanted, dependency_only=tuple(sorted(rejected)))
    if view.facts.operating_system.family is Family.ZYPP:
        rejected |= _brought(baseline, view) - {rpm_file(wish.name, wish.arch, wish.version) for wish in wanted}
    return Intent(wanted, blocked=tuple(sorted(rejected)))


def _by_package(view: View, outstanding: Mapping[str, Item]) -> Tuple[Wanted, ...]:
    packages = {package.key: package for package in view.packages.packages}
    return tuple(
        Wanted(packages[key].name, packages[key].arch, item.installed, item.version)
        for key, item in outstanding.items()
    )


def _by_patch(view: View, outstanding: Mapping[str, Item]) -> Tuple[Wanted, ...]:
    scheme, newest = view.packages.manager.scheme, view.newest()
    highest: Dict[str, Wanted] = {}
    for patch in view.patches():
        if patch.key not in outstanding:
            continue
        for fixed in outstanding_packages(patch, newest, scheme):
            before = highest.get(fixed.key)
            if before is None or compare(scheme, before.version, fixed.version) < 0:
                highest[fixed.key] = Wanted(fixed.name, fixed.arch, newest[fixed.key].version, fixed.version)
    return tuple(highest[key] for key in sorted(highest))


def _brought(baseline: Baseline, view: View) -> Set[str]:
    """The rpm files of every SUSE patch that the rejected list names, also of packages that the node does not have."""
    named = [patch for patch in view.patches() if any(matches(entry, patch.name) for entry in baseline.rejected)]
    return {rpm_file(*fixed) for patch in named for notice in patch.notices for fixed in notice.packages}


def settle(intent: Intent, resolution: Resolution, *, manager: Manager, snapshot_id: str) -> Plan:
    """
    The plan that *resolution* makes of *intent*; raises PlanRefused where it goes beyond it.

    Every wanted update must be resolved to exactly its version or be explained; nothing blocked may change, nothing may be
    downgraded, and no package may appear twice.
    """
    violations = _violations(intent, resolution, manager)
    if violations:
        raise PlanRefused(violations)
    actions = tuple(sorted(resolution.actions, key=lambda action: (action.name, action.arch)))
    return Plan(manager, snapshot_id, actions, tuple(sorted(resolution.unresolved.items())))


def _violations(intent: Intent, resolution: Resolution, manager: Manager) -> List[str]:
    actions = {action.key: action for action in resolution.actions}
    found = [f"{key} appears twice" for key in _repeated(action.key for action in resolution.actions)]
    wanted = {item.key: item for item in intent.wanted}
    for key, item in wanted.items():
        action = actions.get(key)
        if action is None and not resolution.unresolved.get(key):
            found.append(f"{key} is neither resolved nor explained")
        elif action is not None and (action.after != item.version or action.before != item.installed):
            found.append(f"{key} goes from {action.before} to {action.after}")
    for action in resolution.actions:
        if action.wanted != (action.key in wanted):
            found.append(f"{action.key} is not what was wanted")
        if _blocks(intent, action, manager):
            found.append(f"{action.key} is blocked")
        if not action.after:
            found.append(f"{action.key} would be removed")
        elif action.before and compare(manager.scheme, action.after, action.before) < 0:
            found.append(f"{action.key} would be downgraded")
    found.extend(f"{key} was not asked for" for key in sorted(resolution.unresolved) if key not in wanted)
    return found


def _blocks(intent: Intent, action: Action, manager: Manager) -> bool:
    family = _FAMILIES[manager]
    return any(names_package(family, entry, action.name, action.arch, action.after) for entry in intent.blocked)


def _repeated(keys: Iterable[str]) -> List[str]:
    seen: Dict[str, int] = {}
    for key in keys:
        seen[key] = seen.get(key, 0) + 1
    return sorted(key for key, count in seen.items() if count > 1)
