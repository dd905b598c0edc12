# SPDX-License-Identifier: Apache-2.0
"""What nodes show of each type: what they reported, and what the server knows itself and makes on read (spec §7.2, §7.3)."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from patchwright.core import inventory as core
from patchwright.core.compliance import PatchState
from patchwright.core.inventory import SCHEMAS, Row
from patchwright.server import compliance, nodes, patching, tags
from patchwright.server.accounts import Scope
from patchwright.server.compliance import SEVERITIES, Record, Summary
from patchwright.server.infra import UnitOfWork
from patchwright.server.inventory import contents, store
from patchwright.server.inventory.model import DERIVED_TYPES, OWN_TYPES, Item, Part, Reported
from patchwright.server.nodes import Node
from patchwright.server.patching import LastOperation

_STATES = {
    "InstalledCount": PatchState.INSTALLED,
    "InstalledPendingRebootCount": PatchState.INSTALLED_PENDING_REBOOT,
    "InstalledOtherCount": PatchState.INSTALLED_OTHER,
    "InstalledRejectedCount": PatchState.INSTALLED_REJECTED,
    "NotApplicableCount": PatchState.NOT_APPLICABLE,
    "MissingCount": PatchState.MISSING,
    "FailedCount": PatchState.FAILED,
}


@dataclass(frozen=True)
class Shown:
    """A node, and by type what it shows."""

    node: Node
    types: Mapping[str, Reported] = field(default_factory=dict)


@dataclass(frozen=True)
class Moment:
    """When the question is asked (epoch seconds), and for how long silence means nothing."""

    now: float
    online_seconds: float


def page(scope: Scope, types: Collection[str], *, after: str, limit: int, moment: Moment) -> UnitOfWork[list[Shown]]:
    """Up to *limit* nodes whose id comes after *after*, in order of id, with what they show of *types*."""
    found = yield from nodes.page(scope, after=after, limit=limit)
    return (yield from shown(scope, found, types, moment=moment))


def known(scope: Scope, ids: Sequence[str], types: Collection[str], *, moment: Moment) -> UnitOfWork[list[Shown]]:
    """The nodes with these ids, in order of id, with what they show of *types*; unknown ones are passed over."""
    found = yield from nodes.known(scope, ids)
    return (yield from shown(scope, found, types, moment=moment))


def shown(scope: Scope, found: Sequence[Node], types: Collection[str], *, moment: Moment) -> UnitOfWork[list[Shown]]:
    """These nodes with what they show of *types*, contents that are kept by digest; a few statements for all of them."""
    wanted, ids = frozenset(types), [node.id for node in found]
    by_node: dict[str, dict[str, Reported]] = {node.id: {} for node in found}
    for item in (yield from store.items_of_each(scope, ids, wanted - OWN_TYPES)):
        by_node[item.instance_id][item.type_name] = _stored(item)
    if wanted & DERIVED_TYPES:
        for node_id, own in (yield from _own(scope, found, wanted, moment)):
            by_node[node_id][own.type_name] = own
    return [Shown(node, by_node[node.id]) for node in found]


def _own(
    scope: Scope, found: Sequence[Node], wanted: Collection[str], moment: Moment
) -> UnitOfWork[list[tuple[str, Reported]]]:
    """What the server knows itself of these nodes, of the types that are *wanted*."""
    ids = [node.id for node in found]
    own: list[tuple[str, Reported]] = []
    if core.INSTANCE_INFORMATION in wanted:
        own += [(node.id, _information(node, moment)) for node in found]
    if core.TAG in wanted:
        for node_id, carried in (yield from tags.of_each(scope, tags.MANAGED_INSTANCE, ids)).items():
            if carried:
                rows = [{"Key": key, "Value": value} for key, value in carried.items()]
                own.append((node_id, made(core.TAG, rows, moment.now)))
    if core.PATCH_SUMMARY in wanted or core.PATCH_COMPLIANCE in wanted:
        severities = yield from compliance.of_nodes(scope, compliance.PATCH, ids)
        for last in (yield from patching.last_of_each(scope, ids)):
            known = severities.get(last.operation.instance_id)
            own.append((last.operation.instance_id, _patch_summary(last, known)))
            own.append((last.operation.instance_id, _patch_compliance(last)))
    if core.COMPLIANCE_ITEM in wanted or core.COMPLIANCE_SUMMARY in wanted:
        by_id: dict[str, list[Summary]] = {}
        for one in (yield from compliance.of_each(scope, ids)):
            by_id.setdefault(one.record.instance_id, []).append(one)
        for node_id, several in by_id.items():
            own.append((node_id, _compliance_items(several)))
            own.append((node_id, _compliance_summaries(several)))
    return [(node_id, one) for node_id, one in own if one.type_name in wanted]


def whole(scope: Scope, reported: Reported) -> UnitOfWork[list[Row]]:
    """The rows of a type as the node shows them, with what only its own history knows. For made types and small ones."""
    if not reported.parts:
        return [dict(row) for row in reported.rows]
    loaded = yield from contents.load(scope, [part.digest for part in reported.parts])
    rows: list[Row] = []
    for part in reported.parts:
        found = contents.unpacked(loaded.get(part.digest, ()))
        installed: Mapping[str, float] = {}
        if part.dated is not None:
            node_id, until = part.dated
            patches = yield from patching.items(scope, part.digest.partition(":")[2])
            installed = yield from patching.installed_times(scope, node_id, patches, until=until)
        written = {moment: iso(moment) for moment in set(installed.values()) if moment}
        rows += contents.whole(part, found, installed, written)
    return rows


def made(type_name: str, rows: Iterable[Mapping[str, str]], captured_at: float) -> Reported:
    """What the server says of a node itself, of what was so at *captured_at* (epoch seconds)."""
    return Reported(type_name, SCHEMAS[type_name].version, iso(captured_at), rows=tuple(rows))


def iso(moment: float) -> str:
    """`2026-11-20T04:21:54Z`."""
    return datetime.datetime.fromtimestamp(int(moment), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _stored(item: Item) -> Reported:
    part = Part(item.digest, tuple(sorted(item.context.items())))  # a context speaks of every row
    return Reported(item.type_name, item.version, item.capture_time, item.content_hash, (part,))


def _information(node: Node, moment: Moment) -> Reported:
    machine = node.machine
    status = "Active" if node.online(moment.now - moment.online_seconds) else "ConnectionLost"
    row = {
        "AgentStatus": status,
        "AgentType": machine.agent_name,
        "AgentVersion": machine.agent_version,
        "ComputerName": machine.computer_name,
        "InstanceId": node.id,
        "InstanceStatus": status,
        "IpAddress": machine.ip_address,
        "PlatformName": machine.platform_name,
        "PlatformType": machine.platform_type,
        "PlatformVersion": machine.platform_version,
        "ResourceType": nodes.MANAGED_INSTANCE,
    }
    return made(core.INSTANCE_INFORMATION, [row], node.last_ping_at)


def _patch_summary(last: LastOperation, known: Summary | None) -> Reported:
    operation, counts = last.operation, last.operation.counts
    ended = operation.ended_at or operation.started_at
    severity = known.record.severity if known and known.record.operation_id == operation.id else 0
    row = {
        "PatchGroup": operation.patch_group,
        "BaselineId": operation.baseline_id,
        "SnapshotId": operation.snapshot_id,
        "OwnerInformation": "",
        **{name: str(patching.count(counts, state)) for name, state in _STATES.items()},
        "UnreportedNotApplicableCount": "0",
        "OperationType": operation.kind.value,
        "OperationStartTime": iso(operation.started_at),
        "OperationEndTime": iso(ended),
        "InstallOverrideList": operation.install_override_list,
        "RebootOption": operation.reboot_option.value,
        "LastNoRebootInstallOperationTime": iso(last.no_reboot_install_at) if last.no_reboot_install_at else "",
        "ExecutionId": operation.command_id,
        "NonCompliantSeverity": SEVERITIES[severity],
        "SecurityNonCompliantCount": str(counts.get(patching.SECURITY, 0)),
        "CriticalNonCompliantCount": str(counts.get(patching.CRITICAL, 0)),
        "OtherNonCompliantCount": str(counts.get(patching.OTHER, 0)),
    }
    return made(core.PATCH_SUMMARY, [row], ended)


def _patch_compliance(last: LastOperation) -> Reported:
    operation = last.operation
    ended = operation.ended_at or operation.started_at
    part = Part(f"{contents.PATCHES}{operation.states_digest}", dated=(operation.instance_id, ended))
    name = core.PATCH_COMPLIANCE
    return Reported(name, SCHEMAS[name].version, iso(ended), parts=(part,))


def _compliance_items(several: Sequence[Summary]) -> Reported:
    name, parts = core.COMPLIANCE_ITEM, []
    for record in (one.record for one in several):
        common = {**_execution(record), **({} if record.put else record.details)}
        dated = None if record.put else (record.instance_id, record.execution.at)
        parts.append(Part(f"{contents.ITEMS}{record.digest}", tuple(sorted(common.items())), dated))
    captured = max(one.record.recorded_at for one in several)
    return Reported(name, SCHEMAS[name].version, iso(captured), parts=tuple(parts))


def _compliance_summaries(several: Sequence[Summary]) -> Reported:
    rows = []
    for record, tally in ((one.record, one.tally) for one in several):
        counts = {
            f"{kind}{severity.capitalize()}Count": str(number)
            for kind, numbers in (("Compliant", tally.compliant), ("NonCompliant", tally.non_compliant))
            for severity, number in zip(SEVERITIES, numbers, strict=True)
        }
        rows.append(
            {
                **_execution(record),
                "PatchGroup": record.patch_group,
                "PatchBaselineId": record.baseline_id,
                "Status": record.status,
                "OverallSeverity": SEVERITIES[record.severity],
                **counts,
            }
        )
    return made(core.COMPLIANCE_SUMMARY, rows, max(one.record.recorded_at for one in several))


def _execution(record: Record) -> dict[str, str]:
    execution = record.execution
    return {
        "ComplianceType": record.type,
        "ExecutionId": execution.id,
        "ExecutionType": execution.type,
        "ExecutionTime": iso(execution.at),
    }
