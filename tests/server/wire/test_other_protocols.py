# SPDX-License-Identifier: Apache-2.0
"""REST-JSON and Query from the outside: boto3 on a real socket, and what no SDK would send."""

from __future__ import annotations

import json
import random
import socket
import threading

import boto3
import pytest
import uvicorn
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from patchwright.server.infra import SystemClock
from patchwright.server.wire import ApiError, WireMismatch
from patchwright.server.wire.rest import Paths
from server.wire.client import NOW, USER_KEY, Bench, Log, call
from server.wire.elsewhere import ELSEWHERE, Speaker

ARN = "arn:aws:imagebuilder:us-east-1:000000000001:image/web/1.0.0/1"
USER = {
    "Path": "/",
    "UserName": "anna",
    "UserId": "AIDAANNA000000000001",
    "Arn": "arn:aws:iam::000000000001:user/anna",
    "CreateDate": NOW,
}


async def echo_user(caller, request):
    """An IAM user of the name that is asked for, with what was asked as tags."""
    return {"User": {**USER, "UserName": request["UserName"], "Tags": request.get("Tags", [])}}


async def list_users(caller, request):
    """Two pages."""
    if "Marker" in request:
        return {"Users": [{**USER, "UserName": "berta"}], "IsTruncated": False}
    return {"Users": [USER], "IsTruncated": True, "Marker": "a&b <c>"}


async def identity(caller, request):
    """Who calls."""
    return {"Account": caller.account, "Arn": caller.principal, "UserId": caller.access_key_id}


async def image(caller, request):
    """An image of the ARN that is asked for."""
    if not request["imageBuildVersionArn"].endswith("/1"):
        raise ApiError("ResourceNotFoundException", "No such image.")
    return {"requestId": caller.request_id, "image": {"arn": request["imageBuildVersionArn"], "version": "1.0.0"}}


async def nothing(caller, request):
    """Nothing."""
    return {}


class Tags:
    """Keeps tags, and says them."""

    def __init__(self):
        self.kept = {}

    async def tag(self, caller, request):
        self.kept.setdefault(request["resourceArn"], {}).update(request["tags"])
        return {}

    async def untag(self, caller, request):
        for key in request["tagKeys"]:
            self.kept[request["resourceArn"]].pop(key, None)
        return {}

    async def tags(self, caller, request):
        return {"tags": self.kept.get(request["resourceArn"], {})}


def operations():
    """What the test's endpoint serves."""
    tags = Tags()
    return {
        "iam.CreateUser": echo_user,
        "iam.ListUsers": list_users,
        "iam.DeleteUser": nothing,
        "iam.GetUser": refuse,
        "sts.GetCallerIdentity": identity,
        "imagebuilder.GetImage": image,
        "imagebuilder.TagResource": tags.tag,
        "imagebuilder.UntagResource": tags.untag,
        "imagebuilder.ListTagsForResource": tags.tags,
    }


async def refuse(caller, request):
    """There is no user."""
    raise ApiError("NoSuchEntityException", "The user with name <x> cannot be found.")


@pytest.fixture(scope="module")
def clients():
    """boto3 clients of three services on one listening endpoint."""
    bench = Bench(clock=SystemClock(), log=Log())
    app = bench.endpoint(operations(), models=ELSEWHERE)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def client(name):
        return boto3.client(
            name,
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=USER_KEY.access_key_id,
            aws_secret_access_key=USER_KEY.secret,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=30),
        )

    yield client
    server.should_exit = True
    thread.join(timeout=30)
    assert not thread.is_alive()


def test_boto3_speaks_query(clients):
    """Lists in forms, pages, an operation without an answer, a modelled error, and a service that is not served."""
    iam = clients("iam")
    tags = [{"Key": "a b+c", "Value": "ä=ö:@"}, {"Key": "d", "Value": ""}]
    made = iam.create_user(UserName="carla", Tags=tags)["User"]
    assert (made["UserName"], made["Tags"], made["CreateDate"].timestamp()) == ("carla", tags, NOW)
    pages = iam.get_paginator("list_users").paginate()
    assert [user["UserName"] for page in pages for user in page["Users"]] == ["anna", "berta"]
    assert iam.delete_user(UserName="anna")["ResponseMetadata"]["HTTPStatusCode"] == 200
    with pytest.raises(iam.exceptions.NoSuchEntityException, match="name <x>") as refused:
        iam.get_user(UserName="dora")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    assert refused.value.response["ResponseMetadata"]["RequestId"]
    assert clients("sts").get_caller_identity()["Arn"] == USER_KEY.principal
    with pytest.raises(iam.exceptions.ClientError, match="UnsupportedOperationException"):
        iam.list_groups()


