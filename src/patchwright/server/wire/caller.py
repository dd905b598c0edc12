# SPDX-License-Identifier: Apache-2.0
"""Who calls, and what for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from patchwright.server.accounts import Principal, Scope, Signed


@dataclass(frozen=True, slots=True)
class Caller:
    """
    The verified author of a request.

    *kind* is "user", "node" or "anonymous"; *principal* is an ARN. An anonymous caller has neither account nor region.
    *region* is the one the request was signed for. *target* is the operation, as in `AmazonSSM.SendCommand`.
    *source_ip* is the peer's address. *identity* says more of who a user or node is; an anonymous caller has none.
    *secure*: whether TLS was spoken, to us or to a trusted proxy. *public_key*: which of its keys the caller signed with, as the
    accounts room calls them; empty for who signs with a secret. *signed*: the signature, and for which call it was used.
    """

    account: str
    region: str
    principal: str
    kind: str
    instance_id: str | None
    request_id: str
    source_ip: str
    target: str
    access_key_id: str = ""
    identity: Principal | None = None
    secure: bool = False
    public_key: str = ""
    signed: Signed | None = None

    @property
    def scope(self) -> Scope:
        """The account and region that the request is about."""
        return Scope(self.account, self.region)


# What serves one operation: the request's members in, the answer's out. Refuses by raising.
Handler = Callable[[Caller, dict[str, Any]], Awaitable[dict[str, Any]]]
