# SPDX-License-Identifier: Apache-2.0
"""
What is true of a node, asked of the tools that it has itself; and whether what the product says of it agrees.

Nothing of the product is used here. dpkg says what is installed and what of it is broken; apt, with lists of its own that are
fetched from nothing each time, says what it would bring and from where; the file names under /var/lib/dpkg/info betray
packages that the database has lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from farm import Node

COVERED = ("debian", "ubuntu", "raspbian")  # ID of os-release: systems with apt that a patch baseline can be for
WRONG = ("Missing", "Failed", "InstalledRejected", "InstalledPendingReboot")  # states that are not compliant

# Runs in the node. The second apt has neither the lists nor the cache of the first, so that it cannot take old for new.
ASK = r"""
import json, os, re, shutil, subprocess

def ask(*argv):
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(argv, capture_output=True, text=True, errors="replace", env=env)
    return [done.returncode, done.stdout, done.stderr]

shutil.rmtree("/run/oracle", ignore_errors=True)
for part in ("lists/partial", "cache/archives/partial"):
    os.makedirs("/run/oracle/" + part)
own = ["-o", "Acquire::Retries=0"]
fresh = [*own, "-o", "Dir::State::lists=/run/oracle/lists", "-o", "Dir::Cache=/run/oracle/cache"]
fresh += ["-o", "APT::Sandbox::User=root"]
found = {"own": ask("apt-get", *own, "update"), "fresh": ask("apt-get", *fresh, "update")}
form = "${Package}\t${Architecture}\t${Version}\t${db:Status-Abbrev}\n"
found["dpkg"] = ask("dpkg-query", "-W", "-f", form)
found["audit"] = ask("dpkg", "--audit")
native = ask("dpkg", "--print-architecture")[1].strip()
names = []
for line in found["dpkg"][1].splitlines():
    name, arch, _, abbreviation = line.split("\t")
    if abbreviation[1:2] not in "nc":
        names.append(name if arch in ("all", native) else name + ":" + arch)
found["policy"] = ask("apt-cache", *fresh, "policy", *names) if names else [0, "", ""]
found["coming"] = ask("apt-get", *fresh, "-s", "-y", "dist-upgrade")[1]
found["native"] = native
found["files"] = sorted({path[:-5].partition(":")[0] for path in os.listdir("/var/lib/dpkg/info") if path.endswith(".list")})
found["release"] = {}
for path in ("/etc/os-release", "/usr/lib/os-release"):
    if os.path.exists(path):
        pairs = [line.rstrip("\n").partition("=")[::2] for line in open(path) if "=" in line]
        found["release"] = {key: value.strip("\"'") for key, value in pairs}
        break
newer = {}
block = ""
for line in found["policy"][1].splitlines():
    installed = re.match(r"  Installed: (\S+)", line)
    version = re.match(r" (?:\*\*\*|   ) (\S+) -?\d+", line)
    if installed:
        block = installed.group(1)
    if version and version.group(1) != block:
        pair = (version.group(1), block)
        newer["\t".join(pair)] = ask("dpkg", "--compare-versions", pair[0], "gt", pair[1])[0] == 0
