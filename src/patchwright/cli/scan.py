# SPDX-License-Identifier: Apache-2.0
"""`patchwright scan`: this machine against its default baseline, with no server."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from patchwright.cli import nodes
from patchwright.cli.errors import CliError
from patchwright.cli.offline import KeptOut, Survey, describe, survey
from patchwright.cli.output import Screen, print_json, screen
from patchwright.cli.program import Setup, json_option
from patchwright.cli.wording import rule_text, since
from patchwright.core.baseline import ApprovalRule
from patchwright.core.compliance import PatchState
from patchwright.core.facts import View
from patchwright.core.verdict import describe_item

_NOT_ROOT = "repository metadata was not refreshed: only root may"
_ONLY_OWN = "only root sees which services of other users still run replaced files"


class CannotScan(CliError):
    """This program was put together without what reads a machine's packages."""


@click.command("scan")
@click.option("--no-refresh", is_flag=True, help="Do not fetch repository metadata first; say how old it is.")
@click.option("--all", "every", is_flag=True, help="Every package, also those that are as they should be.")
@json_option
@click.pass_obj
def scan(setup: Setup, *, no_refresh: bool, every: bool, as_json: bool) -> None:
    """
    What this machine misses, and why; nothing is installed.

    Its packages and repositories against the predefined default baseline of its operating system: which updates are
    missing and what approves them, which are kept out and why. No server is asked. The exit code is 0 whatever is missing,
    and 1 where the machine cannot be scanned.
    """
    if setup.take_view is None:
        msg = "this program cannot read packages"
        raise CannotScan(msg)
    root = os.geteuid() == 0
    view, found = setup.take_view(root and not no_refresh)
    problems = [*found, *([] if root else [_ONLY_OWN]), *([] if root or no_refresh else [_NOT_ROOT])]
    seen = survey(view, now=setup.clock.now())
    if as_json:
        print_json(describe(seen, view, problems))
        return
    _show(screen(), seen, view, problems=problems, now=setup.clock.now(), every=every)


def _show(shown: Screen, seen: Survey, view: View, *, problems: Sequence[str], now: float, every: bool) -> None:
    facts = view.facts
    shown.heading(f"{facts.product}, kernel {facts.kernel or 'unknown'}: {len(seen.judgement.items)} packages")
    shown.fact("verdict", seen.standing.value)
    shown.fact("baseline", f"{seen.predefined.name} ({seen.predefined.id}), on {seen.day.isoformat()}")
    for number, rule in enumerate(seen.predefined.baseline.rules, 1):
        shown.fact(f"rule {number}", _rule_text(rule))
    shown.fact("metadata", f"fetched {since(facts.refreshed_at, now)}")
    for doubt in seen.doubts:
        shown.fact("doubt", nodes.doubt_text(doubt.value))
    for problem in facts.problems:
        shown.fact("repository", f"{problem.repository}: {problem.message}")
    for text in problems:
        shown.fact("note", text)
    nodes.show_state(shown, facts.reboot_reasons, facts.stale_services, facts.held)
    wrong = [item for item in seen.judgement.items if not item.state.compliant]
    system = facts.operating_system.value
    missing = all(item.state is PatchState.MISSING for item in wrong)
    if not wrong:
        shown.heading("Nothing is missing.")
    else:
        shown.heading(f"{len(wrong)} {'missing' if missing else 'missing or not configured'}")
        nodes.patch_table(shown, [describe_item(item) for item in wrong], operating_system=system, state=not missing)
    if seen.kept_out:
        _show_kept_out(shown, seen.kept_out, operating_system=system)
    if every:
        shown.heading("Every package")
        nodes.patch_table(shown, [describe_item(item) for item in seen.judgement.items], operating_system=system)


def _show_kept_out(shown: Screen, kept_out: Sequence[KeptOut], *, operating_system: str) -> None:
    shown.heading(f"{len(kept_out)} more offered, and kept out")
    rows = [
        [kept.patch.key, kept.installed, kept.patch.version, kept.patch.severity, "; ".join(kept.reasons)]
        for kept in kept_out
    ]
    shown.table(["PACKAGE", "INSTALLED", "OFFERED", nodes.weight(operating_system), "WHY NOT"], rows)


def _rule_text(rule: ApprovalRule) -> str:
    return rule_text(
        [(item.key, item.values) for item in rule.filters],
        days=rule.approve_after_days,
        until=rule.approve_until.isoformat() if rule.approve_until else None,
        non_security=rule.enable_non_security,
        level=rule.level.value,
    )
