# SPDX-License-Identifier: Apache-2.0
"""
Facts of nodes (design D2, D5): bodies once by content for each account, what a node looked like never overwritten.

Units of work, to be composed with `yield from`.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

import msgspec

from patchwright.core.advisory import NOTICE_FORMAT, Notice
from patchwright.core.errors import MalformedFacts
from patchwright.core.facts import NodeFacts, View
from patchwright.core.package import SET_FORMAT, SLICE_FORMAT, OffersSlice, PackageSet, check_digest
from patchwright.server.accounts import Scope
from patchwright.server.infra import UnitOfWork, placeholders, sql, sql_each
from patchwright.server.nodes.model import UnknownNode

Body = TypeVar("Body", PackageSet, OffersSlice, Notice)

FACTS_FORMAT = "facts1"
_MOMENTS = frozenset({"refreshed_at", "observed_at", "clock_offset"})  # of NodeFacts: when, and not what

_CHUNK = 500  # digests of one statement
_PARSED = 128  # bodies kept taken apart, about 0.4 MB each: slices are shared by many nodes, sets by few
_PARSERS: Mapping[str, Callable[[bytes], PackageSet | OffersSlice | Notice]] = {
    SET_FORMAT: PackageSet.parse,
    SLICE_FORMAT: OffersSlice.parse,
    NOTICE_FORMAT: Notice.parse,
}


@dataclass(frozen=True)
class Observed:
    """A node's facts with their bodies, and when the server recorded them (epoch seconds)."""

    id: str
    view: View
    recorded_at: float


class Observation(NamedTuple):
    """
    What a node said of itself at one moment.

    *digest* names what it said without the moments, and is the same as long as nothing but time has passed; *document* is that
    content. *id* is one for one observation of one node: the same message again is the same observation.
    """

    id: str
    digest: str
    document: bytes
    facts: NodeFacts


class Recorded(NamedTuple):
    """*missing*: digests of bodies that have to come first, nothing is bound. *changed*: more than time has passed."""

    missing: Sequence[str] = ()
    changed: bool = False


class Packed(NamedTuple):
    """A body that was checked: its digest, the bytes of its canonical form, and that form compressed."""

    digest: str
    size: int
    content: bytes


def missing(scope: Scope, digests: Sequence[str]) -> UnitOfWork[list[str]]:
    """Those of *digests* whose bodies this account and region do not have, each once, in the order given."""
    wanted = list(dict.fromkeys(digests))
    present: set[str] = set()
    for start in range(0, len(wanted), _CHUNK):
        part = wanted[start : start + _CHUNK]
        rows = yield sql(
            f"SELECT digest FROM body WHERE account = $1 AND region = $2 AND digest IN ({placeholders(3, len(part))})",
            *scope,
            *part,
        )
        present.update(row[0] for row in rows)
    return [digest for digest in wanted if digest not in present]


def pack(bodies: Mapping[str, bytes]) -> list[Packed]:
    """
    *bodies*, by digest, as they are stored; outside any transaction, since reading large ones takes a while.

    Raises MalformedFacts (DigestMismatch) unless every body is what its digest names and can be read.
    """
    packed = []
    for digest, body in sorted(bodies.items()):
        check_digest(digest, body)
        if digest.partition(":")[0] not in _PARSERS:
            msg = f"{digest[:80]} is no digest of a format known here"
            raise MalformedFacts(msg)
        content = zlib.compress(body)
        _parsed(digest, content)  # it can be read, and will be in a moment
        packed.append(Packed(digest, len(body), content))
    return packed


def put_bodies(scope: Scope, bodies: Sequence[Packed], *, now: float) -> UnitOfWork[None]:
    """Store bodies; those that are there stay."""
    yield sql_each(
        "INSERT INTO body (account, region, digest, size, content, created_at) VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (account, region, digest) DO NOTHING",
        [(*scope, *body, now) for body in bodies],
    )


