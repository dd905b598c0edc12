# SPDX-License-Identifier: Apache-2.0
"""
Sessions: keys that end by themselves, of a role that was assumed, of a user, or of a node.

Nothing of a session is stored. Its token, sealed under a key derived from the master key, says what it is; its secret is
derived from its key's id. It ends with its time, with its role or user, with the access key that the first of a chain of
sessions was asked for with, and with the accounts of both. A node's ends with the node, and soon after its key was replaced.
"""

from __future__ import annotations

import base64
import json
import secrets
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

from patchwright.core.errors import PatchwrightError
from patchwright.server.accounts import identity_store, policy, store, trust
from patchwright.server.accounts.identities import ROLE, USER, Identity, check_tags
from patchwright.server.accounts.keys import MasterKey
from patchwright.server.accounts.model import Principal, Session, root_arn, session_arn
from patchwright.server.accounts.policy_service import require_attachable
from patchwright.server.infra import Clock, Database, UnitOfWork

LONGEST_CHAINED = 3600  # seconds of a role's session that another role's asked for
LONGEST_OF_ROOT = 3600
NODE_SECONDS = 3600  # of a node's session, as in AWS; amazon-ssm-agent asks again when half of it is over
LARGEST_POLICY = 2_048  # characters
MOST_POLICIES = 10
_LARGEST_PACKED = 4_096  # bytes of what a token says
_KEY_BYTES = 10
# What a user's session may: as in AWS, everything of its user's but what would outlive it, keys and users above all.
_OF_USER = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "NotAction": ["iam:*", "sts:*"], "Resource": "*"},
            {"Effect": "Allow", "Action": ["sts:AssumeRole", "sts:GetCallerIdentity"], "Resource": "*"},
        ],
    }
)


# Who a node's session is at a moment: None where the node is gone, or signs with another key by now.
Holder = Callable[[Session, float], UnitOfWork[Principal | None]]


class SessionRefused(PatchwrightError):
    """This session is not given to this caller. Whether the role is there is not told."""


class BadDuration(PatchwrightError):
    """A session is not to last that long."""


class SessionExpired(PatchwrightError):
    """The time of a session is over."""


class PolicyTooLarge(PatchwrightError):
    """The tags and policies of a session are more than a token holds."""


@dataclass(frozen=True)
class Wish:
    """What a role's session is to be. *context* are the condition keys of the request."""

    role_arn: str
    name: str
    seconds: int = 3600
    external_id: str = ""
    source_identity: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    transitive: tuple[str, ...] = ()
    policy: str = ""
    policy_arns: tuple[str, ...] = ()


class Given(NamedTuple):
    """A session and what it signs with. *packed* is how full its token is, in percent. The secret does not show in its repr."""

    principal: Principal
    session: Session
    secret: str
    token: str
    packed: int

    def __repr__(self) -> str:
        return f"Given({self.principal!r})"


def no_holder(_session: Session, _now: float) -> UnitOfWork[Principal | None]:
    """Knows no node."""
    yield from ()
    return None


