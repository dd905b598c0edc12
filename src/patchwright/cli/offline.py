# SPDX-License-Identifier: Apache-2.0
"""
This machine's facts against a baseline, without a server: the same decisions as the server's, by the same functions.

Pure: the day is an argument.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, NamedTuple

from patchwright.core.baseline import Baseline, Decision, Verdict, decide
from patchwright.core.compliance import Doubt, Judgement, Standing, doubts, judge, outstanding_packages, standing
from patchwright.core.facts import View
from patchwright.core.patch import Patch
from patchwright.core.predefined import Predefined, default_of
from patchwright.core.system import Family
from patchwright.core.verdict import describe_item, describe_node
from patchwright.core.version import key as version_key


class KeptOut(NamedTuple):
    """
    An update that is offered and not missing. *reasons* say why, one for each rule that does not approve it.

    *verdict* is the baseline's; APPROVED where the node's own preferences choose another version.
    """

    patch: Patch
    installed: str
    verdict: Verdict
    reasons: tuple[str, ...]


class Survey(NamedTuple):
    """What there is to say of a machine on one UTC day."""

    day: datetime.date
    predefined: Predefined
    standing: Standing
    doubts: tuple[Doubt, ...]
    judgement: Judgement
    kept_out: tuple[KeptOut, ...]


def survey(view: View, *, now: float) -> Survey:
    """*view* against the predefined default baseline of its operating system, at *now* (epoch seconds)."""
    predefined = default_of(view.facts.operating_system)
    day = datetime.datetime.fromtimestamp(now, datetime.UTC).date()
    decisions = {patch: decide(predefined.baseline, patch, day) for patch in view.patches()}
    judgement = judge(predefined.baseline, view, decisions.__getitem__)
    found = doubts(view, max(now - view.facts.observed_at, 0.0), baseline=predefined.baseline)
    kept = tuple(_kept_out(view, predefined.baseline, judgement, decisions))
    return Survey(day, predefined, standing(judgement, found), found, judgement, kept)


def describe(found: Survey, view: View, problems: Sequence[str]) -> dict[str, Any]:
    """The survey as a JSON object; members of the server's verdict have the same names and forms."""
    facts, counts = view.facts, found.judgement.counts()
    return {
        "LiveVerdict": {
            "Standing": found.standing.value,
            "Doubts": [doubt.value for doubt in found.doubts],
            "ObservedAt": facts.observed_at,
            "RefreshedAt": facts.refreshed_at,
            "BaselineId": found.predefined.id,
            "BaselineName": found.predefined.name,
            "Day": found.day.isoformat(),
            "Counts": {state.value: number for state, number in counts.by_state.items()},
            "Patches": [describe_item(item) for item in found.judgement.items],
        },
        "KeptOut": [
            {
                "KBId": kept.patch.key,
                "Title": kept.patch.title,
                "Installed": kept.installed,
                "Version": kept.patch.version,
                "Verdict": kept.verdict.value,
                "Classification": kept.patch.classification,
                "Severity": kept.patch.severity,
                "CVEIds": list(kept.patch.cves),
                "Reasons": list(kept.reasons),
            }
            for kept in found.kept_out
        ],
        "Node": describe_node(facts),
        "Problems": list(problems),
    }


def _kept_out(
    view: View, baseline: Baseline, judgement: Judgement, decisions: dict[Patch, Decision]
) -> Sequence[KeptOut]:
    """For each installed package the newest version offered above both the installed one and the one that is missing."""
    if baseline.operating_system.family is Family.ZYPP:
        return _patches_kept_out(view, decisions)
    apt, scheme = baseline.operating_system.family is Family.APT, view.packages.manager.scheme
    candidates = view.candidates() if apt else {}
    offered: dict[str, list[Patch]] = {}
    for patch in decisions:
        offered.setdefault(patch.key, []).append(patch)
    found = []
    for item in judgement.items:
        at = max(version_key(scheme, version) for version in (item.installed, item.version))
        newer = [patch for patch in offered.get(item.key, ()) if version_key(scheme, patch.version) > at]
        if not newer:
            continue
        candidate = candidates.get(item.key)
        chosen = next((patch for patch in newer if patch.version == candidate), None)
        patch = chosen or max(newer, key=lambda one: version_key(scheme, one.version))
        decision = decisions[patch]
        reasons = [reason.text for reason in decision.reasons]
        if apt and chosen is None:
            reasons = [f"apt's preferences or phasing choose {candidate or 'no version'}"]
        found.append(KeptOut(patch, item.installed, decision.verdict, tuple(reasons)))
    return found


def _patches_kept_out(view: View, decisions: dict[Patch, Decision]) -> Sequence[KeptOut]:
    """Each SUSE patch that the node needs and the baseline does not approve."""
    installed = view.newest()
    found = []
    for patch, decision in decisions.items():
        needed = outstanding_packages(patch, installed, view.packages.manager.scheme)
        if needed and not decision.approved:
            before = ", ".join(f"{fixed.key}:{installed[fixed.key].version}" for fixed in needed)
            reasons = tuple(reason.text for reason in decision.reasons)
            found.append(KeptOut(patch, before, decision.verdict, reasons))
    return found
