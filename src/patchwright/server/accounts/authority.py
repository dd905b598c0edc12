# SPDX-License-Identifier: Apache-2.0
"""
What somebody may do: the policies of a principal, put together.

Root may do everything in its account. A user has the policies of its own and of its groups, a role its own; both only within
their boundary, and a session only within what it was given besides. A node has the ready-made policy of nodes. One that is
gone may do nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

from patchwright.server.accounts import identity_store, policy, policy_store
from patchwright.server.accounts.identities import ROLE, USER, Identity
from patchwright.server.accounts.managed import ready_document
from patchwright.server.accounts.model import Principal, Session, root_arn
from patchwright.server.infra import Database, UnitOfWork

ROOT, NODE_PRINCIPAL = "root", "node"
LASTING_SECONDS = 0.5  # a policy that is changed is in force everywhere within a second
_KEPT = 4096
_MOST_GROUPS = 100
_IDENTITY, _BOUNDARY, _SESSION = "identity-based policy", "permissions boundary", "session policy"
_TYPES = {ROOT: "Account", USER: "User", ROLE: "AssumedRole", NODE_PRINCIPAL: "AssumedRole"}


class Verdict(NamedTuple):
    """
    Whether something is allowed, and why not, in AWS's words: `because no identity-based policy allows the … action`.

    *explicit*: a statement denies it.
    """

    allowed: bool
    reason: str = ""
    explicit: bool = False


_ALLOWED = Verdict(True)


@dataclass(frozen=True)
class Authority:
    """
    What *principal* may do now. *unlimited*: everything in its account.

    *rules* are kinds of policies, each of which must allow; the *context* is what they may ask of the principal. *text* is
    what all of them say, in lower case: what no policy speaks of needs not be looked up.
    """

    principal: Principal
    unlimited: bool = False
    rules: tuple[tuple[str, policy.Evaluator], ...] = ()
    context: policy.Context = field(default_factory=policy.Context)
    text: str = ""
    _mentioned: dict[str, bool] = field(default_factory=dict, compare=False, repr=False)

    def decide(
        self, action: str, resource: str, context: Mapping[str, Sequence[str]], *, principals: Sequence[str] = ()
    ) -> Verdict:
        """Whether *action* may be done on *resource*. One deny denies; else every kind of policy must allow."""
        if self.unlimited:
            return _ALLOWED
        asked = policy.Asked(action, resource, context, principals)
        silent = ""
        for kind, evaluator in self.rules:
            ruling = evaluator.decide(asked)
            if ruling.allowed:
                continue
            if ruling.explicit:
                return Verdict(False, f"with an explicit deny in {_article(kind)}", explicit=True)
            silent = silent or kind
        if silent or not self.rules:
            return Verdict(False, f"because no {silent or _IDENTITY} allows the {action} action")
        return _ALLOWED

    def mentions(self, part: str) -> bool:
        """Whether any policy has *part*, in lower case, anywhere in its text."""
        found = self._mentioned.get(part)
        if found is None:
            found = self._mentioned[part] = part in self.text
        return found


class Authorities:
    """
    The authority of each principal, remembered for `LASTING_SECONDS`; times are of *monotonic*.

    Evaluators live as long as the documents they are made of: what they learn is not lost when they are looked up again.
    """

    def __init__(self, database: Database, monotonic: Callable[[], float]) -> None:
        self._database = database
        self._monotonic = monotonic
        self._known: dict[Principal, tuple[float, Authority]] = {}

    async def of(self, principal: Principal) -> Authority:
        """What *principal* may do."""
        if principal.kind == ROOT and principal.session is None:
            return Authority(principal, unlimited=True)
        if principal.kind == NODE_PRINCIPAL:
            return _of_node(principal)
        now = self._monotonic()
        known = self._known.get(principal)
        if known is not None and known[0] > now:
            return known[1]
        found = await self._database.read(authority_of, principal)
        if known is not None and known[1].text == found.text and known[1].context == found.context:
            found = known[1]
        self._known.pop(principal, None)
        self._known[principal] = (now + LASTING_SECONDS, found)
        while len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        return found


def authority_of(principal: Principal) -> UnitOfWork[Authority]:
    """What *principal* may do, as of this transaction; a unit of work that only reads."""
    if principal.kind == ROOT:
        return _of_root(principal)
    if principal.kind == NODE_PRINCIPAL:
        return _of_node(principal)
    account, owner = principal.account, principal.id
    identity = yield from identity_store.by_id(account, owner)
    if identity is None or identity.kind not in {USER, ROLE}:
        return Authority(principal)
    tags = dict((yield from identity_store.tags(account, owner)))
    groups = (yield from identity_store.groups_of(account, owner, limit=_MOST_GROUPS)) if identity.kind == USER else []
    inline, arns = yield from policy_store.documents_of(account, [owner, *(group.id for group in groups)])
    session = principal.session
    session_arns = session.policy_arns if session else ()
    boundary = [identity.boundary] if identity.boundary else []
    managed = yield from _managed(account, {*arns, *session_arns, *boundary})
    if session is not None:
        tags.update(session.tags)
    return made(
        principal,
        [*inline, *(managed[arn] for arn in arns)],
        boundary=[managed[arn] for arn in boundary] if boundary else None,
        session=[*session.policies, *(managed[arn] for arn in session_arns)]
        if session is not None and session.limited
        else None,
        tags=tags,
        arn=identity.arn,
    )


def made(
    principal: Principal,
    documents: Iterable[str],
    *,
    boundary: Iterable[str] | None = None,
    session: Iterable[str] | None = None,
    tags: Mapping[str, str] | None = None,
    arn: str = "",
) -> Authority:
    """
    The authority that documents give.

    Args:
        principal: Whose.
        documents: Of the user and its groups, or of the role.
        boundary: What limits it; None: nothing does.
        session: What limits its session; None: nothing does.
        tags: Of the principal; a session's own have been put over them.
        arn: What policies call it, where that is not its own: of a role's session the role.
    """
    kinds = [(_IDENTITY, list(documents)), (_BOUNDARY, boundary), (_SESSION, session)]
    given = [(kind, sorted(texts)) for kind, texts in kinds if texts is not None]
    rules = tuple((kind, policy.Evaluator(policy.parse_stored(text) for text in texts)) for kind, texts in given)
    text = "\n".join(f"{kind}\n{_plain(one)}" for kind, texts in given for one in texts).lower()
    return Authority(principal, rules=rules, context=_context(principal, tags or {}, arn or principal.arn), text=text)


def _of_root(principal: Principal) -> Authority:
    """Everything; within a session, everything that the session may."""
    session = principal.session
    if session is None:
        return Authority(principal, unlimited=True)
    return made(principal, [policy.READY["administrator"]], session=session.policies)


def remember(principal: Principal) -> str:
    """*principal* as a text to be stored, so that something can be done with its rights later; nothing in it is secret."""
    session = principal.session
    said = {**asdict(replace(principal, key_id="", session=None)), "session": None}
    if session is not None:
        said["session"] = asdict(replace(session, key_id="", origin=""))
    return json.dumps(said, sort_keys=True)


def recall(text: str) -> Principal:
    """The principal that `remember` made *text* of."""
    said = json.loads(text)
    session = said.pop("session")
    if session is not None:
        session["tags"] = tuple((key, value) for key, value in session["tags"])
        for name in ("transitive", "policies", "policy_arns"):
            session[name] = tuple(session[name])
        session = Session(**session)
    return Principal(**said, session=session)


def root_of(account: str) -> Principal:
    """The root of an account."""
    return Principal(account, root_arn(account), ROOT, account)


def find_identity(account: str, kind: str, name: str) -> UnitOfWork[tuple[Identity, dict[str, str]] | None]:
    """A user, role or group with its tags, or None; a unit of work that only reads."""
    found = yield from identity_store.find(account, kind, name)
    return None if found is None else (found, (yield from identity_store.tags(account, found.id)))


@lru_cache(maxsize=1)
def _node_rules() -> Authority:
    """What every node may; the policy is the same for all of them, and so is what its evaluator learns."""
    return made(Principal("", "", NODE_PRINCIPAL, ""), [policy.READY["node"]])


def _of_node(principal: Principal) -> Authority:
    return replace(_node_rules(), principal=principal, context=_context(principal, {}, principal.arn))


def _managed(account: str, arns: Iterable[str]) -> UnitOfWork[dict[str, str]]:
    """The documents that count of managed policies, by ARN. One that is gone denies everything."""
    found = {arn: ready_document(arn) for arn in arns}
    own = sorted(arn for arn, text in found.items() if text is None)
    stored = yield from policy_store.default_documents(account, own)
    return {arn: text if text is not None else stored.get(arn, "") for arn, text in found.items()}


def _plain(document: str) -> str:
    """*document* in one spelling: JSON may spell a letter in several ways."""
    try:
        return json.dumps(json.loads(document))
    except (ValueError, RecursionError):
        return document


def _context(principal: Principal, tags: Mapping[str, str], arn: str) -> policy.Context:
    """The condition keys that a principal has wherever it asks."""
    found: dict[str, Sequence[str]] = {
        "aws:PrincipalArn": [arn],
        "aws:PrincipalAccount": [principal.account],
        "aws:PrincipalType": [_TYPES[principal.kind]],
        "aws:PrincipalIsAWSService": ["false"],
        "aws:userid": [principal.user_id],
        "aws:ViaAWSService": ["false"],
    }
    if principal.kind == USER:
        found["aws:username"] = [principal.arn.rpartition("/")[2]]
    if principal.session is not None and principal.session.source_identity:
        found["aws:SourceIdentity"] = [principal.session.source_identity]
    for key, value in tags.items():
        found[f"aws:PrincipalTag/{key}"] = [value]
    return policy.Context(found)


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