class Sessions:
    """Gives sessions, and knows them again; *holder* knows nodes."""

    def __init__(self, database: Database, clock: Clock, master: MasterKey, *, holder: Holder = no_holder) -> None:
        self._database = database
        self._clock = clock
        self._master = master
        self._holder = holder

    async def assume(self, asking: Principal, wish: Wish, context: Mapping[str, Sequence[str]]) -> Given:
        """
        A session of a role whose trust lets *asking* assume it.

        Whether the policies of *asking* allow it was asked before. Errors: SessionRefused, BadDuration, InvalidEntity for
        tags, MalformedPolicy, UnknownEntity for a policy that is not there, PolicyTooLarge.
        """
        if asking.kind not in {USER, ROLE}:
            msg = "Roles may not be assumed by root accounts."
            raise SessionRefused(msg)
        tags = _inherited(asking.session, wish)
        check_tags(tags)
        _check_policies(wish)
        found = await self._database.read(_role_for, asking, wish, _asked(asking, wish, tags, context))
        longest = min(found.session_seconds, LONGEST_CHAINED) if asking.session else found.session_seconds
        if wish.seconds > longest:
            msg = f"The requested DurationSeconds exceeds the {longest} seconds that are the most for this role."
            raise BadDuration(msg)
        now = self._clock.now()
        transitive = {*wish.transitive, *(asking.session.transitive if asking.session else ())}
        session = Session(
            key_id=_new_key_id(),
            account=found.account,
            owner=found.id,
            origin=_origin(asking),
            issued_at=now,
            expires_at=now + wish.seconds,
            name=wish.name,
            source_identity=wish.source_identity or (asking.session.source_identity if asking.session else ""),
            tags=tuple(sorted(tags.items())),
            transitive=tuple(sorted(transitive)),
            policies=(wish.policy,) if wish.policy else (),
            policy_arns=wish.policy_arns,
        )
        return self._give(_principal(session, found), session)

    async def of_user(self, asking: Principal, seconds: int) -> Given:
        """A session of the user, or of root, who signs with an access key. Errors: SessionRefused."""
        if asking.session is not None or asking.kind == ROLE:
            msg = "Cannot call GetSessionToken with session credentials"
            raise SessionRefused(msg)
        root = asking.kind == "root"
        now = self._clock.now()
        session = Session(
            key_id=_new_key_id(),
            account=asking.account,
            owner="" if root else asking.id,
            origin=asking.key_id,
            issued_at=now,
            expires_at=now + (min(seconds, LONGEST_OF_ROOT) if root else seconds),
            policies=(_OF_USER,),
        )
        return self._give(replace(asking, key_id=session.key_id, session=session), session)

    def of_node(self, node: Principal, region: str, *, origin: str) -> Given:
        """A session of a node that signed with the key *origin*, good in *region*."""
        now = self._clock.now()
        session = Session(
            key_id=_new_key_id(),
            account=node.account,
            owner=node.id,
            origin=origin,
            issued_at=now,
            expires_at=now + NODE_SECONDS,
            region=region,
        )
        return self._give(replace(node, key_id=session.key_id, session=session), session)

    async def find(self, key_id: str, token: str) -> tuple[Principal, str] | None:
        """
        Who signs with a session's key, and its secret; None for a token that is not of this key, or whose session has ended.

        Errors: SessionExpired where its time is over.
        """
        content = self._master.open_token(token, label=key_id)
        if content is None:
            return None
        session = _unpacked(content)
        now = self._clock.now()
        if session.expires_at <= now:
            msg = "The security token included in the request is expired"
            raise SessionExpired(msg)
        if session.region:
            principal = await self._database.read(_held, session, self._holder, now)
        else:
            principal = await self._database.read(_still, session)
        return None if principal is None else (principal, self._master.session_secret(key_id))

    def _give(self, principal: Principal, session: Session) -> Given:
        content = _packed(session)
        if len(content) > _LARGEST_PACKED:
            used = len(content) * 100 // _LARGEST_PACKED
            msg = f"Packed policy consumes {used}% of allotted space, please use smaller policy."
            raise PolicyTooLarge(msg)
        token = self._master.seal_token(content, label=session.key_id)
        secret = self._master.session_secret(session.key_id)
        return Given(principal, session, secret, token, max(1, len(content) * 100 // _LARGEST_PACKED))


def _check_policies(wish: Wish) -> None:
    if len(wish.policy) > LARGEST_POLICY or len(wish.policy_arns) > MOST_POLICIES:
        msg = f"A session has a policy of {LARGEST_POLICY} characters and {MOST_POLICIES} managed ones at most."
        raise PolicyTooLarge(msg)
    if wish.policy:
        policy.parse(wish.policy)


def _new_key_id() -> str:
    return "ASIA" + base64.b32encode(secrets.token_bytes(_KEY_BYTES)).decode()


def _origin(asking: Principal) -> str:
    return asking.session.origin if asking.session is not None else asking.key_id


def _inherited(session: Session | None, wish: Wish) -> dict[str, str]:
    """The session's tags: those asked for, and what the asking session hands on, which cannot be changed."""
    handed = {key: value for key, value in session.tags if key in session.transitive} if session else {}
    folded = {key.lower() for key in handed}
    if any(key.lower() in folded for key, _ in wish.tags):
        msg = "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the"
        raise SessionRefused(f"{msg} calling session.")
    tags = dict(wish.tags)
    if len(tags) != len(wish.tags):
        msg = "A tag key is given twice."
        raise BadDuration(msg)
    return {**tags, **handed}


def _asked(
    asking: Principal, wish: Wish, tags: Mapping[str, str], context: Mapping[str, Sequence[str]]
) -> dict[str, Sequence[str]]:
    """The condition keys under which a trust is read."""
    found: dict[str, Sequence[str]] = {**context, "sts:RoleSessionName": [wish.name]}
    if wish.external_id:
        found["sts:ExternalId"] = [wish.external_id]
    if wish.source_identity:
        found["sts:SourceIdentity"] = [wish.source_identity]
    found.update({f"aws:RequestTag/{key}": [value] for key, value in tags.items()})
    if tags:
        found["aws:TagKeys"] = list(tags)
    if wish.transitive:
        found["sts:TransitiveTagKeys"] = list(wish.transitive)
    return found


def _role_for(asking: Principal, wish: Wish, context: Mapping[str, Sequence[str]]) -> UnitOfWork[Identity]:
    place = trust.entity(wish.role_arn)
    found = (yield from identity_store.find(*place)) if place is not None and place[1] == ROLE else None
    account = (yield from store.find_account(found.account)) if found is not None else None
    asked = {**context, **(yield from _of_principal(asking))}
    actions = [trust.ASSUME, *([trust.TAG] if wish.tags or wish.transitive else [])]
    allowed = (
        found is not None
        and found.arn == wish.role_arn
        and (account is None or account.state == "Active")
        and trust.may_assume(found.trust, found.trust_pins, asking, role=found.arn, actions=actions, context=asked)
    )
    if found is None or not allowed:
        msg = f"User: {asking.arn} is not authorized to perform: {trust.ASSUME} on resource: {wish.role_arn}"
        raise SessionRefused(msg)
    for arn in wish.policy_arns:
        yield from require_attachable(found.account, arn)
    return found


def _of_principal(asking: Principal) -> UnitOfWork[dict[str, Sequence[str]]]:
    """The condition keys of who asks."""
    tags = yield from identity_store.tags(asking.account, asking.id)
    tags.update(asking.session.tags if asking.session is not None else ())
    owner = yield from identity_store.by_id(asking.account, asking.id)
    return {
        "aws:PrincipalArn": [owner.arn if owner is not None else asking.arn],
        "aws:PrincipalAccount": [asking.account],
        "aws:userid": [asking.user_id],
        **({"aws:username": [owner.name]} if owner is not None and owner.kind == USER else {}),
        **{f"aws:PrincipalTag/{key}": [value] for key, value in tags.items()},
    }


def _still(session: Session) -> UnitOfWork[Principal | None]:
    """Whose session it is; None where it has ended before its time."""
    origin = yield from store.find_key(session.origin)  # None as well where its account is disabled
    account = yield from store.find_account(session.account)
    if origin is None or (account is not None and account.state != "Active"):
        return None
    if not session.owner:
        return Principal(session.account, root_arn(session.account), "root", session.account, session.key_id, session)
    owner = yield from identity_store.by_id(session.account, session.owner)
    return None if owner is None else _principal(session, owner)


def _held(session: Session, holder: Holder, now: float) -> UnitOfWork[Principal | None]:
    """Whose a node's session is; None where it has ended before its time."""
    account = yield from store.find_account(session.account)
    if account is not None and account.state != "Active":
        return None
    return (yield from holder(session, now))


def _principal(session: Session, owner: Identity) -> Principal:
    arn = session_arn(owner.account, owner.name, session.name) if owner.kind == ROLE else owner.arn
    return Principal(owner.account, arn, owner.kind, owner.id, session.key_id, session)


def _packed(session: Session) -> bytes:
    return zlib.compress(json.dumps(asdict(session), separators=(",", ":")).encode(), 9)


def _unpacked(content: bytes) -> Session:
    said = json.loads(zlib.decompress(content))  # sealed here: it is what `_packed` made
    said["tags"] = tuple((key, value) for key, value in said["tags"])
    for name in ("transitive", "policies", "policy_arns"):
        said[name] = tuple(said[name])
    return Session(**said)
