# SPDX-License-Identifier: Apache-2.0
"""`patchwright baseline`: what is approved, and when."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TextIO

import click

from patchwright.cli.client import Client
from patchwright.cli.errors import BadSetting
from patchwright.cli.output import Screen, print_json, screen
from patchwright.cli.program import connected, json_option
from patchwright.cli.wording import bare_id, filter_texts, moment, rule_text
from patchwright.core.baseline import ComplianceLevel, RejectedAction
from patchwright.core.system import OperatingSystem

_SYSTEMS = click.Choice([system.value for system in OperatingSystem], case_sensitive=False)
_LEVELS = click.Choice([level.value for level in ComplianceLevel], case_sensitive=False)
_ACTIONS = click.Choice([action.value for action in RejectedAction], case_sensitive=False)
_FILTERS = ("classification", "severity", "priority", "section", "product")
_OF_RULES = ("approve_until", "compliance_level", "non_security", *_FILTERS)


@click.command("list")
@click.option("--operating-system", type=_SYSTEMS, help="Those of one operating system alone.")
@click.option("--owner", type=click.Choice(["AWS", "Self"], case_sensitive=False), help="The predefined, or one's own.")
@json_option
@connected
def list_baselines(client: Client, *, operating_system: str | None, owner: str | None, as_json: bool) -> None:
    """Every patch baseline of the region: own ones first, then the predefined."""
    given = {"OPERATING_SYSTEM": operating_system, "OWNER": owner}
    filters = [{"Key": key, "Values": [value]} for key, value in given.items() if value]
    found = list(client.pages("DescribePatchBaselines", {"Filters": filters}, "BaselineIdentities"))
    if as_json:
        print_json({"BaselineIdentities": found})
        return
    shown = screen()
    rows = [
        [
            bare_id(one["BaselineId"]),
            one["OperatingSystem"],
            "default" if one["DefaultBaseline"] else "",
            one["BaselineName"],
        ]
        for one in found
    ]
    if rows:
        shown.table(["BASELINE", "OPERATING SYSTEM", "", "NAME"], rows)
    else:
        shown.line("No patch baseline matches.")


@click.command("show")
@click.argument("baseline_id", metavar="ID")
@json_option
@connected
def show_baseline(client: Client, *, baseline_id: str, as_json: bool) -> None:
    """One patch baseline with its rules and lists."""
    found = client.call("GetPatchBaseline", {"BaselineId": baseline_id})
    if as_json:
        print_json(found)
        return
    shown = screen()
    shown.heading(f"{found['Name']} ({bare_id(found['BaselineId'])})")
    if found.get("Description"):
        shown.fact("about", found["Description"])
    shown.fact("system", found["OperatingSystem"])
    shown.fact("groups", ", ".join(found["PatchGroups"]) or "none")
    shown.fact("changed", moment(found["ModifiedDate"]))
    for text in filter_texts(_filters(found["GlobalFilters"])):
        shown.fact("only where", text)
    for number, rule in enumerate(found["ApprovalRules"]["PatchRules"], 1):
        shown.fact(f"rule {number}", _rule_text(rule))
    _show_lists(shown, found)


@click.command("create")
@click.option("--name", help="3 to 128 letters, digits and any of _-. ")
@click.option("--operating-system", type=_SYSTEMS, help="Whose patches it decides on.")
@click.option("--description", help="What it is for.")
@click.option(
    "--approve-after-days", type=click.IntRange(0, 360), metavar="N", help="Approve N days after the release."
)
@click.option("--approve-until", metavar="YYYY-MM-DD", help="Approve what was released up to this day.")
@click.option(
    "--classification", multiple=True, metavar="WORD", help="Only patches of this classification; repeatable."
)
@click.option("--severity", multiple=True, metavar="WORD", help="Only patches of this severity; repeatable.")
@click.option("--priority", multiple=True, metavar="WORD", help="Only packages of this priority (apt); repeatable.")
@click.option("--section", multiple=True, metavar="WORD", help="Only packages of this section (apt); repeatable.")
@click.option("--product", multiple=True, metavar="WORD", help="Only this product, such as Debian12; repeatable.")
@click.option("--compliance-level", type=_LEVELS, help="How much it matters where such a patch is missing.")
@click.option("--non-security", is_flag=True, help="Approve what is no security update, too.")
@click.option("--approve", multiple=True, metavar="PATCH", help="Approve this patch in any case; repeatable.")
@click.option("--reject", multiple=True, metavar="PATCH", help="Reject this patch in any case; repeatable.")
@click.option("--rejected-action", type=_ACTIONS, help="Whether a rejected patch may come as a dependency.")
@click.option(
    "--from-file", type=click.File("r"), metavar="FILE", help="The members of CreatePatchBaseline as JSON; - for stdin."
)
@json_option
@connected
def create_baseline(client: Client, *, from_file: TextIO | None, as_json: bool, **given: Any) -> None:
    """
    Make a patch baseline, and print its id.

    Either --approve-after-days or --approve-until makes its one approval rule. For several rules, write the members of
    CreatePatchBaseline to a file; other options replace what the file says.
    """
    request = _read(from_file) if from_file else {}
    request.update(_members(given, has_rules="ApprovalRules" in request))
    for member, flag in (("Name", "--name"), ("OperatingSystem", "--operating-system")):
        if not request.get(member):
            msg = f"{flag} is missing"
            raise click.UsageError(msg)
    answer = client.call("CreatePatchBaseline", request)
    print_json(answer) if as_json else print(answer["BaselineId"])


@click.command("register")
@click.argument("baseline_id", metavar="ID")
@click.option("--patch-group", required=True, metavar="NAME", help="The group whose nodes it decides for.")
@connected
def register_baseline(client: Client, *, baseline_id: str, patch_group: str) -> None:
    """Let a baseline decide for the nodes of a patch group, those of its operating system."""
    client.call("RegisterPatchBaselineForPatchGroup", {"BaselineId": baseline_id, "PatchGroup": patch_group})


def _members(given: Mapping[str, Any], *, has_rules: bool) -> dict[str, Any]:
    """The members of CreatePatchBaseline that the options say."""
    members = {
        "Name": given["name"],
        "OperatingSystem": given["operating_system"],
        "Description": given["description"],
        "ApprovedPatches": list(given["approve"]),
        "RejectedPatches": list(given["reject"]),
        "RejectedPatchesAction": given["rejected_action"],
    }
    if given["approve_after_days"] is not None or any(given[name] for name in _OF_RULES):
        members["ApprovalRules"] = {"PatchRules": [_rule(given)]}
    elif not has_rules and not members["ApprovedPatches"]:
        msg = "nothing would be approved: give --approve-after-days, --approve-until, --approve or --from-file"
        raise click.UsageError(msg)
    return {name: value for name, value in members.items() if value}


def _rule(given: Mapping[str, Any]) -> dict[str, Any]:
    if (given["approve_after_days"] is None) == (given["approve_until"] is None):
        msg = "an approval rule takes exactly one of --approve-after-days and --approve-until"
        raise click.UsageError(msg)
    filters = [{"Key": name.upper(), "Values": list(given[name])} for name in _FILTERS if given[name]]
    rule: dict[str, Any] = {
        "PatchFilterGroup": {"PatchFilters": filters or [{"Key": "PRODUCT", "Values": ["*"]}]},
        "EnableNonSecurity": given["non_security"],
        "ApproveAfterDays": given["approve_after_days"],
        "ApproveUntilDate": given["approve_until"],
        "ComplianceLevel": given["compliance_level"],
    }
    return {name: value for name, value in rule.items() if value is not None}


def _read(file: TextIO) -> dict[str, Any]:
    try:
        members = json.load(file)
    except (ValueError, UnicodeDecodeError) as error:
        msg = f"{file.name} is no JSON: {error}"
        raise BadSetting(msg) from error
    if not isinstance(members, dict):
        msg = f"{file.name} holds no JSON object; it takes the members of CreatePatchBaseline"
        raise BadSetting(msg)
    return members


def _show_lists(shown: Screen, found: Mapping[str, Any]) -> None:
    if found["ApprovedPatches"]:
        more = ", non-security too" if found["ApprovedPatchesEnableNonSecurity"] else ""
        shown.fact(
            "approved", f"{', '.join(found['ApprovedPatches'])} ({found['ApprovedPatchesComplianceLevel']}{more})"
        )
    if found["RejectedPatches"]:
        shown.fact("rejected", f"{', '.join(found['RejectedPatches'])} ({found['RejectedPatchesAction']})")
    for source in found["Sources"]:
        shown.fact("source", f"{source['Name']} for {', '.join(source['Products'])}")


def _rule_text(rule: Mapping[str, Any]) -> str:
    return rule_text(
        _filters(rule["PatchFilterGroup"]),
        days=rule.get("ApproveAfterDays"),
        until=rule.get("ApproveUntilDate"),
        non_security=rule["EnableNonSecurity"],
        level=rule["ComplianceLevel"],
    )


def _filters(group: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    return [(item["Key"], item["Values"]) for item in group["PatchFilters"]]