def observation(instance_id: str, facts: NodeFacts) -> Observation:
    """*facts* as they are kept."""
    steady = {name: value for name, value in vars(facts).items() if name not in _MOMENTS}
    document = msgspec.json.encode(steady, order="sorted")
    digest = f"{FACTS_FORMAT}:{hashlib.sha256(document).hexdigest()}"
    moments = f"{instance_id} {digest} {facts.refreshed_at} {facts.observed_at} {facts.clock_offset}"
    return Observation(f"observation1:{hashlib.sha256(moments.encode()).hexdigest()}", digest, document, facts)


def record(scope: Scope, instance_id: str, seen: Observation, *, now: float) -> UnitOfWork[Recorded]:
    """
    Bind what was seen to the node as its newest; what appeared or changed is noted for InstalledTime.

    Facts recorded before stay as they are, and do not become the newest again. Where bodies are missing nothing happens but
    that they are named. Raises UnknownNode.
    """
    rows = yield sql(
        "SELECT f.digest, f.package_set, f.id, f.sources FROM node n LEFT JOIN facts f"
        " ON f.account = n.account AND f.region = n.region AND f.id = n.facts_id"
        " WHERE n.account = $1 AND n.region = $2 AND n.id = $3",
        *scope,
        instance_id,
    )
    if not rows:
        raise UnknownNode(instance_id)
    known, before, former_id, former_sources = rows[0]
    changed = known != seen.digest
    if changed:  # else every body came when these very facts were bound before
        absent = yield from missing(scope, seen.facts.digests)
        if absent:
            return Recorded(absent)
        document = Packed(seen.digest, len(seen.document), zlib.compress(seen.document))
        yield from put_bodies(scope, [document], now=now)
    facts = seen.facts
    fresh = yield sql(
        "INSERT INTO facts (account, region, id, instance_id, digest, package_set, refreshed_at, observed_at,"
        " clock_offset, recorded_at, sources)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (account, region, id) DO NOTHING RETURNING id",
        *scope,
        seen.id,
        instance_id,
        seen.digest,
        facts.package_set,
        facts.refreshed_at,
        facts.observed_at,
        facts.clock_offset,
        now,
        facts.sources,
    )
    if not fresh:
        # The same message once more, perhaps long after: there are newer facts by now, or these are they.
        return Recorded()
    yield sql(
        "UPDATE node SET facts_id = $4, first_facts_at = COALESCE(first_facts_at, $5)"
        " WHERE account = $1 AND region = $2 AND id = $3",
        *scope,
        instance_id,
        seen.id,
        now,
    )
    if former_id is not None and former_sources != facts.sources:
        yield from _keep_former(scope, instance_id, former_sources, former_id)
    if before is not None and before != facts.package_set:
        yield from _note_changes(scope, instance_id, before, facts.package_set, now)
    return Recorded(changed=changed)


def _keep_former(scope: Scope, instance_id: str, sources: str, facts_id: str) -> UnitOfWork[None]:
    """Remember the last facts that were taken with *sources*, now that there are newer ones taken with others."""
    yield sql(
        "INSERT INTO former_facts (account, region, instance_id, sources, facts_id) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (account, region, instance_id, sources) DO UPDATE SET facts_id = excluded.facts_id",
        *scope,
        instance_id,
        sources,
        facts_id,
    )


def _note_changes(scope: Scope, instance_id: str, before: str, after: str, now: float) -> UnitOfWork[None]:
    bodies = yield from _bodies(scope, [before, after])
    old, new = (_versions(_body(bodies, digest, PackageSet)) for digest in (before, after))
    changed = [(key, version) for key, version in new.items() if old.get(key) != version]
    changed += [(key, "") for key in old if key not in new]
    yield sql_each(
        "INSERT INTO package_change (account, region, instance_id, recorded_at, package, version)"
        " VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT (account, region, instance_id, package, recorded_at, version) DO NOTHING",
        [(*scope, instance_id, now, key, version) for key, version in sorted(changed)],
    )


