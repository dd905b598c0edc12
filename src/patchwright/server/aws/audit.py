# SPDX-License-Identifier: Apache-2.0
"""The audit trail: operations of our own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from patchwright.core.audit import Entry, Head, entry_id
from patchwright.server.accounts import AuditService, Question
from patchwright.server.aws.services import Services
from patchwright.server.wire import Caller, Handler, Pager, access_denied

_PAGE = 50
_LAST_MOMENT = 2.0**55 / 1_000_000  # microseconds have 14 hexadecimal digits in an id


def operations(services: Services) -> Mapping[str, Handler]:
    """The operations served here, by target."""
    own = AuditOperations(services.audit, services.pager)
    return {
        "Patchwright.ExportAuditTrail": own.export_audit_trail,
        "Patchwright.ListAuditEntries": own.list_audit_entries,
        "Patchwright.VerifyAuditTrail": own.verify_audit_trail,
    }


class AuditOperations:
    """One method per operation."""

    def __init__(self, audit: AuditService, pager: Pager) -> None:
        self._audit = audit
        self._pager = pager

    async def list_audit_entries(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ListAuditEntries: those of the account, newest first, of the caller's region or of another one, `*`: of all."""
        nobodys = request.get("Unattributed", False)
        if nobodys and caller.account != self._audit.first:
            raise access_denied(
                f"User: {caller.principal} is not authorized to list what belongs to no account:"
                " that is for the installation's first account."
            )
        question = Question(
            account="" if nobodys else caller.account,
            user=request.get("User", ""),
            resource=request.get("Resource", ""),
            region=_region(caller, request),
            operation=request.get("Operation", ""),
            result=request.get("Result", ""),
            since=_id_at(request.get("StartTime")),
            until=_id_at(request.get("EndTime")),
        )
        before = self._pager.cursor(caller, request) or ""
        found, more = await self._audit.listed(question, before=before, limit=request.get("MaxResults", _PAGE))
        answer: dict[str, Any] = {"Entries": [_shown(entry) for entry in found]}
        if more is not None:
            answer["NextToken"] = self._pager.token(caller, request, more)
        return answer

    async def export_audit_trail(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """ExportAuditTrail: pages of lines that are put together as they come; of others' entries the hash alone."""
        lines, more = await self._audit.exported(
            caller.account, _region(caller, request), after=self._pager.cursor(caller, request) or 0
        )
        answer: dict[str, Any] = {"Lines": lines}
        if more is not None:
            answer["NextToken"] = self._pager.token(caller, request, more)
        return answer

    async def verify_audit_trail(self, caller: Caller, request: dict[str, Any]) -> dict[str, Any]:
        """VerifyAuditTrail: a page of seals after another, by the server, which has the key; a head only with the last."""
        trusted = [Head.parse(request["Head"])] if "Head" in request else []
        proof = await self._audit.verified(after=self._pager.cursor(caller, request) or 0, trusted=trusted)
        answer: dict[str, Any] = {
            "Findings": [
                {"Seal": one.seal, "EntryId": one.entry or None, "Problem": one.problem} for one in proof.findings
            ],
            "Seals": proof.seals,
            "Entries": proof.entries,
            "Unsealed": proof.unsealed,
            "Head": None if proof.head is None else str(proof.head),
        }
        if proof.after is not None:
            answer["NextToken"] = self._pager.token(caller, request, proof.after)
        return answer


def _region(caller: Caller, request: Mapping[str, Any]) -> str:
    """The region that is asked for; empty: all of them, where what is nobody's is as well."""
    asked: str = "*" if request.get("Unattributed") else request.get("Region", caller.region)
    return "" if asked == "*" else asked


def _id_at(moment: float | None) -> str:
    return "" if moment is None else entry_id(min(max(moment, 0.0), _LAST_MOMENT), "")


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "Id": entry.id,
        "Account": entry.account,
        "Region": entry.region,
        "Time": entry.at,
        "Since": entry.since,
        "Calls": entry.calls,
        "Principal": entry.principal,
        "AccessKeyId": entry.key_id,
        "SourceIp": entry.source_ip,
        "Operation": entry.target,
        "Resources": list(entry.resources),
        "RequestId": entry.request_id,
        "Result": entry.result,
    }