found["newer"] = newer
print(json.dumps(found))
"""
NO_SECURITY = "there is no security archive"
NO_ANSWER = ("Failed to fetch", "GPG error", "Some index files failed", "NO_PUBKEY", "is not signed")


@dataclass(frozen=True)
class Truth:
    """
    What the node's own tools say.

    Attributes:
        unknowable: Why nobody could tell what the node lacks; empty where one can.
        nothing_approved: Whether that is for want of an archive that the baseline could approve anything from: a Scan then
            rightly finds no patch missing, since none is one, and only the live verdict can say that this means little.
        outstanding: By `name.arch` the newer version that apt would choose and the baseline approves.
        unfinished: By `name.arch` dpkg's abbreviation of the packages it could not finish that the baseline approves.
        strays: The same of those that the baseline does not speak of.
    """

    unknowable: str = ""
    nothing_approved: bool = False
    outstanding: Mapping[str, str] = field(default_factory=dict)
    unfinished: Mapping[str, str] = field(default_factory=dict)
    strays: Mapping[str, str] = field(default_factory=dict)

    @property
    def compliant(self) -> bool:
        """Whether it is known that nothing the baseline approves is missing, and that no package is broken."""
        return not (self.unknowable or self.outstanding or self.unfinished or self.strays)

    @property
    def rows(self) -> dict[str, str]:
        """The states that are not compliant, by `name.arch`, as DescribeInstancePatches should list them after a Scan."""
        return {**dict.fromkeys(self.unfinished, "Failed"), **dict.fromkeys(self.outstanding, "Missing")}

    def __str__(self) -> str:
        if self.unknowable:
            return f"cannot be known ({self.unknowable})"
        parts = [f"lacks {key} {version}" for key, version in sorted(self.outstanding.items())]
        parts += [f"{key} is {state}" for key, state in sorted({**self.unfinished, **self.strays}.items())]
        return "; ".join(parts) or "compliant"


@dataclass(frozen=True)
class Claim:
    """What the product says after a Scan: the command's end, the live verdict, and the last operation's rows and counts."""

    status: str
    error: str
    standing: str
    doubts: Sequence[str]
    live: Mapping[str, str]
    reported: Mapping[str, str]
    counted: int

    @property
    def succeeded(self) -> bool:
        """Whether the Scan did."""
        return self.status == "Success"

    def __str__(self) -> str:
        doubts = f" ({', '.join(self.doubts)})" if self.doubts else ""
        rows = ", ".join(f"{key} {state}" for key, state in sorted(self.live.items()))
        return f"Scan {self.status}, {self.standing}{doubts}{': ' if rows else ''}{rows}"


def consult(node: Node, *, security_only: bool) -> Truth:
    """Ask the node's tools, for a baseline that approves every update or, with *security_only*, security updates alone."""
    answer = node.run(["/usr/bin/python3", "-I", "-c", ASK], timeout=120)
    return read(json.loads(answer.stdout), security_only=security_only)


def read(found: Mapping[str, Any], *, security_only: bool) -> Truth:
    """What the answers to `ASK` come to."""
    unknowable = _unknowable(found, security_only=security_only)
    if unknowable:
        return Truth(unknowable, nothing_approved=unknowable == NO_SECURITY)
    tables = _tables(found["policy"][1])
    outstanding, unfinished, strays = {}, {}, {}
    for line in found["dpkg"][1].splitlines():
        name, arch, installed, abbreviation = line.split("\t")
        if abbreviation[1] in "nc":
            continue
        key = f"{name}.{arch}"
        candidate, table = tables.get(name if arch in ("all", found["native"]) else f"{name}:{arch}", ("", {}))
        approved = {version for version, places in table.items() if _approves(places, security_only)}
        newer = {version for version in approved if found["newer"].get(f"{version}\t{installed}")}
        if candidate in newer and _arrives(found["coming"], name, candidate, table):
            outstanding[key] = candidate
        elif abbreviation[1] not in "iWt" or abbreviation[2:3] == "R":  # triggers that wait are other packages' work
            (unfinished if approved - newer else strays)[key] = abbreviation
    return Truth(outstanding=outstanding, unfinished=unfinished, strays=strays)