def test_boto3_speaks_rest(clients):
    """A query string, an ARN with slashes in the path, lists of query parameters, DELETE, and a modelled error."""
    builder = clients("imagebuilder")
    assert builder.get_image(imageBuildVersionArn=ARN)["image"]["arn"] == ARN
    builder.tag_resource(resourceArn=ARN, tags={"a": "1", "b c": "ü", "d": "4"})
    builder.untag_resource(resourceArn=ARN, tagKeys=["a", "d"])
    assert builder.list_tags_for_resource(resourceArn=ARN)["tags"] == {"b c": "ü"}
    with pytest.raises(builder.exceptions.ResourceNotFoundException, match="No such image") as refused:
        builder.get_image(imageBuildVersionArn=ARN[:-1] + "2")
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    with pytest.raises(builder.exceptions.ClientError, match="UnsupportedOperationException"):
        builder.list_images()


# -- what no SDK would send


class Wire:
    """Signs and sends what it is given, to an endpoint that serves everything above."""

    def __init__(self):
        self.bench = Bench(log=Log())
        self.endpoint = self.bench.endpoint(operations(), models=ELSEWHERE)

    async def send(self, service, *, method="POST", path="/", query="", body=b"", headers=None, unsigned=None):
        """The answer; *unsigned* are headers put on afterwards."""
        from unittest import mock

        from server.wire.elsewhere import datetime

        url = f"http://patchwright.test:8473{path}" + (f"?{query}" if query else "")
        request = AWSRequest(method=method, url=url, data=body, headers=headers or {})
        moment = datetime.datetime.fromtimestamp(NOW, datetime.UTC).replace(tzinfo=None)
        with mock.patch("botocore.auth.get_current_datetime", return_value=moment):
            SigV4Auth(Credentials(USER_KEY.access_key_id, USER_KEY.secret), service, "us-east-1").add_auth(request)
        given = {name.lower(): str(value) for name, value in request.headers.items()}
        given |= {"host": "patchwright.test:8473", "content-length": str(len(body)), **(unsigned or {})}
        return await call(self.endpoint, given, body, method=method, path=path, query=query)

    def refused(self, service, name, answer):
        """The code of a refusal, as botocore reads it."""
        assert 400 <= answer.status < 500, answer.body
        return Speaker(ELSEWHERE.service(service), None).read(name, answer)["Error"]["Code"]


@pytest.fixture
def wire():
    """An endpoint of this test's own."""
    return Wire()


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (b"", "InvalidAction"),
        (b"Action=ListUsers", "InvalidAction"),
        (b"Action=ListUsers&Version=2011-01-01", "InvalidAction"),
        (b"Action=MakeCoffee&Version=2010-05-08", "InvalidAction"),
        (b"Version=2010-05-08", "InvalidAction"),
        (b"Action=ListUsers&Version=2010-05-08&MaxItems=many", "MalformedInput"),
        (b"Action=ListUsers&Version=2010-05-08&MaxItems=0", "ValidationError"),
        (b"Action=ListUsers&Version=2010-05-08&MaxItems=99999999999999999999", "MalformedInput"),
        (b"Action=ListUsers&Version=2010-05-08&MaxItems=1&MaxItems=2", "MalformedInput"),
        (b"Action=ListUsers&Version=2010-05-08&PathPrefix=%ff", "MalformedInput"),
        (b"Action=ListUsers&Version=2010-05-08&PathPrefix=\xff", "MalformedInput"),
        (b"Action=ListUsers&Version=2010-05-08&PathPrefix=/a%00/", "ValidationError"),
        (b"Action=CreateUser&Version=2010-05-08", "ValidationError"),
        (b"Action=CreateUser&Version=2010-05-08&UserName=a&Tags.member.1.Key=a", "ValidationError"),
        (b"Action=CreateUser&Version=2010-05-08&UserName=a&Tags.member.1=a", "ValidationError"),
        (b"Action=CreateUser&Version=2010-05-08&UserName=a&" + b"Tags." * 100 + b"x=1", "MalformedInput"),
        (b"Action=ListUsers&Version=2010-05-08" + b"&a=" * 10_000, "MalformedInput"),
        (b"Action=ListUsers&Action=DeleteUser&Version=2010-05-08&UserName=a", "MalformedInput"),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_forms_that_are_wrong_are_refused(wire, form, code):
    """With the codes that Query services have."""
    answer = await wire.send("iam", body=form)

    assert wire.refused("iam", "ListUsers", answer) == code
    assert answer.headers["content-type"] == "text/xml"


