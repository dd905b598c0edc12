# SPDX-License-Identifier: Apache-2.0
"""
docs/reference/families.md is what the code and the baseline cases say.

`PYTHONPATH=tests .venv/bin/python -m architecture.test_families` writes it anew.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.cases import read
from patchwright.core.advisory import Fixed, Notice
from patchwright.core.baseline import ApprovalRule, Baseline, Filter, Verdict, decide
from patchwright.core.families import properties, rule_keys, without_notices
from patchwright.core.patch import Patch
from patchwright.core.predefined import default_of
from patchwright.core.system import Family, OperatingSystem, identify

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "families.md"
LINUX = [
    system
    for system in sorted(OperatingSystem, key=lambda one: one.value)
    if system.family.value in {"apt", "rpm", "zypp"}
]
TODAY = datetime.date(2026, 11, 20)
SECTIONS = {
    "2.1": "filters and values",
    "2.2": "the order of evaluation",
    "2.3": "the predefined baselines",
    "2.4": "dates",
    "2.5": "what is a patch here",
    "2.6": "names on the lists",
    "2.7": "rejections",
    "2.8": "levels",
    "3.1": "states",
    "3.3": "Scan and Install",
}
NOTICE = Notice("SUSE-2026-7", "security", cves=("CVE-2026-1",), bugzillas=("123",), updated="2026-11-19")
RPM_NOTICE = Notice("RHSA-2026:7", "security", cves=("CVE-2026-1",), bugzillas=("123",), updated="2026-11-19")
SAMPLES = {
    "apt": Patch(Family.APT, "openssl", "amd64", "3.0.15-1", security=True),
    "rpm": Patch(Family.RPM, "openssl", "x86_64", "1:3.0.7-27.el9", notices=(RPM_NOTICE,)),
    "suse": Patch(
        Family.ZYPP, "SUSE-2026-7", "", "", notices=(NOTICE,), packages=(Fixed("openssl", "x86_64", "1:3.0.7-27"),)
    ),
}
SYSTEMS = {"apt": OperatingSystem.DEBIAN, "rpm": OperatingSystem.ROCKY_LINUX, "suse": OperatingSystem.SUSE}
FORMS = {
    "apt": ["openssl", "openssl-3.0.15-1", "openssl*", "CVE-2026-1"],
    "rpm": [
        *("123", "CVE-2026-1", "RHSA-2026:7", "openssl-3.0.7-27.el9.x86_64", "openssl-1:3.0.7-27.el9.x86_64"),
        *("openssl-3.*.x86_64", "openssl-*-27*", "openssl"),
    ],
    "suse": [
        *("SUSE-2026-7", "SUSE-*-7", "openssl-3.0.7-27.x86_64.rpm", "openssl-*.rpm", "openssl-3.0.7-27.x86_64"),
        *("openssl", "CVE-2026-1", "123"),
    ],
}
TOLD = {
    "apt": (
        (
            "One version of one package, `name.arch`. It can be missing only in the version that apt itself would install: its"
            " candidate, with the node's preferences."
        ),
        "it comes from the distribution's security archive",
    ),
    "rpm": (
        (
            "One version of one package, `name.arch`. The newest approved version counts, which need not be the newest that a"
            " repository has. Packages of module streams that are not enabled are no patches. Of versions side by side, such as"
            " kernels, the newest speaks."
        ),
        "at least one notice (updateinfo.xml) names it, of whatever type",
    ),
    "suse": (
        (
            "The vendor's patch. It is satisfied when none of its packages that are installed is below the patch's version;"
            " where none is installed it is not applicable. Rows carry its name; an installed package has a row of its own only"
            " where the rejected list names its file."
        ),
        "always: every patch is, whatever its category, so EnableNonSecurity changes nothing",
    ),
}


def page() -> str:
    """The whole page."""
    return "\n".join([*_systems(), *(line for name in SAMPLES for line in _family(name))]) + "\n"


def _systems() -> Iterator[str]:
    yield from (
        "# What a baseline means on each family",
        "",
        "This page is made from the code and from the cases in `tests/core/cases`, and held to them by a test.",
        "",
        "Windows and macOS baselines are kept and served by the API; no node of theirs is patched yet.",
        "",
        "| OperatingSystem | family | keys of rules | CLASSIFICATION | SEVERITY or PRIORITY | no notices at all |",
        "|---|---|---|---|---|---|",
    )
    for system in LINUX:
        values = properties(system)
        weights = values.get("SEVERITY", values.get("PRIORITY", ()))
        cells = [
            f"`{system.value}`",
            _name(system.family),
            ", ".join(rule_keys(system)),
            ", ".join(values.get("CLASSIFICATION", ())),
            ", ".join(weights),
            without_notices(system),
        ]
        yield f"| {' | '.join(cells)} |"
    yield from (
        "",
        "Values match in any case; `*` matches anything; Medium and Moderate are one severity. A severity comes from the",
        "publisher alone, never from a CVE's score. A value that is not listed is no error, and matches nothing that does not",
        "carry it.",
        "",
        "## Products",
        "",
        "A node's product comes from its os-release. The zero that this leaves out makes no difference: `AmazonLinux2.0` and",
        "`Suse15.0` are `AmazonLinux2` and `Suse15`. Otherwise the whole name is compared: `RedhatEnterpriseLinux8` is not",
        "`RedhatEnterpriseLinux8.6`. CentOS names no minor release in its os-release, so that `CentOS7.9` matches no node.",
        "",
        "| OperatingSystem | PRODUCT | the predefined baseline |",
        "|---|---|---|",
    )
    for system in LINUX:
        yield f"| `{system.value}` | {', '.join(properties(system)['PRODUCT'])} | {default_of(system).name} |"


def _family(name: str) -> Iterator[str]:
    sample, (unit, security) = SAMPLES[name], TOLD[name]
    yield from ("", f"## {name}", "", unit, "")
    yield from ("| | |", "|---|---|")
    yield f"| KBId, Title | `{sample.key}`, `{sample.title}` |"
    yield f"| security, where a rule or a list takes no other | {security} |"
    yield f"| the day that delays count from | {_dated(name)} |"
    yield from ("", "| entry | on the approved list | on the rejected list |", "|---|---|---|")
    for entry in FORMS[name]:
        approved = _says(name, approved=(entry,)) is Verdict.APPROVED
        rejected = _says(name, rejected=(entry,)) is Verdict.REJECTED
        yield f"| `{entry}` | {_yes(approved)} | {_yes(rejected)} |"
    cases = sorted(read(name), key=lambda case: case.data["spec"])
    yield from ("", f"{len(cases)} cases hold it to the specification:")
    for section, title in SECTIONS.items():
        names = [case.name for case in cases if case.data["spec"].split()[0] == section]
        if names:
            yield from ("", f"**{title}** (§{section})", "", *(f"* {one}" for one in names))


def _says(name: str, **members: tuple[str, ...]) -> Verdict:
    return decide(Baseline(SYSTEMS[name], **members), SAMPLES[name], TODAY).verdict


def _dated(name: str) -> str:
    """What the code makes of a patch of yesterday under a rule of a week."""
    rule = ApprovalRule((Filter("PRODUCT", ("*",)),), approve_after_days=7)
    waits = decide(Baseline(SYSTEMS[name], rules=(rule,)), SAMPLES[name], TODAY).verdict is Verdict.PENDING
    if not waits:
        return "none: its archives carry no dates, so that ApproveAfterDays and ApproveUntilDate are ignored"
    return "whole UTC days from the notice's update, else its issue, else the day on which the package was built"


def _name(family: Family) -> str:
    return "suse" if family is Family.ZYPP else family.value


def _yes(answer: bool) -> str:
    return "yes" if answer else "names nothing"


def test_the_page_is_what_the_code_says() -> None:
    """Word by word; how to write it anew stands on top of this file."""
    assert PAGE.read_text("utf-8") == page()


def test_every_case_stands_in_a_section_of_the_page() -> None:
    """No case is left out for want of a title."""
    for name in SAMPLES:
        assert {case.data["spec"].split()[0] for case in read(name)} <= set(SECTIONS)


@pytest.mark.parametrize(
    ("name", "version", "pretty"),
    [
        ("amzn", "2018.03", "Amazon Linux AMI"),
        ("amzn", "2", "Amazon Linux"),
        ("amzn", "2023", "Amazon Linux"),
        ("rhel", "8.10", "Red Hat Enterprise Linux"),
        ("rhel", "9.4", "Red Hat Enterprise Linux"),
        ("centos", "7", "CentOS Linux"),
        ("centos", "9", "CentOS Stream"),
        ("ol", "9.4", "Oracle Linux Server"),
        ("rocky", "9.4", "Rocky Linux"),
        ("almalinux", "8.10", "AlmaLinux"),
        ("sles", "15.6", "SLES"),
        ("debian", "12", "Debian GNU/Linux"),
        ("raspbian", "11", "Raspbian GNU/Linux"),
        ("ubuntu", "22.04", "Ubuntu"),
    ],
)
def test_what_nodes_say_they_are_is_on_the_list_of_products(name: str, version: str, pretty: str) -> None:
    """So that a rule for a product can be made from what DescribePatchProperties lists."""
    system = identify({"ID": name, "VERSION_ID": version, "NAME": pretty})
    assert system is not None
    assert system.product in properties(system.operating_system)["PRODUCT"]


@pytest.mark.parametrize("system", OperatingSystem)
def test_the_predefined_rules_ask_for_listed_values(system: OperatingSystem) -> None:
    """Each filter of each rule, but for what has no list."""
    known = properties(system)
    for rule in default_of(system).baseline.rules:
        for one in rule.filters:
            assert one.key in rule_keys(system)
            assert set(one.values) <= {*known.get(one.key, one.values), "*"}


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