def disagreements(truth: Truth, claim: Claim) -> list[str]:
    """
    Where *claim* is not what *truth* says, in words; empty where they agree.

    `LIE` begins what calls a node compliant that is not, `FALSE ALARM` the reverse, `WRONG` any other difference.
    """
    found = []
    if claim.standing == "COMPLIANT" and not truth.compliant:
        found.append(f"LIE: the live verdict is COMPLIANT, the node {truth}")
    if truth.unknowable:
        return found + _of_the_unknowable(truth, claim)
    if not claim.succeeded:
        found.append(f"FALSE ALARM: the Scan is {claim.status} ({claim.error[:200]}), the node {truth}")
        return found
    for where, rows in (("the last operation", claim.reported), ("the live verdict", claim.live)):
        found += [f"LIE: {where} does not list {key} as {truth.rows[key]}" for key in sorted(truth.rows.keys() - rows)]
        found += [f"FALSE ALARM: {where} lists {key} as {rows[key]}" for key in sorted(rows.keys() - truth.rows)]
        both = sorted(rows.keys() & truth.rows)
        found += [f"WRONG: {where} calls {key} {rows[key]}" for key in both if rows[key] != truth.rows[key]]
    if claim.counted != len(claim.reported):
        found.append(f"WRONG: the summary counts {claim.counted}, the last operation lists {len(claim.reported)}")
    if truth.compliant and claim.standing != "COMPLIANT":
        found.append(f"FALSE ALARM: the live verdict is {claim.standing} ({claim.doubts}), the node compliant")
    if truth.rows and claim.standing != "NON_COMPLIANT":
        found.append(f"WRONG: the live verdict is {claim.standing}, the node {truth}")
    return found


def _of_the_unknowable(truth: Truth, claim: Claim) -> list[str]:
    """Nothing is made up: the command has failed and says why, and the verdict says that it rests on something old."""
    found = [] if claim.doubts else ["WRONG: the live verdict has no doubt"]
    if truth.nothing_approved:
        return found + ([f"WRONG: {key} {state}" for key, state in claim.reported.items()] if claim.succeeded else [])
    if claim.succeeded:
        found.append("LIE: the Scan succeeded")
    elif not claim.error.strip():
        found.append("WRONG: the Scan failed and does not say why")
    return found


def _unknowable(found: Mapping[str, Any], *, security_only: bool) -> str:
    for tool, what in (("dpkg", "dpkg-query"), ("audit", "dpkg --audit"), ("policy", "apt-cache policy")):
        if found[tool][0] not in ((0, 1) if tool == "audit" else (0,)):
            return f"{what}: {_first(found[tool][2])}"
    for tool in ("own", "fresh"):
        code, _, told = found[tool]
        if code != 0 or any(words in told for words in NO_ANSWER):
            return f"apt-get update: {_first(told)}"
    if found["release"].get("ID") not in COVERED:
        return f"os-release says {found['release'].get('ID')}"
    known = {line.partition("\t")[0] for line in found["dpkg"][1].splitlines()}
    lost = sorted(set(found["files"]) - known)
    if lost:
        return f"the database has lost {lost[0]}" + (f" and {len(lost) - 1} more" if lost[1:] else "")
    indexes = [line for line in found["fresh"][1].splitlines() if line.startswith("Get:") and "InRelease" in line]
    if not indexes:
        return "there are no repositories"
    if security_only and not any("-security" in line for line in indexes):
        return NO_SECURITY
    return ""


def _tables(listing: str) -> dict[str, tuple[str, dict[str, list[str]]]]:
    """By package: apt's candidate, and for each version where it is to be had."""
    tables: dict[str, tuple[str, dict[str, list[str]]]] = {}
    name, version = "", ""
    for line in listing.splitlines():
        words = line.split()
        if not line.startswith(" "):
            name = line.rstrip(":")
        elif line.startswith("  Candidate:"):
            tables[name] = (words[1], {})
        elif line.startswith((" *** ", "     ")) and not line.startswith("        "):
            version = words[1] if words[0] == "***" else words[0]
            tables[name][1].setdefault(version, [])
        elif line.startswith("        "):
            tables[name][1][version].append(line.strip())
    return tables


def _approves(places: Sequence[str], security_only: bool) -> bool:
    return any("-security/" in place if security_only else "/var/lib/dpkg/status" not in place for place in places)


def _arrives(coming: str, name: str, candidate: str, table: Mapping[str, Sequence[str]]) -> bool:
    """Whether the update has reached this machine: one that is phased in has where an upgrade would bring it."""
    if not PHASED.issuperset({name}):
        return True
    return f"Inst {name} " in coming and f"({candidate} " in coming and bool(table)


PHASED = frozenset({"phased"})  # the one package whose updates are phased in


def _first(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")[:120]
