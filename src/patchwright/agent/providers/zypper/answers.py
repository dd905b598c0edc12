# SPDX-License-Identifier: Apache-2.0
"""
Reading what zypper prints with --xmlout.

What packages' scripts write stands in the middle of it, and an interrupted output has no end: so it is read piece by piece and
never as a whole document.
"""

from __future__ import annotations

import html
import re
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from patchwright.agent.providers.locks import Holder
from patchwright.agent.providers.resolver import Request, Simulated
from patchwright.agent.providers.words import readable, without_secret

# As zypper(8) lists its exit codes.
DONE, SCRIPT_FAILED = 0, 107
REBOOT_NEEDED, RESTART_NEEDED = 102, 103
LOCKED, NO_REPOSITORIES = 7, 6
REPOSITORIES_SKIPPED = 106
FINE = (DONE, 100, 101, REBOOT_NEEDED, RESTART_NEEDED)
FORETOLD = (*FINE, REPOSITORIES_SKIPPED)  # a simulation that is one, if without a repository that was never fetched
# What zypper says when a server is busy (503): it waits, and asks for each package again and again. What scripts write is escaped, and never reads so.
RETRYING = '<message type="info">Retrying in 30 seconds...</message>'
REASON_LIMIT = 1_000  # characters

_MESSAGE = re.compile(r'<message type="(\w+)">(.*?)</message>', re.DOTALL)
_SECTION = re.compile(r"<to-([a-z-]+)>(.*?)</to-\1>", re.DOTALL)
_SOLVABLE = re.compile(r'<solvable type="package" ([^>]*)>')
_ATTRIBUTE = re.compile(r'([\w-]+)="([^"]*)"')
_DESCRIPTION = re.compile(r"<description>(.*?)</description>", re.DOTALL)
_HOLDER = re.compile(r"locked by the application with pid (\d+)(?: \((.*)\))?")
_SKIPPED = re.compile(r"Skipping repository '(.+?)' because of the above error")
_SCRIPTLET = re.compile(r"^(?:warning|error): %(\w+)\((.+?)\) scriptlet failed, (.*)$", re.MULTILINE)
_FAILED = re.compile(r"(?:Installation|Removal) of (?:\(\d+\))?(\S+) failed:\s*(.*)", re.DOTALL)
_NOT_FOUND = re.compile(r"(?:No provider of|Package) '(.+?)'(?: found| not found)")
_NOISE = re.compile(
    r"rpm: (?:RPM should not be used directly|However assuming you know).*\n?|^Error: Subprocess failed\. Error: RPM failed: "
    r"|Please see the above error message for a hint\.",
    re.MULTILINE,
)


class Summary(NamedTuple):
    """What zypper would do: changes, and the names (`name.arch`) that would be removed."""

    installed: Tuple[Simulated, ...]
    removed: Tuple[str, ...]


def messages(output: str) -> List[Tuple[str, str]]:
    """(type, text) of every message, in order."""
    return [(kind, html.unescape(text).strip()) for kind, text in _MESSAGE.findall(output)]


def errors(output: str) -> str:
    """The error messages of an output as one text; empty where there are none."""
    return cut("; ".join(text for kind, text in messages(output) if kind == "error"))


def summary(output: str) -> Summary:
    """What a simulated installation says it would do."""
    changes: List[Simulated] = []
    removed: List[str] = []
    for section, body in _SECTION.findall(output):
        for line in _SOLVABLE.findall(body):
            fields = {name: html.unescape(value) for name, value in _ATTRIBUTE.findall(line)}
            name, arch, version = (fields.get(field, "") for field in ("name", "arch", "edition"))
            if section == "remove":
                removed.append(f"{name}.{arch}")
            elif name and arch and version:
                same = fields.get("arch-old", arch) == arch
                changes.append(Simulated(name, arch, fields.get("edition-old", "") if same else "", version))
    return Summary(tuple(changes), tuple(sorted(set(removed) - {change.key for change in changes})))


def problems(output: str) -> List[str]:
    """
    Why the resolver refuses, one text a problem, with what it says of locks: there the solutions name what stands in the way.
    """
    found: List[str] = []
    for description in _DESCRIPTION.findall(output):
        text = html.unescape(description)
        if text.startswith("Problem: "):
            found.append(_problem(text))
    told = [text for _, text in messages(output) if text.startswith("Problem: ")]
    found.extend(_problem(text) for text in told if not any(one.startswith(_problem(text)) for one in found))
    return found


