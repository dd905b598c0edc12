# SPDX-License-Identifier: Apache-2.0
"""SQL of policies: managed ones with their versions, inline ones, and what they are attached to."""

from __future__ import annotations

from collections.abc import Sequence

from patchwright.server.accounts.managed import ManagedPolicy, PolicyVersion
from patchwright.server.infra import UnitOfWork, placeholders, sql

_POLICY = "account, id, arn, name, path, description, default_version, last_version, created_at, modified_at"


def put(policy: ManagedPolicy) -> UnitOfWork[bool]:
    """Store a new policy; false, and nothing is stored, if its name is taken."""
    rows = yield sql(
        f"INSERT INTO managed_policy ({_POLICY}, name_key, region) VALUES ({placeholders(1, 11)}, '')"
        " ON CONFLICT DO NOTHING RETURNING id",
        policy.account,
        policy.id,
        policy.arn,
        policy.name,
        policy.path,
        policy.description,
        policy.default_version,
        policy.last_version,
        policy.created_at,
        policy.modified_at,
        policy.name.lower(),
    )
    return bool(rows)


def change(policy: ManagedPolicy) -> UnitOfWork[None]:
    """Store which version counts, and which was the last."""
    yield sql(
        "UPDATE managed_policy SET default_version = $3, last_version = $4, modified_at = $5"
        " WHERE account = $1 AND id = $2",
        policy.account,
        policy.id,
        policy.default_version,
        policy.last_version,
        policy.modified_at,
    )


def remove(account: str, policy_id: str) -> UnitOfWork[None]:
    """Remove a policy, its versions and its tags."""
    yield sql("DELETE FROM policy_version WHERE account = $1 AND policy_id = $2", account, policy_id)
    yield sql("DELETE FROM identity_tag WHERE account = $1 AND owner = $2", account, policy_id)
    yield sql("DELETE FROM managed_policy WHERE account = $1 AND id = $2", account, policy_id)


def find(account: str, arn: str) -> UnitOfWork[ManagedPolicy | None]:
    """The account's own policy with this ARN, or None."""
    name = arn.rpartition("/")[2].lower()
    rows = yield sql(
        f"SELECT {_POLICY} FROM managed_policy WHERE account = $1 AND name_key = $2 AND arn = $3", account, name, arn
    )
    return ManagedPolicy(*rows[0]) if rows else None


def count(account: str) -> UnitOfWork[int]:
    """How many policies the account has made."""
    rows = yield sql("SELECT COUNT(*) FROM managed_policy WHERE account = $1", account)
    return int(rows[0][0])


def page(account: str, *, prefix: str, after: str, limit: int) -> UnitOfWork[list[ManagedPolicy]]:
    """Up to *limit* whose path begins with *prefix*, and whose name in lower case comes after *after*, in that order."""
    rows = yield sql(
        f"SELECT {_POLICY} FROM managed_policy WHERE account = $1 AND name_key > $2 AND substr(path, 1, $3) = $4"
        " ORDER BY name_key LIMIT $5",
        account,
        after,
        len(prefix),
        prefix,
        limit,
    )
    return [ManagedPolicy(*row) for row in rows]


# -- versions


def put_version(account: str, policy_id: str, version: PolicyVersion) -> UnitOfWork[None]:
    """Store a new version."""
    yield sql(
        "INSERT INTO policy_version (account, region, policy_id, version, document, created_at)"
        " VALUES ($1, '', $2, $3, $4, $5)",
        account,
        policy_id,
        version.number,
        version.document,
        version.created_at,
    )


def remove_version(account: str, policy_id: str, number: int) -> UnitOfWork[None]:
    """Remove one version."""
    yield sql(
        "DELETE FROM policy_version WHERE account = $1 AND policy_id = $2 AND version = $3", account, policy_id, number
    )


def versions(account: str, policy_id: str) -> UnitOfWork[list[PolicyVersion]]:
    """Every version, the newest first; there are few."""
    rows = yield sql(
        "SELECT version, document, created_at FROM policy_version WHERE account = $1 AND policy_id = $2"
        " ORDER BY version DESC",
        account,
        policy_id,
    )
    return [PolicyVersion(*row) for row in rows]


# -- what is attached


def attach(account: str, owner: str, arn: str) -> UnitOfWork[None]:
    """Attach a policy; once is enough."""
    yield sql(
        "INSERT INTO attached_policy (account, region, owner, policy_arn) VALUES ($1, '', $2, $3) ON CONFLICT DO NOTHING",
        account,
        owner,
        arn,
    )


