# SPDX-License-Identifier: Apache-2.0
"""
Reading what apt-get and dpkg print. They speak English here, because agent/shell.py sets the locale.

Nothing here decides whether something worked: that is read from dpkg's database. These texts say why it did not.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

from patchwright.agent.providers.locks import Holder
from patchwright.agent.providers.resolver import Simulated
from patchwright.agent.providers.words import cut, without_secret
from patchwright.core.facts import RepositoryProblem

_INST = re.compile(r"^Inst (\S+)(?: \[([^\]]+)\])? \((\S+).*?\[([^\]]+)\]\)")
_CONF = re.compile(r"^Conf (\S+) \((\S+).*?\[([^\]]+)\]\)")
_GONE = re.compile(r"^(?:Remv|Purg) (\S+)")
_UNMET = re.compile(r"^(?: {1,2})(\S+) : (.*)$")
_MORE_UNMET = re.compile(r"^ {3,}(\S.*)$")
_NAMED = (
    re.compile(r"Version '[^']*' for '([^']+)' was not found"),
    re.compile(r"Unable to locate package (\S+)"),
    re.compile(r"Package '?([^\s']+)'? (?:has no installation candidate|is not available)"),
)
# apt also says "Could not get lock" while it waits for one that it gets in the end: only an error counts.
_LOCK = re.compile(r"^E: (?:Could not get lock|Unable to acquire the dpkg frontend lock) \(?([^\s(),]+)", re.MULTILINE)
_LOCK_HOLDER = re.compile(r"held by process (\d+)(?: \(([^)]*)\))?")
_DPKG_LOCK = re.compile(
    r"^dpkg: error: dpkg (?:frontend lock|status database) (?:was|is) locked by .*?process(?: with pid (\d+))?",
    re.MULTILINE,
)
_DPKG_ERROR = re.compile(
    r"^dpkg: error processing (?:package (\S+)|archive (\S+)) \(--[\w-]+\):\r?\n((?: .*(?:\r?\n|$))+)", re.MULTILINE
)
_DPKG_DEPENDS = re.compile(
    r"^dpkg: dependency problems prevent (?:configuration|processing triggers) of (\S+?):\r?\n((?: .*(?:\r?\n|$))+)",
    re.MULTILINE,
)
_FETCH = re.compile(r"^[EW]: Failed to fetch (\S+)\s+(.*)$", re.MULTILINE)
_REPOSITORY = re.compile(r"^(\S+?://\S+?)/?(?:/dists/(\S+?))?/(?:In)?Release(?:\.gpg)?$")
_INDEX = re.compile(r"^(\S+?://\S+?)/dists/(.+?)/(?:[^/]+/(?:binary-|source|i18n|dep11|cnf|Contents).*|by-hash/.*)$")
# What apt adds to a failure that something else explains.
_NOISE = ("Sub-process ", "Can not write log ", "The following information from --solver")
_SUMMARIES = ("Some index files failed to download", "Unable to fetch some archives", "The list of sources could")


class Simulation(NamedTuple):
    """What apt-get -s says it would do. *removed* are names, `name:arch` where the architecture is foreign."""

    installed: Tuple[Simulated, ...]
    removed: Tuple[str, ...]


def simulation(stdout: str) -> Simulation:
    """Read the output of `apt-get -s install`."""
    installed, removed = [], []
    for line in stdout.splitlines():
        inst = _INST.match(line)
        if inst:
            name, before, after, arch = inst.groups()
            installed.append(Simulated(name.partition(":")[0], arch, before or "", after))
            continue
        gone = _GONE.match(line)
        if gone:
            removed.append(gone.group(1))
    return Simulation(tuple(installed), tuple(removed))


def removals(stdout: str) -> Tuple[str, ...]:
    """The names that apt-get lists under "will be REMOVED"; it says so before it refuses, too."""
    names: List[str] = []
    for line in stdout.partition("packages will be REMOVED:\n")[2].splitlines():
        if not line.startswith("  "):
            break
        names.extend(line.split())
    return tuple(names)


def unmet(stdout: str) -> Dict[str, List[str]]:
    """By name (`name:arch` where foreign): the dependencies that a failed simulation could not meet."""
    found: Dict[str, List[str]] = {}
    lines = stdout.partition("unmet dependencies")[2].splitlines()[1:]
    current: Optional[List[str]] = None
    for line in lines:
        first = _UNMET.match(line)
        more = _MORE_UNMET.match(line)
        if first:
            current = found.setdefault(first.group(1), [])
            current.append(" ".join(first.group(2).split()))
        elif more and current is not None:
            current.append(" ".join(more.group(1).split()))
        elif line and not line.startswith(" "):
            break
    return found


def named(stdout: str, stderr: str) -> Set[str]:
    """The packages that a failed simulation blames: a hint where to look first, no verdict."""
    names = set(unmet(stdout))
    for pattern in _NAMED:
        names.update(pattern.findall(stderr))
        names.update(pattern.findall(stdout))
    return names


def why_not(stdout: str, stderr: str, name: str) -> str:
    """Why apt-get could not do what it was asked, for *name* where it says so, in one line."""
    dependencies = unmet(stdout)
    if name in dependencies:
        return cut("; ".join(dependencies[name]))
    if dependencies:
        return cut("; ".join(f"{other} {text}" for other, texts in dependencies.items() for text in texts))
    return errors(stderr) or "apt gives no reason"


def errors(text: str) -> str:
    """The error lines of apt and dpkg in *text*, in one line; empty where there are none."""
    lines = [line[3:].strip() for line in text.splitlines() if line.startswith("E: ")]
    lines = [line for line in lines if not line.startswith(_NOISE)] or lines
    if not lines:
        lines = [line.strip() for line in text.splitlines() if line.startswith(("dpkg: error", "dpkg: unrecoverable"))]
    return cut("; ".join(dict.fromkeys(lines)))


def was_broken(stderr: str) -> bool:
    """Whether apt-get refused because dependencies on the node were broken before it was asked for anything."""
    return "--fix-broken install" in stderr or "-f install" in stderr


def lock_holder(text: str) -> Optional[Holder]:
    """Who held the lock that made apt or dpkg give up; None where it gave up for another reason, or did not."""
    found = _LOCK.search(text)
    if found:
        holder = _LOCK_HOLDER.search(text)
        pid, command = (int(holder.group(1)), holder.group(2) or "") if holder else (0, "")
        return Holder(found.group(1).rstrip("."), pid, command)
    dpkg = _DPKG_LOCK.search(text)
    return Holder("/var/lib/dpkg/lock-frontend", int(dpkg.group(1) or 0), "") if dpkg else None


def package_failures(text: str) -> Dict[str, str]:
    """
    By name (`name:arch` where dpkg qualifies it): what dpkg says of each package that it could not process.

    A package that waits for another one is explained by what it waits for.
    """
    waits = {}
    for match in _DPKG_DEPENDS.finditer(text):
        lines = [" ".join(line.split()) for line in match.group(2).splitlines()]
        waits[match.group(1)] = " ".join(lines)
    found: Dict[str, str] = {}
    for match in _DPKG_ERROR.finditer(text):
        package = match.group(1) or _archive_name(match.group(2))
        reason = " ".join(match.group(3).split())
        if reason.startswith("dependency problems") and package in waits:
            reason = waits[package]
        found.setdefault(package, cut(reason))
    return found


def fetch_failures(text: str) -> Dict[str, str]:
    """By package name: why its archive could not be fetched."""
    found = {}
    for address, reason in _FETCH.findall(text):
        if address.endswith(".deb"):
            told = " ".join(reason.split())
            found[_archive_name(address)] = cut(f"cannot be fetched: {without_secret(address)}: {told}")
    return found


def repository_problems(stdout: str, stderr: str, code: int) -> Tuple[RepositoryProblem, ...]:
    """
    The repositories that `apt-get update` could not read, one entry each, sorted.

    apt-get ends with 0 when a server does not answer, and with a warning when a signature is bad: the lines count, not the
    code. Warnings that leave the lists fresh (an old keyring, a weak digest) are none.
    """
    found: Dict[str, List[str]] = {}
    for line in stderr.splitlines():
        kind, text = line[:3], without_secret(line[3:].strip())
        if kind not in ("E: ", "W: ") or text.startswith(_SUMMARIES):
            continue
        if kind == "E: " or "Failed to fetch" in text or "GPG error" in text or "signature verification" in text:
            found.setdefault(_repository(text), []).append(_message(text))
    for address, text in _erred(stdout):
        if not any(address.startswith(known) or known.startswith(address) for known in found if known):
            found.setdefault(address, []).append(text)
    named = {repository: messages for repository, messages in found.items() if repository}
    if not named and (code != 0 or found):
        named = {"": found.get("") or [f"apt-get update ended with exit code {code}"]}
    return tuple(
        RepositoryProblem(repository[:1000], cut("; ".join(dict.fromkeys(messages)), 1000))
        for repository, messages in sorted(named.items())
    )


def _archive_name(path: str) -> str:
    """The package that a .deb's file name names; apt numbers them when there are many: `03-foo_1.0_all.deb`."""
    return re.sub(r"^\d+-", "", path.rpartition("/")[2]).partition("_")[0]


