# SPDX-License-Identifier: Apache-2.0
"""What several operations of IAM have in common: members of answers, pages, and whom a request without a name is about."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from patchwright.server.accounts import GROUP, ROLE, USER, Identity, ManagedPolicy, PolicyVersion
from patchwright.server.wire import Caller, Pager, validation

PAGE = 100
_PAGING = frozenset({"Marker", "MaxItems"})
_WORDS = {USER: "User", ROLE: "Role", GROUP: "Group"}

T = TypeVar("T")


class Marks:
    """Pages of IAM: Marker where others have NextToken, MaxItems where they have MaxResults."""

    def __init__(self, pager: Pager) -> None:
        self._pager = pager

    def after(self, caller: Caller, request: Mapping[str, Any]) -> Any:
        """The cursor in the request's Marker; empty on the first page."""
        return self._pager.cursor(caller, {**_bare(request), "NextToken": request.get("Marker", "")}) or ""

    def cut(
        self, caller: Caller, request: Mapping[str, Any], rows: Sequence[T], cursor: Callable[[T], Any]
    ) -> tuple[Sequence[T], dict[str, Any]]:
        """The rows of this page, and what the answer says of the next: *rows* are one more than asked for if there is one."""
        most = self.limit(request)
        if len(rows) <= most:
            return rows, {"IsTruncated": False}
        marker = self._pager.token(caller, _bare(request), cursor(rows[most - 1]))
        return rows[:most], {"IsTruncated": True, "Marker": marker}

    def few(
        self, caller: Caller, request: Mapping[str, Any], rows: Sequence[T], cursor: Callable[[T], str]
    ) -> tuple[Sequence[T], dict[str, Any]]:
        """The same of rows that are all there, in order of *cursor*."""
        after = self.after(caller, request)
        return self.cut(caller, request, [row for row in rows if not after or cursor(row) > after], cursor)

    def limit(self, request: Mapping[str, Any]) -> int:
        """How many a page has."""
        found: int = request.get("MaxItems", PAGE)
        return found


def _bare(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name not in _PAGING}


def member(kind: str, what: str = "") -> str:
    """A member's or operation's name: `member(USER, "Name")` is UserName."""
    return _WORDS[kind] + what


def own_name(caller: Caller, request: Mapping[str, Any]) -> str:
    """The user that a request is about: the one it names, else who signs; empty for root. Raises ApiError for a role's session."""
    named: str = request.get("UserName", "")
    if named or caller.principal.endswith(":root"):
        return named
    if ":user/" not in caller.principal:
        raise validation("Must specify userName when calling with non-User credentials")
    return caller.principal.rpartition("/")[2]


def describe(identity: Identity, tags: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A User, Role or Group. Its tags only where the operation shows them."""
    shown: dict[str, Any] = {
        "Path": identity.path,
        member(identity.kind, "Name"): identity.name,
        member(identity.kind, "Id"): identity.id,
        "Arn": identity.arn,
        "CreateDate": identity.created_at,
    }
    if identity.kind == ROLE:
        shown["AssumeRolePolicyDocument"] = encoded(identity.trust)
        shown["MaxSessionDuration"] = identity.session_seconds
        shown["Description"] = identity.description or None
    if identity.boundary and tags is not None:
        shown["PermissionsBoundary"] = {
            "PermissionsBoundaryType": "Policy",
            "PermissionsBoundaryArn": identity.boundary,
        }
    if tags:
        shown["Tags"] = listed_tags(tags)
    return {name: value for name, value in shown.items() if value is not None}


def describe_policy(
    policy: ManagedPolicy, attached: int, tags: Mapping[str, str] | None = None, *, whole: bool = True
) -> dict[str, Any]:
    """A Policy. Listings leave out its description."""
    shown: dict[str, Any] = {
        "PolicyName": policy.name,
        "PolicyId": policy.id,
        "Arn": policy.arn,
        "Path": policy.path,
        "DefaultVersionId": f"v{policy.default_version}",
        "AttachmentCount": attached,
        "PermissionsBoundaryUsageCount": 0,
        "IsAttachable": True,
        "CreateDate": policy.created_at,
        "UpdateDate": policy.modified_at,
    }
    if whole and policy.description:
        shown["Description"] = policy.description
    if tags:
        shown["Tags"] = listed_tags(tags)
    return shown


def describe_version(version: PolicyVersion, default: int, *, whole: bool = False) -> dict[str, Any]:
    """A PolicyVersion, with its text if *whole*."""
    shown = {
        "VersionId": f"v{version.number}",
        "IsDefaultVersion": version.number == default,
        "CreateDate": version.created_at,
    }
    return {**shown, "Document": encoded(version.document)} if whole else shown


def encoded(document: str) -> str:
    """A policy document as IAM answers it: percent-encoded; clients decode it."""
    return quote(document, safe="")


def listed_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as the API lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
