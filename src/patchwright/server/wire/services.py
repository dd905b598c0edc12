# SPDX-License-Identifier: Apache-2.0
"""Which services there are, and where their models come from: botocore, and files of ours in botocore's format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

import msgspec
from botocore.loaders import Loader

from .errors import WireMismatch
from .protocol import Dialect, Operation
from .query import QueryDialect
from .rest import Paths, RestDialect
from .rest_answered_in_xml import XmlAnsweredDialect
from .shapes import Shapes

DIALECTS: Mapping[str, type[Dialect]] = {
    "json": Dialect,
    "rest-json": RestDialect,
    "rest-json-xml": XmlAnsweredDialect,
    "query": QueryDialect,
}
_JSON_VERSIONS = frozenset({"1.0", "1.1"})

NODE, USER, ANY, ANONYMOUS = "node", "user", "any", "anonymous"

# Who may call: a target's own entry, else its prefix's, else users. The composer may give the endpoint another table.
AUDIENCE: Mapping[str, str] = {
    "AmazonSSM": USER,
    "AmazonSSM.DescribeDocument": ANY,
    "AmazonSSM.GetDocument": ANY,
    "AmazonSSM.GetParameter": ANY,
    "AmazonSSM.GetParameters": ANY,
    "AmazonSSM.GetDeployablePatchSnapshotForInstance": ANY,
    "AmazonSSM.ListInstanceAssociations": NODE,
    "AmazonSSM.PutComplianceItems": ANY,
    "AmazonSSM.PutInventory": ANY,
    "AmazonSSM.RegisterManagedInstance": ANONYMOUS,
    "AmazonSSM.RequestManagedInstanceRoleToken": NODE,
    "AmazonSSM.UpdateManagedInstancePublicKey": NODE,
    "AmazonSSM.UpdateInstanceAssociationStatus": NODE,
    "AmazonSSM.UpdateInstanceInformation": NODE,
    "EC2WindowsMessageDeliveryService": NODE,
    "Patchwright": NODE,
    "Patchwright.Enroll": ANONYMOUS,
    "Patchwright.ExportAuditTrail": USER,
    "Patchwright.ExportPatchReport": USER,
    "Patchwright.GetPatchReport": USER,
    "Patchwright.CreateAccount": USER,
    "Patchwright.CreateCalendarFeed": USER,
    "Patchwright.DeleteCalendarFeed": USER,
    "Patchwright.DeleteSubscription": USER,
    "Patchwright.DescribeSchedule": USER,
    "Patchwright.DisableAccount": USER,
    "Patchwright.EnableAccount": USER,
    "Patchwright.GetCalendar": USER,
    "Patchwright.GetForecast": USER,
    "Patchwright.GetOutput": USER,
    "Patchwright.GetSubscription": USER,
    "Patchwright.GetVerdict": USER,
    "Patchwright.ListAccounts": USER,
    "Patchwright.ListAuditEntries": USER,
    "Patchwright.ListCalendarFeeds": USER,
    "Patchwright.ListDeliveries": USER,
    "Patchwright.ListEvents": USER,
    "Patchwright.ListOutputs": USER,
    "Patchwright.RunMaintenanceWindow": USER,
    "Patchwright.ListSubscriptions": USER,
    "Patchwright.PutSubscription": USER,
    "Patchwright.RedeliverEvents": USER,
    "Patchwright.VerifyAuditTrail": USER,
    "iam": USER,
    "ssmmessages": NODE,
    "sts": USER,
    "sts.GetCallerIdentity": ANY,
}


@dataclass(frozen=True)
class Source:
    """Where a service's model is kept: a botocore (service, API version), then our own files on top of it."""

    botocore: tuple[str, str] | None = None
    ours: tuple[str, ...] = ()
    accepts_gzip: bool = False


# By the prefix of X-Amz-Target where the service speaks JSON; REST and Query services by the name they are signed for.
SOURCES: Mapping[str, Source] = {
    "AmazonSSM": Source(botocore=("ssm", "2014-11-06"), ours=("ssm-agent",)),
    "EC2WindowsMessageDeliveryService": Source(ours=("ec2messages",)),
    "Patchwright": Source(
        ours=(
            "patchwright",
            "patchwright-accounts",
            "patchwright-audit",
            "patchwright-calendar",
            "patchwright-events",
            "patchwright-forecast",
            "patchwright-outputs",
            "patchwright-windows",
        ),
        accepts_gzip=True,
    ),
    "iam": Source(botocore=("iam", "2010-05-08")),
    "ssmmessages": Source(ours=("ssmmessages",)),
    "sts": Source(botocore=("sts", "2011-06-15")),
}


