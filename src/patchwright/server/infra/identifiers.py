# SPDX-License-Identifier: Apache-2.0
"""New identifiers, in the forms AWS gives them. Unpredictable: they come from `secrets`."""

from __future__ import annotations

import contextlib
import itertools
import secrets
from collections.abc import Iterator
from contextvars import ContextVar

_HEX_DIGITS = 17  # of a resource identifier, as in pb-0123456789abcdef0

_NOTED: ContextVar[list[str] | None] = ContextVar("patchwright_new_ids", default=None)


@contextlib.contextmanager
def noting(made: list[str]) -> Iterator[None]:
    """Add to *made* every identifier that is made inside, in this task and those it starts."""
    token = _NOTED.set(made)
    try:
        yield
    finally:
        _NOTED.reset(token)


def note(made: str) -> str:
    """Say that *made* is a new identifier; returns it. For identifiers that have a form of their own."""
    noted = _NOTED.get()
    if noted is not None:
        noted.append(made)
    return made


def new_uuid() -> str:
    """A random UUID (version 4) as text: command, operation and request ids."""
    digits = secrets.token_hex(16)
    variant = "89ab"[int(digits[16], 16) & 3]
    return note(f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}")


class RequestIds:
    """
    Ids of requests: UUIDs as `new_uuid` makes them, of which a process draws one and counts on. They are told apart, not
    guarded.
    """

    def __init__(self) -> None:
        self._start = new_uuid()[:24]
        self._numbers = itertools.count(secrets.randbits(40))

    def next(self) -> str:
        """The next one."""
        return f"{self._start}{next(self._numbers) & 0xFFFFFFFFFFFF:012x}"


def new_id(prefix: str) -> str:
    """*prefix*, a hyphen and 17 hexadecimal digits: `new_id("pb")` for baselines, `"mi"` nodes, `"mw"` windows."""
    return note(f"{prefix}-{secrets.token_hex(9)[:_HEX_DIGITS]}")
