# SPDX-License-Identifier: Apache-2.0
"""
RSA keys of those who sign with one of their own, as amazon-ssm-agent does (spec agent-protocol §3.3).

A key is kept as the DER of its SubjectPublicKeyInfo and is called by the SHA-256 of that.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

from patchwright.core.errors import PatchwrightError

_SMALLEST, _LARGEST = 2048, 4096  # bits: a larger one takes long to check
_EXPONENT = 65537
_SALT_BYTES = 32


class UnusableKey(PatchwrightError):
    """A public key that nobody may sign with."""


def read_public_key(text: str) -> bytes:
    """The key that *text*, base64, holds. Raises UnusableKey: it is none of RSA, or not of a size that is safe and cheap."""
    try:
        der = base64.b64decode(text, validate=True)
        key = _loaded(der)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        msg = "PublicKey is no SubjectPublicKeyInfo of an RSA key in base64."
        raise UnusableKey(msg) from None
    if not _SMALLEST <= key.key_size <= _LARGEST or key.public_numbers().e != _EXPONENT:
        msg = f"An RSA key has {_SMALLEST} to {_LARGEST} bits and the exponent {_EXPONENT}; this one does not."
        raise UnusableKey(msg)
    return der


def key_id(public_key: bytes) -> str:
    """What a key is called."""
    return hashlib.sha256(public_key).hexdigest()


def signature_bytes(signature: bytes) -> bytes:
    """The bytes of a *signature* in base64; empty where it is none."""
    try:
        return base64.b64decode(signature, validate=True)
    except ValueError:
        return b""


def signer(public_keys: Sequence[bytes], signature: bytes, message: bytes) -> str:
    """
    Which of *public_keys* made *signature* (base64) of *message*; empty: none did.

    The signature is RSASSA-PSS with SHA-256, MGF1 with SHA-256, and a salt of 32 bytes.
    """
    content = signature_bytes(signature)
    for public_key in public_keys:
        try:
            _loaded(public_key).verify(content, message, PSS(MGF1(SHA256()), _SALT_BYTES), SHA256())
        except InvalidSignature:
            continue
        return key_id(public_key)
    return ""


@lru_cache(maxsize=4096)
def _loaded(der: bytes) -> RSAPublicKey:
    key = load_der_public_key(der)
    if not isinstance(key, RSAPublicKey):
        msg = "not RSA"
        raise TypeError(msg)
    return key