async def test_numbers_of_elements_may_have_gaps(wire):
    """Their order counts, not what they are; what is no number is no element."""
    form = b"Action=CreateUser&Version=2010-05-08&UserName=anna"
    for number, key in ((900000, b"last"), (10, b"second"), (2, b"first")):
        form += b"&Tags.member.%d.Key=%s&Tags.member.%d.Value=" % (number, key, number)
    answer = await wire.send(
        "iam", body=form + b"&Tags.member.x.Key=none&Tags.member.-1.Key=none&Tags.member.01.Key=none"
    )

    tags = Speaker(ELSEWHERE.service("iam"), None).read("CreateUser", answer)["User"]["Tags"]
    assert [tag["Key"] for tag in tags] == ["first", "second", "last"]


async def test_what_xml_cannot_say_is_replaced(wire):
    """An answer is one that a parser reads, whatever is in it."""

    async def odd(caller, request):
        return {"User": {**USER, "UserName": "a\0b\x1bc\ud800d\r\n\te]]>&lt;"}}

    wire.endpoint = wire.bench.endpoint({"iam.GetUser": odd}, models=ELSEWHERE)
    answer = await wire.send("iam", body=b"Action=GetUser&Version=2010-05-08")

    read = Speaker(ELSEWHERE.service("iam"), None).read("GetUser", answer)
    assert read["User"]["UserName"] == "a\ufffdb\ufffdc\ufffdd\r\n\te]]>&lt;"


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"method": "GET", "path": "/NoSuchThing"}, "UnknownOperationException"),
        ({"method": "DELETE", "path": "/GetImage"}, "UnknownOperationException"),
        ({"method": "GET", "path": "/"}, "UnknownOperationException"),
        ({"method": "GET", "path": "/tags"}, "UnknownOperationException"),
        ({"method": "GET", "path": "/tags/"}, "UnknownOperationException"),
        ({"method": "GET", "path": "/tags/a/b"}, "UnknownOperationException"),
        ({"method": "GET", "path": "/GetImage"}, "ValidationException"),
        ({"method": "GET", "path": "/GetImage", "query": "imageBuildVersionArn=%ff"}, "SerializationException"),
        ({"method": "GET", "path": "/GetImage", "query": "imageBuildVersionArn=%00"}, "ValidationException"),
        ({"method": "GET", "path": "/tags/%ff"}, "SerializationException"),
        ({"method": "GET", "path": "/tags/x"}, "ValidationException"),
        ({"path": "/tags/x", "body": b"["}, "SerializationException"),
        ({"path": "/tags/x", "body": b"[]"}, "SerializationException"),
        ({"path": "/tags/x", "body": b"null"}, "SerializationException"),
        ({"path": "/tags/x", "body": b'{"tags": 7}'}, "SerializationException"),
        ({"path": "/tags/x", "body": b"[" * 100_000}, "SerializationException"),
    ],
    ids=lambda value: repr(value)[:70],
)
async def test_rest_requests_that_are_wrong_are_refused(wire, how, code):
    """Whatever part of them it is."""
    answer = await wire.send("imagebuilder", **how)

    assert wire.refused("imagebuilder", "GetImage", answer) == code


async def test_paths_that_could_be_read_in_two_ways_lead_nowhere(wire):
    """Clients sign them tidied up: who is in between could send another one under the same signature."""
    from server.wire.elsewhere import datetime

    assert datetime
    for path in ("/tags/../GetImage", "/./GetImage", "//GetImage", "/GetImage/..", "/tags/x//y"):
        answer = await wire.send("imagebuilder", method="GET", path=path)
        assert answer.code == "UnknownOperationException" or b"UnknownOperation" in answer.body


async def test_a_header_with_a_meaning_has_to_be_signed(wire):
    """One that somebody put on the way is not taken for the caller's."""
    seen = []

    async def invoke(caller, request):
        seen.append(request)
        return {"StatusCode": 200, "Payload": b"{}"}

    wire.endpoint = wire.bench.endpoint({"lambda.Invoke": invoke}, models=ELSEWHERE)
    how = {"path": "/2015-03-31/functions/f/invocations", "body": b"x"}
    signed = await wire.send("lambda", headers={"X-Amz-Invocation-Type": "Event"}, **how)
    put_on = await wire.send("lambda", unsigned={"x-amz-invocation-type": "Event"}, **how)

    assert (signed.status, seen[0]["InvocationType"], seen[0]["Payload"]) == (200, "Event", b"x")
    assert json.loads(put_on.body)["__type"] == "InvalidSignatureException"
    assert len(seen) == 1


