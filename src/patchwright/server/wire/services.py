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
from .protocol import Operation, Shapes

NODE, USER, ANY, ANONYMOUS = "node", "user", "any", "anonymous"

# Who may call: a target's own entry, else its prefix's, else users. The composer may give the endpoint another table.
AUDIENCE: Mapping[str, str] = {
    "AmazonSSM": USER,
    "AmazonSSM.PutComplianceItems": ANY,
    "AmazonSSM.PutInventory": ANY,
    "AmazonSSM.RegisterManagedInstance": ANONYMOUS,
    "AmazonSSM.RequestManagedInstanceRoleToken": NODE,
    "AmazonSSM.UpdateManagedInstancePublicKey": NODE,
    "AmazonSSM.UpdateInstanceInformation": NODE,
    "EC2WindowsMessageDeliveryService": NODE,
    "Patchwright": NODE,
    "Patchwright.Enroll": ANONYMOUS,
    "Patchwright.GetVerdict": USER,
}


@dataclass(frozen=True)
class Source:
    """Where a service's model is kept: a botocore (service, API version), then our own files on top of it."""

    botocore: tuple[str, str] | None = None
    ours: tuple[str, ...] = ()
    accepts_gzip: bool = False


# By X-Amz-Target prefix.
SOURCES: Mapping[str, Source] = {
    "AmazonSSM": Source(botocore=("ssm", "2014-11-06"), ours=("ssm-agent",)),
    "EC2WindowsMessageDeliveryService": Source(ours=("ec2messages",)),
    "Patchwright": Source(ours=("patchwright",), accepts_gzip=True),
}


class Service:
    """One service: its *model* (botocore's format, merged) and its operations, compiled when first asked for."""

    def __init__(self, model: Mapping[str, Any], *, accepts_gzip: bool = False, strict: bool = False) -> None:
        metadata = model["metadata"]
        if metadata["protocol"] != "json" or metadata["jsonVersion"] != "1.1":
            raise WireMismatch(f"{metadata['serviceFullName']}: only the JSON 1.1 protocol is spoken here")
        self.model = model
        self.prefix: str = metadata["targetPrefix"]
        self.signing_name: str = metadata.get("signingName", metadata["endpointPrefix"])
        self.accepts_gzip = accepts_gzip
        self.operation_names: tuple[str, ...] = tuple(model["operations"])
        self._strict = strict
        self._operations: dict[str, Operation] = {}

    @cached_property
    def _shapes(self) -> Shapes:
        return Shapes(self.model["shapes"])

    def operation(self, name: str) -> Operation | None:
        """The operation called *name*, or None when the model has none."""
        found = self._operations.get(name)
        if found is None and name in self.model["operations"]:
            description = self.model["operations"][name]
            found = Operation(f"{self.prefix}.{name}", description, self._shapes, strict=self._strict)
            self._operations[name] = found
        return found


class Models:
    """Every service, read when first asked for. *strict* makes a handler's answer that does not fit its model an error."""

    def __init__(self, sources: Mapping[str, Source] = SOURCES, *, strict: bool = False) -> None:
        self._sources = sources
        self._strict = strict
        self._services: dict[str, Service] = {}

    def service(self, prefix: str) -> Service | None:
        """The service of a target prefix such as `AmazonSSM`."""
        found = self._services.get(prefix)
        if found is None and prefix in self._sources:
            source = self._sources[prefix]
            found = Service(read_model(source), accepts_gzip=source.accepts_gzip, strict=self._strict)
            if found.prefix != prefix:
                raise WireMismatch(f"the model of {prefix} names the prefix {found.prefix}")
            self._services[prefix] = found
        return found

    def operation(self, target: str) -> Operation | None:
        """The operation of an X-Amz-Target such as `AmazonSSM.SendCommand`, or None."""
        prefix, _, name = target.partition(".")
        service = self.service(prefix)
        return None if service is None else service.operation(name)

    def targets(self) -> Iterator[str]:
        """Every target of every service."""
        for prefix in self._sources:
            service = self.service(prefix)
            if service is not None:
                yield from (f"{prefix}.{name}" for name in service.operation_names)


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
