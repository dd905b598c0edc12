# SPDX-License-Identifier: Apache-2.0
"""
The rows and counters of a judgement, as they are kept: once for all nodes that have the same (design D2, D5).

Pure: bytes and numbers in, records out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from patchwright.core.baseline import ComplianceLevel
from patchwright.core.compliance import Item, Judgement, PatchState

_FORMAT = "states1"
CRITICAL, SECURITY, OTHER = "critical", "security", "other"  # the counters beside those of the states


def freeze(judgement: Judgement) -> tuple[str, bytes, dict[str, int]]:
    """Digest and body of a judgement's rows, and its counters by state and by kind of non-compliance."""
    rows = [
        [
            item.key,
            item.title,
            item.state.value,
            item.installed,
            item.version,
            item.level.value,
            item.classification,
            item.severity,
            list(item.cves),
            item.reason,
        ]
        for item in judgement.items
    ]
    body = json.dumps(rows, separators=(",", ":")).encode()
    return f"{_FORMAT}:{hashlib.sha256(body).hexdigest()}", body, counters(judgement)


def counters(judgement: Judgement) -> dict[str, int]:
    """The counters of a judgement by state and by kind of non-compliance; every one is there."""
    counts = judgement.counts()
    result = {state.value: number for state, number in counts.by_state.items()}
    result[CRITICAL] = counts.critical_non_compliant
    result[SECURITY] = counts.security_non_compliant
    result[OTHER] = counts.other_non_compliant
    return result


def thaw(body: bytes) -> list[Item]:
    """The rows again, in the order in which they were frozen."""
    return [
        Item(
            key=row[0],
            title=row[1],
            state=PatchState(row[2]),
            installed=row[3],
            version=row[4],
            level=ComplianceLevel(row[5]),
            classification=row[6],
            severity=row[7],
            cves=tuple(row[8]),
            reason=row[9],
        )
        for row in json.loads(body)
    ]


def count(counts: Mapping[str, int], state: PatchState) -> int:
    """The counter of one state, 0 where nothing was counted."""
    return counts.get(state.value, 0)
