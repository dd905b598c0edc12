# SPDX-License-Identifier: Apache-2.0
"""Documents: made, read, changed, removed (spec §1.6, §6.1). Lists, sharing and reviews are in document_lists.py."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from patchwright.server import documents
from patchwright.server.aws.members import first_tags_of
from patchwright.server.aws.services import Services
from patchwright.server.documents import Attachment, Document, Draft, Found, Version
from patchwright.server.wire import ApiError, Caller, Handler, validation

_ACTIVE = "Active"


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = DocumentOperations(services.documents)
    return {
        "AmazonSSM.CreateDocument": own.create_document,
        "AmazonSSM.DeleteDocument": own.delete_document,
        "AmazonSSM.DescribeDocument": own.describe_document,
        "AmazonSSM.GetDocument": own.get_document,
        "AmazonSSM.UpdateDocument": own.update_document,
        "AmazonSSM.UpdateDocumentDefaultVersion": own.update_document_default_version,
    }


class DocumentOperations:
    """One method per operation."""

    def __init__(self, service: documents.Service) -> None:
        self._service = service

    async def create_document(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """CreateDocument: at once Active."""
        found = await self._service.create(
            caller.scope,
            request["Name"],
            _draft(request),
            kind=request.get("DocumentType", documents.COMMAND),
            author=caller.principal,
            requires=request.get("Requires", []),
            own_tags=first_tags_of(request),
        )
        return {"DocumentDescription": describe(found)}

    async def update_document(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateDocument: a new version, which is not the default yet."""
        found = await self._service.update(
            caller.scope,
            request["Name"],
            _draft(request),
            author=caller.principal,
            based_on=request.get("DocumentVersion", ""),
        )
        return {"DocumentDescription": describe(found)}

    async def update_document_default_version(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """UpdateDocumentDefaultVersion."""
        try:
            found = await self._service.set_default(caller.scope, request["Name"], request["DocumentVersion"])
        except documents.ReadOnlyDocument as error:  # AWS has no other code for it here
            raise ApiError("InvalidDocument", str(error)) from None
        answer = {"Name": found.document.name, "DefaultVersion": str(found.version.number)}
        if found.version.version_name:
            answer["DefaultVersionName"] = found.version.version_name
        return {"Description": answer}

    async def get_document(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """GetDocument: as JSON where no format is asked for; a calendar is always text."""
        found = await self._service.get(caller.scope, request["Name"], **_selector(request))
        version, wanted = found.version, request.get("DocumentFormat", "JSON")
        if wanted == "TEXT" and version.format != "TEXT":
            raise validation(f"{found.document.reference} is no text: ask for JSON or YAML.")
        form = "TEXT" if version.format == "TEXT" else wanted
        return {
            "Name": found.document.reference,
            "CreatedDate": version.created_at,
            "DocumentVersion": str(version.number),
            "Status": _ACTIVE,
            "Content": await documents.converted(found, form),
            "DocumentType": found.document.type,
            "DocumentFormat": form,
            **named(version),
            **_requires(found.document),
            **review_of(found),
        }

    async def describe_document(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DescribeDocument."""
        found = await self._service.describe(caller.scope, request["Name"], **_selector(request))
        return {"Document": describe(found)}

    async def delete_document(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """DeleteDocument: with all its versions, or one."""
        try:
            await self._service.delete(
                caller.scope, request["Name"], **_selector(request), force=request.get("Force", False)
            )
        except documents.UnknownVersion as error:  # AWS has no other code for it here
            raise ApiError("InvalidDocument", str(error)) from None
        return {}


def describe(found: Found) -> dict[str, Any]:
    """DocumentDescription: what is not there is left out."""
    document, version = found.document, found.version
    answer = {
        "Sha1": hashlib.sha1(version.content.encode(), usedforsecurity=False).hexdigest(),
        "Hash": version.hash,
        "HashType": "Sha256",
        **identity(found),
        "Status": _ACTIVE,
        "Parameters": [_parameter(one) for one in version.reading.parameters],
        "LatestVersion": str(document.latest_version),
        "DefaultVersion": str(document.default_version),
    }
    if version.reading.description:
        answer["Description"] = version.reading.description
    if version.attachments:
        answer["AttachmentsInformation"] = [{"Name": one.name} for one in version.attachments if one.name]
    if found.approved_version:
        answer["ApprovedVersion"] = str(found.approved_version)
    if found.pending_version:
        answer["PendingReviewVersion"] = str(found.pending_version)
    if found.reviews:
        answer["ReviewInformation"] = [
            {"ReviewedTime": one.updated_at, "Status": one.status, "Reviewer": one.reviewer} for one in found.reviews
        ]
    return answer


def identity(found: Found) -> dict[str, Any]:
    """DocumentIdentifier: what a listing shows, and a description as well."""
    document, version = found.document, found.version
    answer = {
        "Name": document.reference,
        "CreatedDate": version.created_at,
        "Owner": document.owner,
        "PlatformTypes": list(version.reading.platform_types),
        "DocumentVersion": str(version.number),
        "DocumentType": document.type,
        "DocumentFormat": version.format,
        "Tags": [{"Key": key, "Value": value} for key, value in found.tags.items()],
        **named(version),
        **_requires(document),
        **review_of(found),
    }
    more = {
        "SchemaVersion": version.reading.schema_version,
        "TargetType": version.target_type,
        "Author": version.author,
    }
    return {**answer, **{member: value for member, value in more.items() if value}}


def named(version: Version) -> dict[str, str]:
    """The names of a version, as far as it has any."""
    names = {"DisplayName": version.display_name, "VersionName": version.version_name}
    return {member: name for member, name in names.items() if name}


def review_of(found: Found) -> dict[str, str]:
    """How the review of a version stands; the product's own are not reviewed here."""
    return {} if found.document.owner == documents.AMAZON else {"ReviewStatus": found.version.review_status}


def _requires(document: Document) -> dict[str, Any]:
    return {"Requires": list(document.requires)} if document.requires else {}


def _parameter(parameter: documents.Parameter) -> dict[str, Any]:
    answer = {"Name": parameter.name, "Type": parameter.type}
    if parameter.description:
        answer["Description"] = parameter.description
    if parameter.default is not None:
        answer["DefaultValue"] = parameter.default
    return answer


def _draft(request: Mapping[str, Any]) -> Draft:
    return Draft(
        content=request["Content"],
        format=request.get("DocumentFormat", "JSON"),
        version_name=request.get("VersionName", ""),
        display_name=request.get("DisplayName"),
        target_type=request.get("TargetType"),
        attachments=tuple(_attachment(one) for one in request.get("Attachments", [])),
    )


def _attachment(given: Mapping[str, Any]) -> Attachment:
    key, values = given.get("Key"), given.get("Values")
    if not key or not values:
        raise validation("An attachment has a Key and one of Values.")
    return Attachment(given.get("Name", ""), key, values[0])


def _selector(request: Mapping[str, Any]) -> dict[str, str]:
    return {"version": request.get("DocumentVersion", ""), "version_name": request.get("VersionName", "")}
