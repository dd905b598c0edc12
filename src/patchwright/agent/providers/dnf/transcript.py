# SPDX-License-Identifier: Apache-2.0
"""
Reading what dnf 4 and dnf 5 print. They speak English here, because agent/shell.py sets the locale, and wrap no line where
no terminal is.

Whether something was installed is read from the rpm database; these texts say why not, and which scriptlets failed: dnf 4
ends with 0 when a %post does.
"""

from __future__ import annotations

import json
import re
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from patchwright.agent.providers.locks import Holder
from patchwright.agent.providers.rpm.database import evr
from patchwright.agent.providers.words import cut, without_secret
from patchwright.core.facts import RepositoryProblem

LOCAL_REPOSITORY = "_dnf_local"  # how repositories begin in which dnf's plugin keeps what was installed before
LOCAL_NAMES = ("Local libdnf5 plugin repo", LOCAL_REPOSITORY)
COMING = ("installing", "upgrading")
OTHERS = (
    "removing",
    "downgrading",
    "reinstalling",
    "obsoleting",
    "skipping",
    "replacing",
    "changing reason",
    "enabling",
)
_SECTION = re.compile(r"([A-Z][\w /()'-]*):\s*\Z")
_ROW = re.compile(r" (\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+\S.*\Z")
_REPLACING = re.compile(r"\s{2,}replacing\s+(\S+)")
_PROBLEM = re.compile(r"^ ?Problem(?: \d+)?: ", re.MULTILINE)
_NO_MATCH = (
    re.compile(r"^No match for argument: (\S+)", re.MULTILINE),
    re.compile(r"^Argument '(\S+)' matches only (?:excluded packages|packages excluded)", re.MULTILINE),
    re.compile(r"^All matches were filtered out by exclude filtering for argument: (\S+)", re.MULTILINE),
)
_FILTERED = re.compile(r"package (\S+?)(?: from \S+)? is filtered out by exclude filtering")
_SCRIPTLET = re.compile(r"(%\w+)\((\S+?)\) scriptlet failed, (.*)")
_DOWNLOAD = (
    re.compile(r'^Package "(\S+)" from local repository "\S+" has (.*)$', re.MULTILINE),
    re.compile(r"^\[MIRROR\] (\S+?)\.rpm: (.*)$", re.MULTILINE),
    re.compile(r"^\[FAILED\] (\S+?)\.rpm: (.*)$", re.MULTILINE),
    re.compile(r"Cannot download (?:\S*/)?(\S+?)\.rpm: (.*)$", re.MULTILINE),
)
_CONFLICT = re.compile(r"^\s*(?:- )?(file \S+ .*?install of (\S+) .*)$", re.MULTILINE)
_LOCKS = re.compile(
    r"can't create transaction lock on (\S+)|Failed to obtain the transaction lock|Failed to obtain rpm transaction lock"
    r"|Waiting for process with pid (\d+) to finish|Failed to obtain the \w+ lock"
)
_REPO_FAILED = re.compile(r"^Error: Failed to download metadata for repo '([^']+)': (.*)$", re.MULTILINE)
_REPO_ERRORS = re.compile(
    r"^Errors during downloading metadata for repository '([^']+)':\n((?:  - .*\n?)+)", re.MULTILINE
)
_REPO_IGNORED = re.compile(r"^Ignoring repositories: (.*)$", re.MULTILINE)
_REPO_FAILED5 = re.compile(r'^Failed to download metadata .*for repository "([^"]+)": (.*)$', re.MULTILINE)
_PROGRESS5 = re.compile(r"^ (\S.*?)\s+(\?\?\?|\d+)% \|")
_BAD_FILE = re.compile(
    r"^(?:Warning: failed loading '(\S+)', skipping|Error in configuration file \"(\S+)\"|Invalid configuration value: .* in (\S+);)",
    re.MULTILINE,
)


class Change(NamedTuple):
    """One package that a transaction brings in."""

    name: str
    arch: str
    version: str


class Transaction(NamedTuple):
    """
    What dnf says it would do. *coming* is installed or upgraded; *going* is removed, by the name and architecture; *others*
    are kinds of changes that no plan may have, such as `downgrading foo.noarch`.
    """

    coming: Tuple[Change, ...]
    going: Tuple[Change, ...]
    others: Tuple[str, ...]


def transaction(stdout: str) -> Transaction:
    """Read the table that `dnf --assumeno upgrade` prints. A transaction without changes has none."""
    coming: List[Change] = []
    going: List[Change] = []
    others: List[str] = []
    section, last = "", ""
    for line in stdout.splitlines():
        head = _SECTION.match(line)
        if head:
            section = head.group(1).lower()
            continue
        if not line.startswith(" "):
            section = section if line.strip("= ") == "" and line else ""
            continue
        replaced = _REPLACING.match(line)
        if replaced:
            name = replaced.group(1)
            if name not in (last, *(f"{last}.{arch}" for arch in _archs(coming, last))):
                others.append(f"removing {name}")
            continue
        row = _ROW.match(line)
        if row and section:
            change = Change(row.group(1), row.group(2), plain(row.group(3)))
            last = change.name
            if section.startswith(COMING):
                coming.append(change)
            elif section.startswith("removing"):
                going.append(change)
            elif section.startswith(OTHERS) and not section.startswith(("changing reason", "enabling", "skipping")):
                others.append(f"{section} {change.name}.{change.arch}")
    return Transaction(tuple(coming), tuple(going), tuple(others))


def _archs(coming: Sequence[Change], name: str) -> Set[str]:
    return {change.arch for change in coming if change.name == name}


def plain(version: str) -> str:
    """A version without an epoch of 0, as the facts have it."""
    epoch, colon, rest = version.partition(":")
    return evr(epoch, rest) if colon else version


