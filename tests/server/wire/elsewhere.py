# SPDX-License-Identifier: Apache-2.0
"""Services that are not served yet, found by one line each; and calls of any service as botocore writes, signs and reads them."""

from __future__ import annotations

import datetime
import random
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, HeadersDict, prepare_request_dict
from botocore.credentials import Credentials
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from patchwright.server.wire import Models
from patchwright.server.wire.services import Service, Source
from server.wire.client import NOW, USER_KEY, Answer, call
from server.wire.made_up import Impossible, Maker

SOURCES: Mapping[str, Source] = {
    "AmazonSSM": Source(botocore=("ssm", "2014-11-06")),
    "AWSHealth_20160804": Source(botocore=("health", "2016-08-04")),
    "AWSStepFunctions": Source(botocore=("stepfunctions", "2016-11-23")),  # JSON 1.0
    "StarlingDoveService": Source(botocore=("config", "2014-11-12")),
    "iam": Source(botocore=("iam", "2010-05-08")),
    "imagebuilder": Source(botocore=("imagebuilder", "2019-12-02")),
    "inspector2": Source(botocore=("inspector2", "2020-06-08")),
    "lambda": Source(botocore=("lambda", "2015-03-31")),
    "securityhub": Source(botocore=("securityhub", "2018-10-26")),
    "ssm-quicksetup": Source(botocore=("ssm-quicksetup", "2018-05-10")),
    "sts": Source(botocore=("sts", "2011-06-15")),
}
ELSEWHERE = Models(SOURCES, strict=True)
HEADER_TEXT = re.compile(r"[!-~]([ -~]*[!-~])?")


def operation_model(service: Service, name: str) -> OperationModel:
    """An operation as botocore knows it."""
    return ServiceModel(service.model, service.key).operation_model(name)


@dataclass
class Speaker:
    """Calls operations of *service* on an endpoint, in the protocol that is spoken here."""

    service: Service
    endpoint: Any

    async def call(self, name: str, value: Mapping[str, Any]) -> Answer:
        """What the endpoint answers to *value*, written and signed by botocore."""
        described = operation_model(self.service, name)
        request_dict = create_serializer(self.service.protocol, include_validation=False).serialize_to_request(
            value, described
        )
        prepare_request_dict(request_dict, endpoint_url="http://patchwright.test:8473", user_agent="x", context={})
        request = AWSRequest(
            method=request_dict["method"],
            url=request_dict["url"],
            data=request_dict["body"],
            headers=request_dict["headers"],
        )
        moment = datetime.datetime.fromtimestamp(NOW, datetime.UTC)
        with mock.patch("botocore.auth.get_current_datetime", return_value=moment.replace(tzinfo=None)):
            key = Credentials(USER_KEY.access_key_id, USER_KEY.secret)
            SigV4Auth(key, self.service.signing_name, "us-east-1").add_auth(request)
        prepared = request.prepare()
        url = urlsplit(prepared.url)
        body = prepared.body or b""
        sent = body.encode() if isinstance(body, str) else body
        headers = {
            name.lower(): value if isinstance(value, str) else value.decode()
            for name, value in prepared.headers.items()
        }
        named = {"amz-sdk-invocation-id": str(uuid.uuid4())}  # as SDKs say which call a request is
        headers = {"host": url.netloc, **headers, **named, "content-length": str(len(sent))}
        return await call(self.endpoint, headers, sent, method=prepared.method, path=url.path or "/", query=url.query)

    def read(self, name: str, answer: Answer) -> dict[str, Any]:
        """*answer* as botocore reads it, an error with the members of its class; moments as epoch seconds."""
        described = operation_model(self.service, name)
        parser = create_parser(self.service.protocol)
        response = {"status_code": answer.status, "headers": HeadersDict(answer.headers), "body": answer.body}
        parsed = parser.parse(response, described.output_shape)
        if answer.status >= 301:
            shape = described.service_model.shape_for_error_code(parsed["Error"]["Code"])
            if shape is not None:
                parsed.update(parser.parse(response, shape))
        found: dict[str, Any] = timeless(parsed)
        return found


def timeless(value: Any) -> Any:
    """*value* with every moment as epoch seconds, as handlers see them."""
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    if isinstance(value, dict):
        return {key: timeless(one) for key, one in value.items()}
    if isinstance(value, list):
        return [timeless(one) for one in value]
    return value


def request_of(service: Service, shape: str, chance: random.Random) -> dict[str, Any]:
    """A made-up request that the service's protocol can say. Raises Impossible."""
    for _ in range(200):
        value = Maker(service.model["shapes"], chance).value(shape)
        if service.protocol == "query":
            value = said(value)
            if not service_accepts(service, shape, value):
                continue
        if all(_sayable(service, shape, name, one) for name, one in value.items()):
            return _payload_kept(service, shape, value)
    raise Impossible(shape)


def answer_of(service: Service, shape: str, chance: random.Random) -> dict[str, Any]:
    """A made-up answer that the service's protocol can say and botocore's parser can hand over. Raises Impossible."""
    for _ in range(200):
        value = Maker(service.model["shapes"], chance).value(shape)
        for name, reference in service.model["shapes"][shape]["members"].items():
            if reference.get("location") == "statusCode":
                value[name] = chance.choice([200, 202])
        payload = service.model["shapes"][shape].get("payload")
        if (
            payload
            and service.model["shapes"][service.model["shapes"][shape]["members"][payload]["shape"]]["type"] == "blob"
        ):
            value[payload] = b"what botocore hands over as text"
        if all(_sayable(service, shape, name, one) for name, one in value.items()):
            return _payload_kept(service, shape, value)
    raise Impossible(shape)


def _payload_kept(service: Service, shape: str, value: dict[str, Any]) -> dict[str, Any]:
    """A body that is a structure or a text cannot be told from an empty one."""
    payload = service.model["shapes"][shape].get("payload")
    return {name: one for name, one in value.items() if name != payload or one not in ({}, "", b"")}


def said(value: Any) -> Any:
    """What of *value* a form can say: nothing of what is empty but a list."""
    if isinstance(value, dict):
        return {key: kept for key, one in value.items() if (kept := said(one)) != {}}
    if isinstance(value, list):
        return [kept for one in value if (kept := said(one)) not in ({}, [])]
    return value


def service_accepts(service: Service, shape: str, value: Any) -> bool:
    """Whether *value* still is a valid request."""
    from patchwright.server.wire.shapes import Shapes
    from patchwright.server.wire.validation import find_violations

    return find_violations(Shapes(service.model["shapes"]), shape, value)[0] == 0


def _sayable(service: Service, shape: str, name: str, value: Any) -> bool:
    """Whether a member that stands in the path or in a header can be what it is."""
    shapes = service.model["shapes"]
    location = shapes[shape]["members"][name].get("location") if service.protocol == "rest-json" else None
    texts = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else [value]
    texts = [one for one in texts if isinstance(one, str)]
    if location in {"header", "headers"}:
        return bool(value or value in (0, False)) and all(
            HEADER_TEXT.fullmatch(one) and "," not in one for one in texts
        )
    if location == "uri":
        return all(one and not re.search(r"(\A|/)\.{0,2}(/|\Z)", one) for one in texts)
    return location is None or value not in ([], {})
