# SPDX-License-Identifier: Apache-2.0
"""
Finding what a package manager can do of what is wanted, when it cannot do all of it.

Package managers answer yes or no to a whole request. `largest` asks with everything first, and only on a no looks for those that are in
the way, by halving; what stays has been simulated together.
"""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Sequence, Set, Tuple


class Simulated(NamedTuple):
    """One package's change in a simulation. *before* is empty for what is not installed."""

    name: str
    arch: str
    before: str
    after: str

    @property
    def key(self) -> str:
        """`name.arch`."""
        return f"{self.name}.{self.arch}"


class Request(NamedTuple):
    """One version of one package that a package manager is asked for."""

    name: str
    arch: str
    version: str

    @property
    def key(self) -> str:
        """`name.arch`."""
        return f"{self.name}.{self.arch}"


class Answer(NamedTuple):
    """
    What a simulation of several requests came to.

    *refusal* is empty where it may be done; else *reasons* say by `name.arch` why, as far as the manager names packages.
    """

    closure: Tuple[Simulated, ...]
    refusal: str = ""
    reasons: Dict[str, str] = {}  # noqa: RUF012 - a NamedTuple's default, never changed


class Largest(NamedTuple):
    """The requests that can be done together, what that changes, and by `name.arch` why the others cannot."""

    requests: Tuple[Request, ...]
    closure: Tuple[Simulated, ...]
    reasons: Dict[str, str]


def largest(requests: Sequence[Request], simulate: Callable[[Sequence[Request]], Answer]) -> Largest:
    """
    A largest part of *requests* that *simulate* allows: none of those left out could be added to it.

    With nothing in the way it costs one simulation; with k packages in the way among n, its own naming of them makes that
    about k + 2, and without it k · 2 log n.
    """
    good: List[Request] = []
    closure: Tuple[Simulated, ...] = ()
    reasons: Dict[str, str] = {}
    batches: List[List[Request]] = [list(requests)] if requests else []
    while batches:
        batch = batches.pop()
        answer = simulate([*good, *batch])
        if not answer.refusal:
            good.extend(batch)
            closure = answer.closure
        elif len(batch) == 1:
            reasons[batch[0].key] = answer.reasons.get(batch[0].key) or answer.refusal
        else:
            batches.extend(_parts(batch, set(answer.reasons)))
    return Largest(tuple(good), closure, reasons)


def _parts(batch: List[Request], blamed: Set[str]) -> List[List[Request]]:
    """*batch* in two, to be tried from the last on: those without blame first, else one half and the other."""
    accused = [request for request in batch if request.key in blamed]
    if 0 < len(accused) < len(batch):
        return [accused, [request for request in batch if request.key not in blamed]]
    middle = len(batch) // 2
    return [batch[middle:], batch[:middle]]