def since(scope: Scope, instance_id: str, *, until: float) -> UnitOfWork[tuple[float, dict[str, float]]]:
    """
    When what was installed at *until* had appeared: the moment of the node's first facts, and by `name.arch` the last change.

    A package that is not in the second has not changed since the first. Epoch seconds; 0 for a node without facts, or
    one that is gone.
    """
    rows = yield sql(
        "SELECT first_facts_at FROM node WHERE account = $1 AND region = $2 AND id = $3",
        *scope,
        instance_id,
    )
    first = (rows[0][0] or 0.0) if rows else 0.0
    rows = yield sql(
        "SELECT package, MAX(recorded_at) FROM package_change"
        " WHERE account = $1 AND region = $2 AND instance_id = $3 AND recorded_at <= $4 GROUP BY package",
        *scope,
        instance_id,
        until,
    )
    return first, dict(rows)


def latest(scope: Scope, instance_id: str) -> UnitOfWork[Observed | None]:
    """The newest facts of a node with their bodies, or None before the first."""
    rows = yield sql("SELECT facts_id FROM node WHERE account = $1 AND region = $2 AND id = $3", *scope, instance_id)
    return (yield from load(scope, rows[0][0])) if rows and rows[0][0] else None


def former(scope: Scope, instance_id: str, sources: str) -> UnitOfWork[Observed | None]:
    """The last facts that a node took with *sources* before it took others, or None."""
    rows = yield sql(
        "SELECT facts_id FROM former_facts WHERE account = $1 AND region = $2 AND instance_id = $3 AND sources = $4",
        *scope,
        instance_id,
        sources,
    )
    return (yield from load(scope, rows[0][0])) if rows else None


def load(scope: Scope, facts_id: str) -> UnitOfWork[Observed]:
    """The facts stored as *facts_id*, which is known to exist, with their bodies."""
    rows = yield sql(
        "SELECT b.content, f.refreshed_at, f.observed_at, f.clock_offset, f.recorded_at FROM facts f JOIN body b"
        " ON b.account = f.account AND b.region = f.region AND b.digest = f.digest"
        " WHERE f.account = $1 AND f.region = $2 AND f.id = $3",
        *scope,
        facts_id,
    )
    document, refreshed_at, observed_at, clock_offset, recorded_at = rows[0]
    moments = {"refreshed_at": refreshed_at, "observed_at": observed_at, "clock_offset": clock_offset}
    facts = NodeFacts.from_json({**json.loads(zlib.decompress(document)), **moments})
    bodies = yield from _bodies(scope, facts.digests)
    notices = [_body(bodies, digest, Notice) for digest in facts.notices]
    view = View(
        facts,
        _body(bodies, facts.package_set, PackageSet),
        tuple(_body(bodies, ref.digest, OffersSlice) for ref in facts.slices),
        {notice.id: notice for notice in notices},
    )
    return Observed(facts_id, view, recorded_at)


def _bodies(scope: Scope, digests: Iterable[str]) -> UnitOfWork[dict[str, bytes]]:
    wanted, found = sorted(set(digests)), dict[str, bytes]()
    for start in range(0, len(wanted), _CHUNK):
        part = wanted[start : start + _CHUNK]
        rows = yield sql(
            "SELECT digest, content FROM body"
            f" WHERE account = $1 AND region = $2 AND digest IN ({placeholders(3, len(part))})",
            *scope,
            *part,
        )
        found.update((digest, content) for digest, content in rows)
    return found


@lru_cache(maxsize=_PARSED)
def _parsed(digest: str, content: bytes) -> PackageSet | OffersSlice | Notice:
    return _PARSERS[digest.partition(":")[0]](zlib.decompress(content))


def _body(bodies: Mapping[str, bytes], digest: str, kind: type[Body]) -> Body:
    """What *digest* names, which is known to be here; raises MalformedFacts where it is of another kind."""
    parsed = None if digest.startswith(FACTS_FORMAT) else _parsed(digest, bodies[digest])
    if not isinstance(parsed, kind):
        msg = f"{digest} is no {kind.__name__}"
        raise MalformedFacts(msg)
    return parsed


def _versions(packages: PackageSet) -> dict[str, str]:
    """Versions by `name.arch`; all of them, joined, where several stand side by side."""
    return {key: " ".join(package.version for package in group) for key, group in packages.by_key().items()}
