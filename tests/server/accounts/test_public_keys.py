# SPDX-License-Identifier: Apache-2.0
"""RSA keys of those who sign with one of their own (spec agent-protocol §3.3)."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from patchwright.server.accounts import UnusableKey, public_keys
from patchwright.server.wire import Credential
from patchwright.server.wire.sigv4 import Claim

MESSAGE = b"AWS4-HMAC-SHA256\n20261120T042153Z\n20261120/us-east-1/ssm/aws4_request\nabc"


@pytest.fixture(scope="module")
def pairs():
    """Two private keys, each with its public one."""
    made = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return [(one, one.public_key().public_bytes(serialization.Encoding.DER, form)) for one in made]


def signature(private, *, salt=32, digest=hashes.SHA256, message=MESSAGE):
    """RSASSA-PSS, base64."""
    return base64.b64encode(private.sign(message, padding.PSS(padding.MGF1(digest()), salt), digest()))


def test_the_key_that_signed_is_found_among_those_that_count(pairs):
    """By the SHA-256 of it; among others it is nobody's."""
    (first, one), (second, two) = pairs

    assert public_keys.signer([one, two], signature(second), MESSAGE) == hashlib.sha256(two).hexdigest()
    assert public_keys.signer([one], signature(second), MESSAGE) == ""
    assert public_keys.signer([], signature(first), MESSAGE) == ""


def test_only_the_one_scheme_counts(pairs):
    """Another salt, another digest, another padding, another message."""
    private, public = pairs[0]
    others = (
        signature(private, salt=20),
        signature(private, digest=hashes.SHA512),
        base64.b64encode(private.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())),
        signature(private, message=MESSAGE + b"x"),
    )

    assert [public_keys.signer([public], one, MESSAGE) for one in others] == ["", "", "", ""]


@pytest.mark.parametrize("text", [b"", b"=", b"x", b"\xff\xfe", b"A" * 10_000, b"AS3+EyMILk/zHL/Rw==", b"a b"])
def test_what_is_no_signature_is_nobodys(pairs, text):
    """Whatever stands there."""
    assert public_keys.signer([pairs[0][1]], text, MESSAGE) == ""


def test_a_signature_is_the_same_however_it_is_written(pairs):
    """base64 has several spellings of the same bytes: what is good once is good once in all of them."""
    private, public = pairs[0]
    text = signature(private)
    assert text.endswith(b"==")
    other = text[:-3] + bytes([text[-3] + 1]) + b"=="  # the last bits of it mean nothing
    assert public_keys.signer([public], other, MESSAGE)
    owner = Credential("mi-0123456789abcdef0", "", "000000000001", "", kind="node", public_keys=(public,))

    numbers = {Claim(owner, "", "", "", "", (), one).number for one in (text, other)}

    assert len(numbers) == 1
    assert 0 < numbers.pop() < 2**64


def test_a_key_is_read_as_it_is_sent(pairs):
    """base64 of the DER; its bytes are kept."""
    assert public_keys.read_public_key(base64.b64encode(pairs[0][1]).decode()) == pairs[0][1]


@pytest.mark.parametrize("text", ["", "MII", "*" * 400, "é" * 400, base64.b64encode(b"\x30" * 300).decode()])
def test_what_is_no_key_is_refused(text):
    """With one error, whatever is wrong."""
    with pytest.raises(UnusableKey):
        public_keys.read_public_key(text)
