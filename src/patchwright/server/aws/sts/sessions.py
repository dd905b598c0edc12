# SPDX-License-Identifier: Apache-2.0
"""STS: who asks, and sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from patchwright.server.accounts import (
    Given,
    InvalidEntity,
    Principal,
    Sessions,
    TooManyEntities,
    UnknownEntity,
    Wish,
)
from patchwright.server.aws.members import tags_of
from patchwright.server.aws.services import Services
from patchwright.server.infra import Clock
from patchwright.server.wire import Caller, Handler, access_denied, validation

_OF_USER = 12 * 3600  # seconds that a user's session lasts, where it does not say


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = SessionOperations(services.access.sessions, services.clock)
    return {
        "sts.AssumeRole": own.assume_role,
        "sts.GetCallerIdentity": own.get_caller_identity,
        "sts.GetSessionToken": own.get_session_token,
    }


class SessionOperations:
    """One method per operation."""

    def __init__(self, sessions: Sessions, clock: Clock) -> None:
        self._sessions = sessions
        self._clock = clock

    async def get_caller_identity(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetCallerIdentity: whoever asks may know who that is."""
        who = caller.identity.user_id if caller.identity is not None else caller.instance_id or caller.account
        return {"UserId": who, "Account": caller.account, "Arn": caller.principal}

    async def assume_role(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """AssumeRole: the caller's policies were asked before; here the role's trust is."""
        _refuse_devices(request)
        asking = _asking(caller)
        wish = Wish(
            request["RoleArn"],
            request["RoleSessionName"],
            seconds=request.get("DurationSeconds", 3600),
            external_id=request.get("ExternalId", ""),
            source_identity=request.get("SourceIdentity", ""),
            tags=tuple(tags_of(request).items()),
            transitive=tuple(request.get("TransitiveTagKeys", ())),
            policy=request.get("Policy", ""),
            policy_arns=tuple(one["arn"] for one in request.get("PolicyArns", ()) if "arn" in one),
        )
        try:
            given = await self._sessions.assume(asking, wish, self._context(caller))
        except (InvalidEntity, TooManyEntities, UnknownEntity) as error:
            raise validation(str(error)) from error
        answer = {
            "Credentials": _credentials(given),
            "AssumedRoleUser": {"AssumedRoleId": given.principal.user_id, "Arn": given.principal.arn},
            "PackedPolicySize": given.packed,
        }
        source = given.session.source_identity
        return {**answer, "SourceIdentity": source} if source else answer

    async def get_session_token(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetSessionToken."""
        _refuse_devices(request)
        given = await self._sessions.of_user(_asking(caller), request.get("DurationSeconds", _OF_USER))
        return {"Credentials": _credentials(given)}

    def _context(self, caller: Caller) -> Mapping[str, Sequence[str]]:
        """The condition keys of from where and when it is asked."""
        now = self._clock.now()
        moment = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "aws:CurrentTime": [moment],
            "aws:EpochTime": [str(int(now))],
            "aws:RequestedRegion": [caller.region],
            "aws:SourceIp": [caller.source_ip],
        }


def _asking(caller: Caller) -> Principal:
    if caller.identity is None:
        raise access_denied(f"{caller.principal} cannot be given a session.")
    return caller.identity


def _refuse_devices(request: Mapping[str, Any]) -> None:
    if "SerialNumber" in request or "TokenCode" in request:
        raise access_denied("MultiFactorAuthentication failed, there are no devices here.")


def _credentials(given: Given) -> dict[str, Any]:
    return {
        "AccessKeyId": given.session.key_id,
        "SecretAccessKey": given.secret,
        "SessionToken": given.token,
        "Expiration": given.session.expires_at,
    }
