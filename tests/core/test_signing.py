# SPDX-License-Identifier: Apache-2.0
"""Signatures are those that botocore makes."""

from __future__ import annotations

import datetime
import string
from unittest import mock

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from patchwright.core.signing import Signer

MOMENT = datetime.datetime(2026, 11, 20, 4, 21, 53, tzinfo=datetime.UTC)
STAMP = "20261120T042153Z"
HOST = "patchwright.test:8473"
words = st.text(string.ascii_letters + string.digits + "/+=-_.~ ", min_size=1, max_size=30)
names = st.text(string.ascii_letters, min_size=1, max_size=12).map(lambda text: "X-Made-" + text)


def of_botocore(headers, body, *, key_id, secret, region, service):
    """The Authorization header that botocore makes of the same request."""
    request = AWSRequest(method="POST", url=f"http://{HOST}/", headers=headers, data=body)
    with mock.patch("botocore.auth.get_current_datetime", return_value=MOMENT):
        SigV4Auth(Credentials(key_id, secret), service, region).add_auth(request)
    return request.headers["Authorization"]


@given(
    more=st.dictionaries(names, words, max_size=4).filter(
        lambda found: len({name.lower() for name in found}) == len(found)
    ),
    body=st.binary(max_size=200),
    secret=words,
    region=st.sampled_from(["us-east-1", "eu-central-1"]),
    service=st.sampled_from(["ssm", "ec2messages", "patchwright"]),
)
def test_a_signature_is_the_one_botocore_makes(more, body, secret, region, service):
    """Whatever headers, body, secret, region and service are, the whole Authorization header is the same."""
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AmazonSSM.SendCommand", **more}

    expected = of_botocore(headers, body, key_id="AKIAMADE", secret=secret, region=region, service=service)

    signed = {"Host": HOST, "X-Amz-Date": STAMP, **headers}
    assert expected == Signer("AKIAMADE", secret, region).authorization(signed, body, service=service, moment=STAMP)


def test_the_order_and_the_case_of_headers_do_not_matter():
    """What travels in another order, or spelt in another case, has the same signature."""
    signer = Signer("AKIAMADE", "secret", "us-east-1")
    headers = {"Host": HOST, "X-Amz-Date": STAMP, "X-Amz-Target": "AmazonSSM.SendCommand"}
    turned = {name.upper(): headers[name] for name in reversed(headers)}

    first, second = (signer.authorization(found, b"{}", service="ssm", moment=STAMP) for found in (headers, turned))

    assert first == second


def test_a_signer_does_not_show_its_secret():
    """Neither repr nor str has the secret in it, inside other records neither."""
    signer = Signer("AKIAMADE", "hidden", "us-east-1")

    assert "hidden" not in f"{signer!r} {signer} {[signer]}"
    assert "AKIAMADE" in repr(signer)


def test_an_object_is_put_with_the_signature_of_the_documented_example():
    """Amazon's own, of a PUT with a path, in the reference of its object store."""
    body = b"Welcome to Amazon S3."
    headers = {
        "Date": "Fri, 24 May 2013 00:00:00 GMT",
        "Host": "examplebucket.s3.amazonaws.com",
        "X-Amz-Content-Sha256": "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
        "X-Amz-Date": "20130524T000000Z",
        "X-Amz-Storage-Class": "REDUCED_REDUNDANCY",
    }
    signer = Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")

    made = signer.authorization(
        headers, body, service="s3", moment="20130524T000000Z", method="PUT", path="/test%24file.text"
    )

    assert made.endswith("Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
