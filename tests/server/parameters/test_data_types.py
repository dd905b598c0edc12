# SPDX-License-Identifier: Apache-2.0
"""Data types: what each holds."""

from __future__ import annotations

import pytest

from patchwright.server.parameters import InvalidParameter, UnsupportedType, data_types

HELD = {
    "text": ["", "anything\nat all"],
    "aws:account:id": ["000000000001"],
    "aws:ec2:image": ["ami-12345678", "ami-0123456789abcdef0"],
    "aws:region": ["us-east-1", "us-gov-west-1", "ap-southeast-12"],
    "aws:ssm:integration": ['{"auth": 1}'],
    "binary": ["", "AAEC", "aGVsbG8="],
    "boolean": ["true", "false"],
    "email": ["a.b+c@example.com"],
    "float": ["1", "-1.5", ".5", "2.", "1e-10"],
    "hostname": ["localhost", "a-b.example.com"],
    "integer": ["443", "-1", "+0"],
    "ipv4-address": ["192.0.2.1"],
    "ipv6-address": ["::1", "2001:db8::1"],
    "json": ["{}", "1", '["a"]'],
    "jsonc": ['{"a": 1, // why\n "b": ["//", 2,], /* so */}', "[]", '"\\""//', "[1 , /* , */ ]", "1 //"],
    "url": ["https://example.com/a?b#c", "postgresql://u:p@host:5432/x"],
}
NOT_HELD = {
    "aws:account:id": ["1", "00000000000a", "000000000001\n", "٠" * 12],
    "aws:ec2:image": ["", "ami-", "ami-1234567", "AMI-12345678", "i-12345678", "ami-12345678\n"],
    "aws:region": ["", "us", "useast1", "US-EAST-1"],
    "binary": ["a", "%%%%", "AAEC\n\n!"],
    "boolean": ["", "True", "1", "truefalse"],
    "email": ["", "a", "@b", "a@", "a@b@c d", "a b@example.com", "x" * 65 + "@example.com"],
    "float": ["", ".", "NaN", "inf", "1e", "1,5"],
    "hostname": ["", "-a", "a_b", "a..b", "x" * 64, "a." * 130],
    "integer": ["", "1.0", "one", "٣"],
    "ipv4-address": ["", "1.2.3", "1.2.3.256", "::1"],
    "ipv6-address": ["", "1.2.3.4", ":::"],
    "json": ["", "{", "{'a': 1}", "[" * 8000, "// x\n1"],
    "jsonc": [
        "",
        "{",
        "/* x",
        "/*/",
        '"x',
        '{"a" 1}',
        "1 2",
        "1/**/2",
        "/",
        "[" * 8000,
        "/* " * 2700,
        '"\\' * 4000,
    ],
    "url": ["", "example.com", "https://", "https://a b", "https://[", "https://x:99999"],
}


@pytest.mark.parametrize(("data_type", "value"), [(one, value) for one, values in HELD.items() for value in values])
def test_what_has_the_form_is_held(data_type, value):
    """Every data type of the service model."""
    data_types.check(data_type, value)


@pytest.mark.parametrize(("data_type", "value"), [(one, value) for one, values in NOT_HELD.items() for value in values])
def test_what_has_not_is_refused(data_type, value):
    """And the text does not repeat it."""
    with pytest.raises(InvalidParameter, match=f"the data type {data_type} requires") as refused:
        data_types.check(data_type, value)
    assert len(str(refused.value)) < 100


@pytest.mark.parametrize("data_type", ["", "Text", "aws:ec2:instance", "json5"])
def test_there_are_no_others(data_type):
    """Names are lower case."""
    with pytest.raises(InvalidParameter, match="not supported"):
        data_types.check(data_type, "x")


async def test_some_need_the_advanced_tier_and_some_a_string(store):
    """Intelligent-Tiering picks it; lists are text."""
    with pytest.raises(InvalidParameter, match="advanced"):
        await store.put("/j", "{}", data_type="json")
    assert (await store.put("/j", "{}", data_type="json", tier="Intelligent-Tiering")).tier == "Advanced"
    assert (await store.put("/i", "1", data_type="integer", type="SecureString")).data_type == "integer"
    for kind, data_type, value in (("StringList", "integer", "1"), ("SecureString", "aws:ssm:integration", "x")):
        with pytest.raises(UnsupportedType):
            await store.put("/n", value, type=kind, data_type=data_type)
