# SPDX-License-Identifier: Apache-2.0
"""What a person reads in the output of a patch command. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from patchwright.core.compliance import Item, PatchState
from patchwright.core.compliance import Operation as Kind
from patchwright.core.facts import NodeFacts
from patchwright.core.patch_step import BASELINE_OVERRIDE
from patchwright.core.protocol import Report
from patchwright.server.patching.model import Operation, Snapshot

_SHOWN = (
    PatchState.MISSING,
    PatchState.FAILED,
    PatchState.INSTALLED_PENDING_REBOOT,
    PatchState.INSTALLED_REJECTED,
)


def findings(items: Sequence[Item], counts: Mapping[str, int]) -> str:
    """What a report says of patch states: how many patches are in each, and which are in one to look at."""
    return "\n".join([_counts(counts), *_details(items)])


def failures(items: Sequence[Item]) -> tuple[str, ...]:
    """A line for each approved patch that could not be installed."""
    return tuple(_line(item) for item in items if item.state is PatchState.FAILED)


def finished(operation: Operation, snapshot: Snapshot, facts: NodeFacts, failures: Sequence[str]) -> Report:
    """
    The report of an operation that came to its end, as it is kept: `told` adds the findings.

    A Scan succeeds whatever it finds; an Install fails where an approved patch could not be installed (spec §3.3).
    """
    succeeded = operation.kind is Kind.SCAN or not failures
    lines = [_heading(operation, snapshot), _reboot(operation, facts)]
    sources = snapshot.definition.sources_for(facts.product)
    if sources:
        names = ", ".join(source.name for source in sources)
        lines.append(f"Repositories: those of the baseline ({names}), in the place of the node's own.")
    if operation.listed:
        lines.append(f"Only what is listed was to be installed: {operation.install_override_list}")
    if operation.baseline_override:
        lines.append(f"The baseline was given for this run: {operation.overrides[BASELINE_OVERRIDE].url}")
    lines.extend(f"A new plan was made, since {reason}." for reason in operation.drift)
    error = ""
    if not succeeded:
        which = "listed or approved" if operation.listed else "approved"
        error = "\n".join([f"{len(failures)} of the {which} patches could not be installed:", *failures])
    return Report(succeeded, "\n".join(lines) + "\n", error)


def told(kept: Report, findings: str) -> Report:
    """The report that the node is given: *findings*, which are not kept twice, follow the first line of what was kept."""
    heading, _, rest = kept.text.partition("\n")
    return Report(kept.succeeded, f"{heading}\n{findings}\n{rest}" if heading else "", kept.error)


def unreachable(operation: Operation, facts: NodeFacts) -> Report:
    """The report of an operation that ended before it could judge: repositories cannot be read, or there are none."""
    where, mend = "the node's own configuration", "disable them on the node"
    if facts.sources:
        where, mend = "the Sources of the baseline", "mend the Sources of the baseline"
    if not facts.problems:
        error = (
            f"The {operation.kind.value} ended without a verdict: the node has no package repositories, so it cannot know what"
            " it misses. Nothing was changed; what was reported before stays.\n"
            f"Name them in {where}, and run the operation again."
        )
        return Report(False, "", error)
    problems = [f"  {problem.repository}: {problem.message}" for problem in facts.problems]
    error = "\n".join(
        [
            (
                f"The {operation.kind.value} ended without a verdict: the node cannot read these repositories, so it cannot"
                " know what it misses. Nothing was changed; what was reported before stays."
            ),
            *problems,
            f"Make them reachable, or {mend}, and run the operation again.",
        ]
    )
    return Report(False, "", error)


def _heading(operation: Operation, snapshot: Snapshot) -> str:
    return (
        f"{operation.kind.value} of {operation.instance_id} with {snapshot.definition.name}"
        f" ({snapshot.baseline_id}, revision {snapshot.revision}, as of {snapshot.day.isoformat()} UTC)"
    )


def _counts(counts: Mapping[str, int]) -> str:
    return " · ".join(f"{state.value} {counts[state.value]}" for state in PatchState if counts.get(state.value))


def _details(items: Sequence[Item]) -> list[str]:
    lines = []
    for state in _SHOWN:
        shown = [item for item in items if item.state is state]
        if shown:
            lines += ["", f"{state.value} ({len(shown)}):", *map(_line, shown)]
    return lines


def _line(item: Item) -> str:
    weight = ", ".join(part for part in (item.classification, item.severity) if part)
    change = f" (installed: {item.installed})" if item.installed not in {"", item.version} else ""
    return f"  {item.title}{change}{f' [{weight}]' if weight else ''} - {item.reason}"


def _reboot(operation: Operation, facts: NodeFacts) -> str:
    needed = _sentence(facts.reboot_reasons)
    services = (
        f" Services that still run replaced files: {', '.join(facts.stale_services)}." if facts.stale_services else ""
    )
    option = f" RebootOption was {operation.reboot_option.value}." if operation.kind is Kind.INSTALL else ""
    return f"\n{needed}{services}{option}"


def _sentence(reasons: Sequence[str]) -> str:
    if not reasons:
        return "The system does not ask for a reboot."
    return f"The system asks for a reboot: {'; '.join(reasons)}."