def problems(text: str) -> List[str]:
    """Every problem that the resolver names, each in one line."""
    parts = _PROBLEM.split(text)[1:]
    found = []
    for part in parts:
        lines = part.splitlines()
        kept = [lines[0]] if lines else []
        for line in lines[1:]:
            if not line.startswith("  - "):
                break
            kept.append(line[4:])
        kept = [line.strip() for line in kept if "conflicting requests" not in line]
        found.append("; ".join(dict.fromkeys(kept)))
    return found


def unmatched(text: str) -> Set[str]:
    """The arguments for which the repositories have nothing."""
    return {name for pattern in _NO_MATCH for name in pattern.findall(text)}


def filtered(text: str) -> Set[str]:
    """The packages that were left out because they are excluded, as dnf writes them."""
    return set(_FILTERED.findall(text))


def errors(text: str) -> str:
    """The error lines of *text* in one line; empty where there are none."""
    found = problems(text)
    lines = [line.partition(":")[2].strip() for line in text.splitlines() if line.startswith(("Error:", "RPM: error:"))]
    lines += [line.strip() for line in text.splitlines() if line.startswith(("Transaction failed", "Failed to "))]
    return cut(without_secret("; ".join(dict.fromkeys([*found, *(line for line in lines if line)]))))


def scriptlet_failures(text: str) -> Dict[str, str]:
    """By package (`name-version-release.arch`, no epoch): which of its scripts failed and how."""
    found: Dict[str, str] = {}
    for script, package, how in _SCRIPTLET.findall(text):
        found.setdefault(package, cut(f"its script {script} failed: {how.strip()}"))
    return found


def package_failures(text: str) -> Dict[str, str]:
    """By package (`name-version-release.arch`): why it could not be fetched, or its files not be put in place."""
    found: Dict[str, str] = {}
    for pattern in _DOWNLOAD:
        for package, reason in pattern.findall(text):
            found[package] = cut(without_secret(f"cannot be fetched: {reason.strip()}"))
    for line, package in _CONFLICT.findall(text):
        found.setdefault(package, cut(line.strip()))
    return found


def lock_holder(text: str) -> Optional[Holder]:
    """Who held the lock that made dnf or rpm give up; None where it gave up for another reason, or did not."""
    found = _LOCKS.search(text)
    if not found:
        return None
    return Holder(found.group(1) or "dnf's lock", int(found.group(2) or 0), "")


def failed_as_a_whole(text: str) -> bool:
    """Whether rpm refused a transaction of dnf 5 before it touched a package."""
    return "Rpm transaction failed" in text and "Prepare transaction" not in text


def repository_problems(stdout: str, stderr: str, code: int, names: Mapping[str, str]) -> Tuple[RepositoryProblem, ...]:
    """
    The repositories that a refresh could not read, one entry each, sorted. *names* are their ids by their long names: dnf 5
    shows only those.
    """
    found: Dict[str, List[str]] = {}
    for repository, lines in _REPO_ERRORS.findall(stderr):
        found.setdefault(repository, []).extend(line.strip(" -") for line in lines.splitlines())
    for pattern in (_REPO_FAILED, _REPO_FAILED5):
        for repository, reason in pattern.findall(stderr):
            found.setdefault(repository, []).append(reason)
    for listing in _REPO_IGNORED.findall(stderr):
        for repository in listing.split(", "):
            found.setdefault(repository.strip(), []).append("ignored")
    for name, messages in _failed_downloads(stderr + "\n" + stdout):
        repository = names.get(name) or next((names[full] for full in names if full.startswith(name)), name)
        found.setdefault(repository, []).extend(messages)
    for match in _BAD_FILE.finditer(stderr):
        found.setdefault(next(group for group in match.groups() if group), []).append(
            errors(stderr) or "cannot be read"
        )
    found = {repository: told for repository, told in found.items() if not repository.startswith(LOCAL_NAMES)}
    if code != 0 and not found:
        found[""] = [errors(stderr + "\n" + stdout) or f"the refresh ended with exit code {code}"]
    return tuple(
        RepositoryProblem(cut(repository, 1000), cut(without_secret("; ".join(_useful(messages))), 1000))
        for repository, messages in sorted(found.items())
    )


def _useful(messages: Sequence[str]) -> List[str]:
    kept = [message for message in dict.fromkeys(messages) if message != "ignored"]
    return kept or ["it cannot be read, and is ignored"]


def _failed_downloads(text: str) -> List[Tuple[str, List[str]]]:
    """dnf 5's progress: a line a repository, and below it `>>>` lines of what went wrong."""
    result: List[Tuple[str, List[str]]] = []
    failed = False
    for line in text.splitlines():
        progress = _PROGRESS5.match(line)
        if progress:
            failed = progress.group(2) == "???" or progress.group(2) == "0"
            result.append((progress.group(1), []))
        elif line.startswith(">>> ") and result and failed:
            result[-1][1].append(line[4:].strip())
    return [(name, messages) for name, messages in result if messages]


def enabled4(stdout: str) -> Dict[str, str]:
    """Long names by id, from `dnf repolist --enabled` of dnf 4."""
    found = {}
    for line in stdout.splitlines():
        words = line.split(None, 1)
        if words and not line.startswith(("repo id ", "Last metadata", " ", LOCAL_REPOSITORY)):
            found[words[0]] = words[1].strip() if len(words) > 1 else ""
    return found


def enabled5(stdout: str) -> Dict[str, str]:
    """Long names by id, from `dnf5 repo list --enabled --json`."""
    try:
        rows = json.loads(stdout or "[]")
        return {str(row["id"]): str(row.get("name", "")) for row in rows if not row["id"].startswith(LOCAL_REPOSITORY)}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