def not_found(output: str) -> List[str]:
    """What was asked for and is not offered, as it was asked for."""
    return [found for kind, text in messages(output) if kind == "error" for found in _NOT_FOUND.findall(text)]


def refusals(output: str, requests: Sequence[Request]) -> Dict[str, str]:
    """By `name.arch` why requests cannot be done, as far as zypper names them."""
    told = [*problems(output), *(f"no repository offers {text}" for text in not_found(output))]
    reasons: Dict[str, str] = {}
    for request in requests:
        forms = (
            f"{request.name}-{request.version}.{request.arch}",
            f"{request.name}.{request.arch} = ",
            argument(request),
        )
        named = [text for text in told if any(form in text for form in forms)]
        if named:
            reasons[request.key] = cut("; ".join(named))
    return reasons


def argument(request: Request) -> str:
    """A request as zypper takes it."""
    return f"{request.name}.{request.arch}={request.version}"


def holder(output: str, code: int) -> Optional[Holder]:
    """Who holds zypper's lock, where that is why it did nothing."""
    found = _HOLDER.search(html.unescape(output))
    if found:
        return Holder("/run/zypp.pid", int(found.group(1)), found.group(2) or "")
    return Holder("/run/zypp.pid", 0, "") if code == LOCKED else None


def repository_failures(output: str) -> List[Tuple[str, str]]:
    """(repository, what zypper says of it) for those that a refresh could not read, in its order."""
    found: List[Tuple[str, str]] = []
    told: List[str] = []
    for kind, text in messages(output):
        skipped = _SKIPPED.search(text)
        if skipped:
            found.append((skipped.group(1), cut(" ".join(told)) or "cannot be read"))
            told = []
        elif kind == "error":
            told.append(_NOISE.sub("", text).strip())
        elif kind == "info":
            told = []
    return found


def failures(output: str, requests: Iterable[Request]) -> Dict[str, str]:
    """By `name.arch` why an installation failed, for those of *requests* whose package was not installed."""
    known = {f"{one.name}-{one.version}.{one.arch}": one.key for one in requests}
    files = {_file(one): one.key for one in requests}
    found: Dict[str, str] = {}
    for kind, text in messages(output):
        failed = _FAILED.match(text) if kind == "error" else None
        if failed and failed.group(1) in known:
            found[known[failed.group(1)]] = cut(_NOISE.sub("", failed.group(2)))
        elif kind == "error" and not failed:
            named = [key for file, key in files.items() if file in text]
            found.update({key: cut(text) for key in named if key not in found})
    return found


def scriptlets(output: str, requests: Iterable[Request]) -> Dict[str, str]:
    """By `name.arch` the scripts that failed though their package was installed."""
    known = {}
    for one in requests:
        bare = one.version.partition(":")[2] or one.version
        known[f"{one.name}-{one.version}.{one.arch}"] = known[f"{one.name}-{bare}.{one.arch}"] = one.key
    found: Dict[str, str] = {}
    for script, package, how in _SCRIPTLET.findall(html.unescape(output)):
        key = known.get(package)
        if key and key not in found:
            found[key] = cut(f"its %{script} script failed, {how}")
    return found


def plain(output: str) -> str:
    """The messages of an output as a person reads them; what stands outside of messages is for programs."""
    lines = [_NOISE.sub("", text).strip() for _, text in messages(output)]
    text = "\n".join(line for line in lines if line and line != "Additional rpm output:")
    return without_secret(readable(text))


def cut(text: str) -> str:
    """*text* on one line, without credentials, no longer than a reason may be."""
    return without_secret(" ".join(text.split()))[:REASON_LIMIT]


def _problem(text: str) -> str:
    """One problem without its solutions, but for the locks that they would remove."""
    head, *solutions = re.split(r"\n Solution \d+: ", text)
    locks = {line.strip() for part in solutions for line in part.splitlines() if "remove lock to allow" in line}
    kept = sorted(line.partition("remove lock to allow ")[2] for line in locks)
    told = cut(head[len("Problem: ") :])
    return f"{told} (a lock forbids the {', the '.join(kept)})" if kept else told


def _file(request: Request) -> str:
    bare = request.version.partition(":")[2] or request.version
    return f"{request.name}-{bare}.{request.arch}.rpm"
