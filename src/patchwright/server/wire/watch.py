# SPDX-License-Identifier: Apache-2.0
"""Who is told of calls while they are served, and of those that are refused: the audit trail."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from .caller import Caller


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    A request that was answered with the error *code*.

    *caller* is who asked, None where that was not proved; then *account* and *key_id* are what the request claims, as far as
    they are known. *request* has its members, empty where they were not read.
    """

    code: str
    target: str
    request_id: str
    source_ip: str
    caller: Caller | None
    account: str
    key_id: str
    request: Mapping[str, Any]


class Watch(Protocol):
    """Is told, and neither waits nor raises."""

    def during(self, caller: Caller, request: Mapping[str, Any]) -> contextlib.AbstractContextManager[None]:
        """The call of *caller* with *request* is served inside."""
        ...

    def refused(self, refusal: Refusal) -> None:
        """A request was refused, or failed."""
        ...


class Unwatched:
    """A Watch that looks away."""

    def during(self, caller: Caller, request: Mapping[str, Any]) -> contextlib.AbstractContextManager[None]:
        """Nothing."""
        return contextlib.nullcontext()

    def refused(self, refusal: Refusal) -> None:
        """Nothing."""