class Service:
    """
    One service: its *model* (botocore's format, merged) and its operations, compiled when first asked for.

    Its *key* is what it is found by: the prefix of its targets where it speaks JSON, else the name requests are signed for.
    Raises WireMismatch where it speaks no protocol that is spoken here.
    """

    def __init__(self, model: Mapping[str, Any], *, accepts_gzip: bool = False, strict: bool = False) -> None:
        metadata = model["metadata"]
        spoken = [one for one in metadata.get("protocols", [metadata["protocol"]]) if one in DIALECTS]
        version = metadata.get("jsonVersion", "1.1")
        if not spoken or version not in _JSON_VERSIONS:
            raise WireMismatch(f"{metadata['serviceFullName']}: {metadata['protocol']} {version} is not spoken here")
        self.model = model
        self.protocol: str = spoken[0]
        self.signing_name: str = metadata.get("signingName", metadata["endpointPrefix"])
        self.key: str = metadata["targetPrefix"] if self.protocol == "json" else self.signing_name
        self.version: str = metadata.get("apiVersion", "")
        self.accepts_gzip = accepts_gzip
        self.operation_names: tuple[str, ...] = tuple(model["operations"])
        self._strict = strict
        self._operations: dict[str, Operation] = {}

    @cached_property
    def _shapes(self) -> Shapes:
        return Shapes(self.model["shapes"])

    @cached_property
    def dialect(self) -> Dialect:
        """How it answers and refuses."""
        return DIALECTS[self.protocol](self.model, self._shapes, strict=self._strict)

    @cached_property
    def paths(self) -> Paths:
        """Where its operations are, if it speaks REST."""
        return Paths(self.model["operations"])

    def operation(self, name: str) -> Operation | None:
        """The operation called *name*, or None when the model has none. Raises WireMismatch where it is not spoken here."""
        found = self._operations.get(name)
        if found is None and name in self.model["operations"]:
            description, metadata = self.model["operations"][name], self.model["metadata"]
            found = self.dialect.operation(
                f"{self.key}.{name}", description, self._shapes, metadata=metadata, strict=self._strict
            )
            self._operations[name] = found
        return found


class Models:
    """Every service, read when first asked for. *strict* makes a handler's answer that does not fit its model an error."""

    def __init__(self, sources: Mapping[str, Source] = SOURCES, *, strict: bool = False) -> None:
        self._sources = sources
        self._strict = strict
        self._services: dict[str, Service] = {}

    def service(self, key: str) -> Service | None:
        """The service of a target's prefix such as `AmazonSSM`, or of a signing name such as `iam`."""
        found = self._services.get(key)
        if found is None and key in self._sources:
            source = self._sources[key]
            found = Service(read_model(source), accepts_gzip=source.accepts_gzip, strict=self._strict)
            if found.key != key:
                raise WireMismatch(f"the model of {key} is found by {found.key}")
            self._services[key] = found
        return found

    def operation(self, target: str) -> Operation | None:
        """The operation of a target such as `AmazonSSM.SendCommand` or `iam.CreateUser`, or None."""
        key, _, name = target.partition(".")
        service = self.service(key)
        return None if service is None else service.operation(name)

    def targets(self) -> Iterator[str]:
        """Every target of every service."""
        for key in self._sources:
            service = self.service(key)
            if service is not None:
                yield from (f"{key}.{name}" for name in service.operation_names)


def load_models(*, strict: bool = False) -> Models:
    """
    The services Patchwright knows, which is more than it serves.

    With *strict* (tests, development) a handler's answer with an unknown member or a wrong type raises WireMismatch
    where it would otherwise be cut to the model.
    """
    return Models(strict=strict)


def read_model(source: Source) -> Mapping[str, Any]:
    """The merged model of *source*. Raises WireMismatch when two of its files give one name two meanings."""
    merged: dict[str, Any] = {}
    if source.botocore is not None:
        service, version = source.botocore
        # Only the packaged data: a model file in somebody's ~/.aws must not change what the server accepts.
        loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
        merged = dict(loader.load_service_model(service, "service-2", version))
    for name in source.ours:
        text = (files(__package__) / "models" / f"{name}.json").read_bytes()
        addition = msgspec.json.decode(text, type=dict[str, Any])
        if not merged:
            merged = addition
            continue
        for part in ("operations", "shapes"):
            twice = sorted(merged[part].keys() & addition[part].keys())
            if twice:
                raise WireMismatch(f"models/{name}.json defines again: {', '.join(twice)}")
            merged[part] = {**merged[part], **addition[part]}
    return merged
