# SPDX-License-Identifier: Apache-2.0
"""Operations of our own: what AWS has no call for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from patchwright.core.facts import NodeFacts
from patchwright.core.verdict import describe_item, describe_node
from patchwright.server import patching
from patchwright.server.aws.services import Services
from patchwright.server.patching import Verdict, Verdicts
from patchwright.server.wire import Caller, Handler


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = PatchwrightOperations(services.verdicts)
    return {
        "Patchwright.GetVerdict": own.get_verdict,
    }


class PatchwrightOperations:
    """One method per operation."""

    def __init__(self, verdicts: Verdicts) -> None:
        self._verdicts = verdicts

    async def get_verdict(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetVerdict: the live verdict on a node, and beside it, under its own name, the last operation."""
        verdict = await self._verdicts.live(caller.scope, request["InstanceId"])
        return {"Document": json.dumps(_describe(verdict))}


def _describe(verdict: Verdict) -> dict[str, Any]:
    facts, baseline, judgement = verdict.facts, verdict.baseline, verdict.judgement
    return {
        "InstanceId": verdict.node.id,
        "Name": verdict.node.name,
        "PatchGroup": verdict.patch_group,
        "LiveVerdict": {
            "Standing": verdict.standing.value,
            "Doubts": [doubt.value for doubt in verdict.doubts],
            "AgeSeconds": verdict.age_seconds,
            "ObservedAt": _by_our_clock(facts, facts.observed_at) if facts else None,
            "RefreshedAt": _by_our_clock(facts, facts.refreshed_at) if facts else None,
            "BaselineId": baseline.id if baseline else None,
            "BaselineName": baseline.definition.name if baseline else None,
            "BaselineRevision": baseline.revision if baseline else None,
            "Counts": patching.counters(judgement) if judgement else None,
            "Patches": [describe_item(item) for item in judgement.items] if judgement else [],
        },
        "Node": describe_node(facts) if facts else None,
        "LastOperation": _last(verdict),
    }


def _by_our_clock(facts: NodeFacts, moment: float) -> float:
    """A moment that a node has told, whose clock may be wrong; 0 is no moment."""
    return moment + facts.clock_offset if moment else moment


def _last(verdict: Verdict) -> dict[str, Any] | None:
    if verdict.last is None:
        return None
    operation = verdict.last.operation
    return {
        "OperationId": operation.id,
        "CommandId": operation.command_id,
        "Operation": operation.kind.value,
        "BaselineId": operation.baseline_id,
        "SnapshotId": operation.snapshot_id,
        "StartedAt": operation.started_at,
        "EndedAt": operation.ended_at,
        "Succeeded": operation.report.succeeded if operation.report else None,
        "Counts": dict(operation.counts),
    }
