# SPDX-License-Identifier: Apache-2.0
"""
Resource data syncs: what they are, and what they write (spec §1.14, §7.4).

    PatchwrightError
    └── SyncError
        ├── InvalidSync       a configuration that cannot be, or a bucket that cannot be written to
        ├── SyncTaken         the name is another sync's
        ├── UnknownSync       no sync has this name
        └── TooManySyncs      more than an account and region may have
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from patchwright.core.errors import PatchwrightError
from patchwright.server.accounts import Scope
from patchwright.server.infra import Bucket, joined

TO_DESTINATION, FROM_SOURCE = "SyncToDestination", "SyncFromSource"
IN_PROGRESS, SUCCESSFUL, FAILED = "InProgress", "Successful", "Failed"
DONE = "The sync was successfully completed"
NOTHING_TO_SYNC = (
    "Nothing is synchronized: operational data of other Regions and accounts is what Explorer shows, which is not part of"
    " this server."
)
ORGANIZATIONS, OWN_REGIONS = "AwsOrganizations", "SingleAccountMultiRegions"
NO_ORGANIZATION = "OrganizationNotExists"
_LONGEST_PREFIX = 512  # bytes, which leaves room for the rest of a key
_LONGEST_TYPE = 150  # characters of a type's name in a key


class SyncError(PatchwrightError):
    """What is refused of a resource data sync."""


class InvalidSync(SyncError):
    """A configuration that cannot be, or a bucket that cannot be written to."""


class SyncTaken(SyncError):
    """The name is another sync's."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a resource data sync {name} already.")
        self.name = name


class UnknownSync(SyncError):
    """No sync has this name."""

    def __init__(self, name: str, kind: str | None) -> None:
        super().__init__(f"There is no resource data sync {name}{f' of type {kind}' if kind else ''}.")
        self.name = name
        self.kind = kind


class TooManySyncs(SyncError):
    """More syncs than an account and region may have."""


@dataclass(frozen=True)
class Sync:
    """
    A resource data sync. *settings* are the members of S3Destination or SyncSource as they were given.

    *state* is empty before the first run; moments are epoch seconds. *position* is the node up to which the run that is
    under way has come.
    """

    scope: Scope
    name: str
    id: str
    type: str
    settings: Mapping[str, Any]
    created_at: float
    modified_at: float
    state: str = ""
    message: str = ""
    synced_at: float | None = None
    succeeded_at: float | None = None
    position: str = ""

    @property
    def bucket(self) -> Bucket:
        """Where a sync to a destination writes."""
        settings = self.settings
        key = settings.get("AWSKMSKeyARN", "")
        return Bucket(settings["BucketName"], settings["Region"], key, account=self.scope.account)

    @property
    def prefix(self) -> str:
        """What its keys begin with; may be empty."""
        prefix: str = self.settings.get("Prefix", "")
        return prefix


def check(kind: str, destination: Mapping[str, Any] | None, source: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The settings of a sync of this type. Errors: InvalidSync."""
    if kind not in {TO_DESTINATION, FROM_SOURCE}:
        msg = f"The SyncType is {TO_DESTINATION} or {FROM_SOURCE}."
        raise InvalidSync(msg)
    given, other = (destination, source) if kind == TO_DESTINATION else (source, destination)
    needed, useless = ("S3Destination", "SyncSource") if kind == TO_DESTINATION else ("SyncSource", "S3Destination")
    if given is None or other is not None:
        msg = f"A sync of type {kind} has {needed} and no {useless}."
        raise InvalidSync(msg)
    if kind == TO_DESTINATION:
        if given.get("DestinationDataSharing"):
            msg = "DestinationDataSharing needs an organization, and there is none here."
            raise InvalidSync(msg)
        if len(given.get("Prefix", "").encode()) > _LONGEST_PREFIX:
            msg = f"A Prefix has up to {_LONGEST_PREFIX} bytes."
            raise InvalidSync(msg)
        return given
    if given["SourceType"] not in {ORGANIZATIONS, OWN_REGIONS}:
        msg = f"The SourceType is {ORGANIZATIONS} or {OWN_REGIONS}."
        raise InvalidSync(msg)
    if (given["SourceType"] == ORGANIZATIONS) != ("AwsOrganizationsSource" in given):
        msg = f"AwsOrganizationsSource goes with the SourceType {ORGANIZATIONS}."
        raise InvalidSync(msg)
    if not given["SourceRegions"] and not given.get("IncludeFutureRegions"):
        msg = "SourceRegions names at least one Region."
        raise InvalidSync(msg)
    return given


def key_of(sync: Sync, instance_id: str, type_name: str) -> str:
    """The key of the object that holds a node's rows of a type (spec §7.4)."""
    place = f"accountid={sync.scope.account}/region={sync.scope.region}/resourcetype=ManagedInstanceInventory"
    return joined(sync.prefix, f"{_level(type_name)}/{place}/{instance_id}.json")


def lines(instance_id: str, version: str, capture_time: str, rows: Sequence[Mapping[str, str]]) -> bytes:
    """A node's rows of a type, one JSON object on each line, as JsonSerDe reads them."""
    envelope = {"resourceId": instance_id, "captureTime": capture_time, "schemaVersion": version}
    made = [json.dumps({**row, **envelope}, separators=(",", ":"), ensure_ascii=False) for row in rows]
    return "".join(line + "\n" for line in made).encode("utf-8", "replace")


def fingerprint(version: str, digest: str, rows: Sequence[Mapping[str, str]]) -> str:
    """What changes when the rows of a type change, and does not when they are reported again; empty: there are none."""
    if not digest and not rows:
        return ""
    body = json.dumps([version, digest, [dict(row) for row in rows]], sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()[:24]


def _level(type_name: str) -> str:
    """A type's name as one level of a key: nodes choose the names of custom types, and may choose a path."""
    quoted = quote(type_name, safe=":")
    if len(quoted) <= _LONGEST_TYPE:
        return quoted
    return f"{quoted[:_LONGEST_TYPE]}~{hashlib.sha256(quoted.encode()).hexdigest()[:16]}"