def detach(account: str, owner: str, arn: str) -> UnitOfWork[bool]:
    """Detach one; false if it was not attached."""
    rows = yield sql(
        "DELETE FROM attached_policy WHERE account = $1 AND owner = $2 AND policy_arn = $3 RETURNING policy_arn",
        account,
        owner,
        arn,
    )
    return bool(rows)


def attached(account: str, owner: str) -> UnitOfWork[list[str]]:
    """The ARNs of what is attached, in order; there are few."""
    rows = yield sql(
        "SELECT policy_arn FROM attached_policy WHERE account = $1 AND owner = $2 ORDER BY policy_arn", account, owner
    )
    return [row[0] for row in rows]


def attachments(account: str, arns: Sequence[str]) -> UnitOfWork[dict[str, int]]:
    """To how many users, roles and groups each of *arns* is attached."""
    found = dict.fromkeys(arns, 0)
    if found:
        rows = yield sql(
            "SELECT policy_arn, COUNT(*) FROM attached_policy WHERE account = $1"
            f" AND policy_arn IN ({placeholders(2, len(found))}) GROUP BY policy_arn",
            account,
            *found,
        )
        found.update((row[0], int(row[1])) for row in rows)
    return found


def attached_to(account: str, arn: str, *, after: str, limit: int) -> UnitOfWork[list[tuple[str, str, str]]]:
    """Id, kind and name of up to *limit* that have the policy, whose id comes after *after*, in order of id."""
    rows = yield sql(
        "SELECT i.id, i.kind, i.name FROM attached_policy a JOIN identity i ON i.id = a.owner"
        " WHERE a.account = $1 AND a.policy_arn = $2 AND a.owner > $3 ORDER BY a.owner LIMIT $4",
        account,
        arn,
        after,
        limit,
    )
    return [(row[0], row[1], row[2]) for row in rows]


# -- inline


def put_inline(account: str, owner: str, name: str, document: str) -> UnitOfWork[None]:
    """Store an inline policy, or another text of one."""
    yield sql(
        "INSERT INTO inline_policy (account, region, owner, name, document) VALUES ($1, '', $2, $3, $4)"
        " ON CONFLICT (account, owner, name) DO UPDATE SET document = excluded.document",
        account,
        owner,
        name,
        document,
    )


def remove_inline(account: str, owner: str, name: str) -> UnitOfWork[bool]:
    """Remove one; false if there is none of this name."""
    rows = yield sql(
        "DELETE FROM inline_policy WHERE account = $1 AND owner = $2 AND name = $3 RETURNING name", account, owner, name
    )
    return bool(rows)


def inline(account: str, owner: str) -> UnitOfWork[dict[str, str]]:
    """Documents by name, in order of name; their size together is limited."""
    rows = yield sql(
        "SELECT name, document FROM inline_policy WHERE account = $1 AND owner = $2 ORDER BY name", account, owner
    )
    return dict(rows)


# -- what somebody may


def documents_of(account: str, owners: Sequence[str]) -> UnitOfWork[tuple[list[str], list[str]]]:
    """The inline documents of *owners*, and the ARNs of what is attached to them."""
    marks = placeholders(2, len(owners))
    inline_rows = yield sql(
        f"SELECT document FROM inline_policy WHERE account = $1 AND owner IN ({marks}) ORDER BY owner, name",
        account,
        *owners,
    )
    arn_rows = yield sql(
        f"SELECT DISTINCT policy_arn FROM attached_policy WHERE account = $1 AND owner IN ({marks}) ORDER BY policy_arn",
        account,
        *owners,
    )
    arns = [row[0] for row in arn_rows]
    return [row[0] for row in inline_rows], arns


def default_documents(account: str, arns: Sequence[str]) -> UnitOfWork[dict[str, str]]:
    """The documents that count of the account's own policies with these ARNs, by ARN."""
    if not arns:
        return {}
    rows = yield sql(
        "SELECT p.arn, v.document FROM managed_policy p"
        " JOIN policy_version v ON v.account = p.account AND v.policy_id = p.id AND v.version = p.default_version"
        f" WHERE p.account = $1 AND p.arn IN ({placeholders(2, len(arns))}) ORDER BY p.arn",
        account,
        *arns,
    )
    return dict(rows)