def _repository(text: str) -> str:
    """The repository a message is about, as `ADDRESS SUITE`; empty where it names none."""
    quoted = re.search(r"[Rr]epository '([^']+)'", text)
    if quoted:
        words = [word for word in quoted.group(1).split() if word not in ("Release", "InRelease")]
        return " ".join(words[:2])
    address = re.search(r"\b\w[\w+.-]*://\S+", text)
    if not address:
        return ""
    plain = address.group(0).rstrip(":,.'\"")
    spaced = re.search(re.escape(plain) + r" (\S+) (?:In)?Release", text)
    if spaced:
        return f"{plain.rstrip('/')} {spaced.group(1)}"
    for pattern in (_REPOSITORY, _INDEX):
        found = pattern.match(plain)
        if found:
            return " ".join(part for part in found.groups() if part)
    return plain


def _message(text: str) -> str:
    found = re.match(r"Failed to fetch \S+\s+(.*)$", text)
    return " ".join((found.group(1) if found else text).split())


def _erred(stdout: str) -> List[Tuple[str, str]]:
    """What the lines `Err:N ADDRESS SUITE Release` and the indented lines under them say."""
    result: List[Tuple[str, str]] = []
    lines = stdout.splitlines()
    for number, line in enumerate(lines):
        found = re.match(r"Err:\d+ (\S+) (\S+)", line)
        if found:
            following = lines[number + 1] if number + 1 < len(lines) else ""
            reason = following.strip() if following.startswith("  ") else "cannot be read"
            address = f"{without_secret(found.group(1)).rstrip('/')} {found.group(2).partition('/')[0]}"
            result.append((address, reason))
    return result