async def test_an_answer_cannot_put_headers_of_its_own(wire):
    """A handler's value that would end a header is our error, not somebody's second header."""

    async def invoke(caller, request):
        return {"StatusCode": 200, "FunctionError": "a\r\nSet-Cookie: b"}

    wire.endpoint = wire.bench.endpoint({"lambda.Invoke": invoke}, models=ELSEWHERE)
    answer = await wire.send("lambda", path="/2015-03-31/functions/f/invocations")

    assert answer.status == 500
    assert "set-cookie" not in answer.headers


async def test_without_a_signature_nobody_is_told_what_there_is(wire):
    """The service is what the signature names: without one there is no service."""
    for path, status in (("/GetImage", 404), ("/", 400)):
        answer = await call(wire.endpoint, {"host": "x"}, b"", path=path)
        assert answer.status == status


@pytest.mark.parametrize("changed", [{"path": "/tags/y"}, {"query": "x=1"}, {"method": "DELETE"}])
async def test_method_path_and_query_are_part_of_the_signature(wire, changed):
    """Changed on the way, they are refused."""
    request = AWSRequest(method="GET", url="http://patchwright.test:8473/tags/x", data=b"", headers={})
    SigV4Auth(Credentials(USER_KEY.access_key_id, USER_KEY.secret), "imagebuilder", "us-east-1").add_auth(request)
    headers = {name.lower(): str(value) for name, value in request.headers.items()}
    wire.bench.clock.time = SystemClock().now()

    answer = await call(
        wire.endpoint,
        {"host": "patchwright.test:8473", **headers},
        b"",
        **{"method": "GET", "path": "/tags/x", **changed},
    )

    assert json.loads(answer.body)["__type"] == "InvalidSignatureException"
    assert answer.status == 403


@given(data=st.binary(max_size=80) | st.text("Action=ListUsers&Version2010-05-08.memb1 %", max_size=80).map(str.encode))
async def test_no_form_makes_the_server_fail(data):
    """Refused or answered, and readable."""
    wire = Wire()
    answer = await wire.send("iam", body=b"Action=CreateUser&Version=2010-05-08&" + data)

    assert answer.status in {200, 400}
    Speaker(ELSEWHERE.service("iam"), None).read("CreateUser", answer)


def test_more_special_templates_win():
    """Words before labels, labels before labels with slashes, required parameters before none; ties by name."""
    made = {
        "Any": {"http": {"method": "GET", "requestUri": "/a/{rest+}"}},
        "One": {"http": {"method": "GET", "requestUri": "/a/{id}"}},
        "Word": {"http": {"method": "GET", "requestUri": "/a/b"}},
        "Kind": {"http": {"method": "GET", "requestUri": "/a/{id}?kind=x"}},
    }
    chance = random.Random(1)
    names = list(made)
    for _ in range(10):
        chance.shuffle(names)
        paths = Paths({name: made[name] for name in names})
        assert paths.find("GET", "/a/b", "") == ("Word", {})
        assert paths.find("GET", "/a/c%2Fd", "") == ("One", {"id": "c/d"})
        assert paths.find("GET", "/a/c", "kind=x&y=1") == ("Kind", {"id": "c"})
        assert paths.find("GET", "/a/c/d", "") == ("Any", {"rest": "c/d"})
        assert paths.find("POST", "/a/b", "") is None


def test_every_operation_is_found_by_its_own_path():
    """No template of a service hides another."""
    for key in ("imagebuilder", "inspector2", "securityhub", "ssm-quicksetup", "lambda"):
        service = ELSEWHERE.service(key)
        for name, one in service.model["operations"].items():
            path, _, query = one["http"]["requestUri"].replace("+}", "}").partition("?")
            found = service.paths.find(one["http"]["method"], path.replace("{", "").replace("}", ""), query)
            assert found is not None, name
            assert found[0] == name


def test_a_payload_that_stands_outside_the_body_is_a_broken_model():
    """Said with the member's name."""
    from patchwright.server.wire.rest import _Parts
    from patchwright.server.wire.shapes import Shapes

    members = {"M": {"shape": "S", "location": "header"}}
    with pytest.raises(WireMismatch, match=r"In\.M"):
        _Parts(Shapes({"In": {"type": "structure", "members": members, "payload": "M"}, "S": {"type": "string"}}), "In")
