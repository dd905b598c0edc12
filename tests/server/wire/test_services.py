# SPDX-License-Identifier: Apache-2.0
"""Models: botocore's and ours, merged without contradiction."""

from __future__ import annotations

import copy

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from patchwright.server.wire import AUDIENCE, WireMismatch, load_models
from patchwright.server.wire import services as room
from patchwright.server.wire.services import SOURCES, Service, Source, read_model
from server.wire.client import MODELS


def test_nothing_is_read_before_it_is_asked_for():
    """Start-up stays quick, whatever is modelled."""
    assert load_models()._services == {}


def test_amazon_s_operations_and_the_agent_s_are_one_service():
    """What botocore lacks is added; targets of one prefix are signed for one name."""
    names = set(MODELS.service("AmazonSSM").operation_names)

    assert {
        "SendCommand",
        "UpdateInstanceInformation",
        "RegisterManagedInstance",
        "RequestManagedInstanceRoleToken",
    } <= names
    assert MODELS.service("AmazonSSM").signing_name == "ssm"
    assert MODELS.service("EC2WindowsMessageDeliveryService").signing_name == "ec2messages"
    assert MODELS.service("Patchwright").signing_name == "patchwright"


@pytest.mark.parametrize(
    "target", ["", ".", "AmazonSSM", "AmazonSSM.", "AmazonSSM.Nope", "Nope.SendCommand", "AmazonSSM.SendCommand.x"]
)
def test_what_is_not_modelled_is_not_there(target):
    """No operation rather than an error."""
    assert MODELS.operation(target) is None


def test_the_audience_table_names_only_what_exists():
    """A misspelt entry would leave an operation open to the wrong callers."""
    known = {*SOURCES, *MODELS.targets()}

    assert AUDIENCE.keys() <= known


@pytest.mark.parametrize("prefix", SOURCES)
def test_every_shape_that_is_named_exists(prefix):
    """In our own files as in botocore's: members, elements, inputs, outputs and errors resolve."""
    service = ServiceModel(MODELS.service(prefix).model, prefix)
    for name in service.operation_names:
        operation = service.operation_model(name)
        pending, seen = [operation.input_shape, operation.output_shape, *operation.error_shapes], set()
        while pending:
            shape = pending.pop()
            if shape is None or shape.name in seen:
                continue
            seen.add(shape.name)
            inside = {
                "structure": lambda one: one.members.values(),
                "list": lambda one: [one.member],
                "map": lambda one: [one.key, one.value],
            }
            pending += inside.get(shape.type_name, lambda one: [])(shape)
        assert seen


def test_a_name_with_two_meanings_is_refused():
    """Our additions never replace what botocore describes."""
    with pytest.raises(WireMismatch, match=r"defines again: .*UpdateInstanceInformation"):
        read_model(Source(botocore=("ssm", "2014-11-06"), ours=("ssm-agent", "ssm-agent")))


def test_a_model_under_the_wrong_prefix_is_refused():
    """The prefix is what targets are found by."""
    models = room.Models({"Elsewhere": Source(ours=("patchwright",))})

    with pytest.raises(WireMismatch, match="is found by Patchwright"):
        models.service("Elsewhere")


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "rest-xml", "protocols": ["rest-xml"]},
        {"protocol": "json", "protocols": ["smithy-rpc-v2-cbor"]},
        {"jsonVersion": "2.0"},
    ],
)
def test_another_protocol_is_refused(change):
    """By name, when the model is read."""
    model = copy.deepcopy(dict(MODELS.service("Patchwright").model))
    model["metadata"] = {**model["metadata"], **change}

    with pytest.raises(WireMismatch, match="is not spoken here"):
        Service(model)


@pytest.mark.parametrize(
    ("member", "shape", "place"),
    [
        ({"shape": "S", "jsonvalue": True}, {"type": "string"}, "In.M: jsonvalue"),
        ({"shape": "S", "xmlAttribute": True}, {"type": "string"}, "In.M: xmlAttribute"),
        ({"shape": "S"}, {"type": "structure", "members": {}, "eventstream": True}, "S: eventstream"),
        ({"shape": "S", "timestampFormat": "stardate"}, {"type": "timestamp"}, "In.M: timestampFormat stardate"),
        ({"shape": "S"}, {"type": "bigdecimal"}, "S: a bigdecimal"),
        ({"shape": "S"}, {"type": "string", "pattern": r"\p{Nonsense}+"}, "S: the pattern"),
    ],
)
def test_what_is_not_spoken_is_said_when_the_operation_is_loaded(member, shape, place):
    """A model that asks for more than is built is found at start, not by a wrong answer; the member is named."""
    model = copy.deepcopy(dict(MODELS.service("Patchwright").model))
    model["shapes"] |= {"In": {"type": "structure", "members": {"M": member}}, "S": shape}
    model["operations"]["Odd"] = {"name": "Odd", "http": {}, "input": {"shape": "In"}, "output": {"shape": "In"}}

    with pytest.raises(WireMismatch, match=place):
        Service(model).operation("Odd").input.prepare()


def test_a_model_in_somebody_s_home_changes_nothing(tmp_path, monkeypatch):
    """Only the packaged models count."""
    home = tmp_path / ".aws" / "models" / "ssm" / "2014-11-06"
    home.mkdir(parents=True)
    (home / "service-2.json").write_text('{"metadata": {}, "operations": {}, "shapes": {}}')
    monkeypatch.setattr(Loader, "CUSTOMER_DATA_PATH", str(tmp_path / ".aws" / "models"))

    assert "SendCommand" in read_model(SOURCES["AmazonSSM"])["operations"]
