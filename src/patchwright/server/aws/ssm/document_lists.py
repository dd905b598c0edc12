# SPDX-License-Identifier: Apache-2.0
"""Documents: lists, sharing, reviews (spec §1.6, §6.1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from patchwright.server import documents, settings
from patchwright.server.aws.members import filters_of
from patchwright.server.aws.services import Services
from patchwright.server.aws.ssm.documents import identity, named
from patchwright.server.documents import Cursor, Review, Share, Wanted, listing
from patchwright.server.wire import ApiError, Caller, Handler, Pager, validation

PAGE = 50
SHARES_PAGE = 200
_NEWEST = 2**53
_REVIEWER = re.compile(r"[^a-zA-Z0-9_.-]")
_CONDITIONS: Mapping[str, Callable[[Sequence[str]], listing.Condition]] = {
    "PlatformTypes": listing.runs_on,
    "TargetType": listing.targets,
    "SearchKeyword": listing.mentions,
}
_KEYS = frozenset({"Owner", "Name", "DocumentType", *_CONDITIONS})


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    lists = DocumentLists(services.documents, services.settings, services.pager)
    return {
        "AmazonSSM.DescribeDocumentPermission": lists.describe_document_permission,
        "AmazonSSM.ListDocumentMetadataHistory": lists.list_document_metadata_history,
        "AmazonSSM.ListDocumentVersions": lists.list_document_versions,
        "AmazonSSM.ListDocuments": lists.list_documents,
        "AmazonSSM.ModifyDocumentPermission": lists.modify_document_permission,
        "AmazonSSM.UpdateDocumentMetadata": lists.update_document_metadata,
    }


class DocumentLists:
    """One method per operation."""

    def __init__(self, service: documents.Service, own: settings.Service, pager: Pager) -> None:
        self._service = service
        self._settings = own
        self._pager = pager

    async def list_documents(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListDocuments: the product's, then one's own, then what others share, each in order of name."""
        cursor = self._pager.cursor(caller, request)
        found, rest = await self._service.listed(
            caller.scope,
            _wanted(request),
            cursor=Cursor(*cursor) if cursor else None,
            limit=request.get("MaxResults", PAGE),
        )
        answer: dict[str, Any] = {"DocumentIdentifiers": [identity(one) for one in found]}
        if rest is not None:
            answer["NextToken"] = self._pager.token(caller, request, rest)
        return answer

    async def list_document_versions(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListDocumentVersions, newest first."""
        limit = request.get("MaxResults", PAGE)
        before = self._pager.cursor(caller, request) or _NEWEST
        document, found = await self._service.versions(caller.scope, request["Name"], before=before, limit=limit + 1)
        page = found[:limit]
        answer: dict[str, Any] = {
            "DocumentVersions": [
                {
                    "Name": document.name,
                    "DocumentVersion": str(version.number),
                    "CreatedDate": version.created_at,
                    "IsDefaultVersion": version.number == document.default_version,
                    "DocumentFormat": version.format,
                    "Status": "Active",
                    "ReviewStatus": None if document.owner == documents.AMAZON else version.review_status,
                    **named(version),
                }
                for version in page
            ]
        }
        if len(found) > limit:
            answer["NextToken"] = self._pager.token(caller, request, page[-1].number)
        return answer

    async def modify_document_permission(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ModifyDocumentPermission: removing wins over adding."""
        shared = request.get("SharedDocumentVersion", documents.DEFAULT)
        add, remove = (_accounts(request.get(name, [])) for name in ("AccountIdsToAdd", "AccountIdsToRemove"))
        if not add and not remove:
            raise validation("Name accounts in AccountIdsToAdd or AccountIdsToRemove.")
        if shared not in {documents.DEFAULT, documents.LATEST, documents.ALL}:
            raise validation("SharedDocumentVersion is $DEFAULT, $LATEST or $ALL.")
        if documents.EVERYBODY in add and (await self._settings.get(caller.scope, settings.PUBLIC)).value == "Disable":
            raise ApiError("DocumentPermissionLimit", f"Documents cannot be public: {settings.PUBLIC} is Disable.")
        try:
            await self._service.share(
                caller.scope, request["Name"], add=[Share(account, shared) for account in add], remove=remove
            )
        except documents.ReadOnlyDocument as error:  # AWS has no other code for it here
            raise ApiError("InvalidDocument", str(error)) from None
        return {}

    async def describe_document_permission(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeDocumentPermission: those with whom one's own document is shared."""
        limit = request.get("MaxResults", SHARES_PAGE)
        after = self._pager.cursor(caller, request) or ""
        found = await self._service.shares(caller.scope, request["Name"], after=after, limit=limit + 1)
        page = found[:limit]
        answer: dict[str, Any] = {
            "AccountIds": [one.recipient for one in page],
            "AccountSharingInfoList": [
                {"AccountId": one.recipient, "SharedDocumentVersion": one.shared_version} for one in page
            ],
        }
        if len(found) > limit:
            answer["NextToken"] = self._pager.token(caller, request, page[-1].recipient)
        return answer

    async def update_document_metadata(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateDocumentMetadata: a step of the review of a version, the latest where none is named."""
        review = request["DocumentReviews"]
        comments = [one.get("Content", "") for one in review.get("Comment", [])]
        await self._service.review(
            caller.scope,
            request["Name"],
            request.get("DocumentVersion", documents.LATEST),
            action=review["Action"],
            comment=comments[0] if comments else "",
            reviewer=_reviewer(caller.principal),
        )
        return {}

    async def list_document_metadata_history(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListDocumentMetadataHistory, newest first."""
        limit = request.get("MaxResults", PAGE)
        before = self._pager.cursor(caller, request) or _NEWEST
        version = request.get("DocumentVersion", documents.LATEST)
        try:
            found, said = await self._service.reviews(
                caller.scope, request["Name"], version, before=before, limit=limit + 1
            )
        except documents.ReadOnlyDocument as error:  # AWS has no other code for it here
            raise ApiError("InvalidDocument", str(error)) from None
        page = said[:limit]
        answer: dict[str, Any] = {
            "Name": found.document.name,
            "DocumentVersion": str(found.version.number),
            "Author": found.version.author,
            "Metadata": {"ReviewerResponse": [_response(one) for one in page]},
        }
        if len(said) > limit:
            answer["NextToken"] = self._pager.token(caller, request, page[-1].number)
        return answer


def _response(review: Review) -> dict[str, Any]:
    return {
        "CreateTime": review.created_at,
        "UpdatedTime": review.updated_at,
        "ReviewStatus": review.status,
        "Comment": [{"Type": "Comment", "Content": review.comment}] if review.comment else [],
        "Reviewer": review.reviewer,
    }


def _reviewer(principal: str) -> str:
    """The name in a principal's ARN, as far as the model lets a reviewer have it."""
    return _REVIEWER.sub("_", re.split("[:/]", principal)[-1])[:50] or "unknown"


def _accounts(given: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(account.lower() for account in given))


def _wanted(request: Mapping[str, Any]) -> Wanted:
    old = [(item["key"], [item["value"]]) for item in request.get("DocumentFilterList", [])]
    new = filters_of(request.get("Filters", []))
    if old and new:
        raise validation("Use either Filters or DocumentFilterList.")
    given: dict[str, list[tuple[str, ...]]] = {}
    for key, values in old or new:
        if key not in _KEYS and not (key.startswith("tag:") and key != "tag:"):
            raise ApiError("InvalidFilterKey", f"There is no filter {key!r} here.")
        if not values and key in _KEYS:
            raise validation(f"The filter {key} names no value.")
        given.setdefault(key, []).append(tuple(values))
    owners = [_groups(values) for values in given.get("Owner", [])]
    return Wanted(
        groups=tuple(group for group in owners[0] if all(group in one for one in owners)) if owners else listing.EVERY,
        prefixes=tuple(given.get("Name", [])),
        types=tuple(given.get("DocumentType", [])),
        tags=tuple((key.removeprefix("tag:"), values) for key in given if key not in _KEYS for values in given[key]),
        conditions=tuple(make(values) for key, make in _CONDITIONS.items() for values in given.get(key, [])),
    )


def _groups(owners: Sequence[str]) -> tuple[str, ...]:
    if len(owners) != 1 or owners[0] not in listing.OWNERS:
        raise validation(f"The filter Owner takes one of {', '.join(listing.OWNERS)}.")
    return listing.OWNERS[owners[0]]
