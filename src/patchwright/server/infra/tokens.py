# SPDX-License-Identifier: Apache-2.0
"""
Client tokens: a request that is repeated gives the result it gave before (spec §0.4).

    await database.write(once, *scope, token, lambda: _create(…), now=now)     where making the thing gives its id

`earlier_result` and `keep_result` are its two halves, for what answers more than an id.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from patchwright.core.errors import PatchwrightError
from patchwright.server.infra.statement import UnitOfWork, sql


class TokenReused(PatchwrightError):
    """A client token was used before, with another request."""


class ClientToken(NamedTuple):
    """What makes a request the same again: the *operation*, the caller's *token*, and a hash of everything else."""

    operation: str
    token: str
    request_hash: str


def earlier_result(account: str, region: str, token: ClientToken | None) -> UnitOfWork[str | None]:
    """What the request gave when it came before; None the first time, or without a token. Errors: TokenReused."""
    if token is None:
        return None
    rows = yield sql(
        "SELECT request_hash, result FROM client_token"
        " WHERE account = $1 AND region = $2 AND operation = $3 AND token = $4",
        account,
        region,
        token.operation,
        token.token,
    )
    if rows and rows[0][0] != token.request_hash:
        msg = "The client token was used before with other parameters."
        raise TokenReused(msg)
    return rows[0][1] if rows else None


def keep_result(account: str, region: str, token: ClientToken | None, result: str, *, now: float) -> UnitOfWork[None]:
    """Remember what the request with *token* gave; without a token nothing is remembered."""
    if token is not None:
        yield sql(
            "INSERT INTO client_token (account, region, operation, token, request_hash, result, created_at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7)",
            account,
            region,
            *token,
            result,
            now,
        )


def once(
    account: str, region: str, token: ClientToken | None, make: Callable[[], UnitOfWork[str]], *, now: float
) -> UnitOfWork[str]:
    """The result of *make*, or what it gave when the same request came before. Errors: TokenReused, those of *make*."""
    before = yield from earlier_result(account, region, token)
    if before is not None:
        return before
    made = yield from make()
    yield from keep_result(account, region, token, made, now=now)
    return made
