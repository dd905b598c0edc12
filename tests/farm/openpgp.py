# SPDX-License-Identifier: Apache-2.0
"""
Just enough OpenPGP to sign an apt repository: one Ed25519 key, clear-text signatures (RFC 4880 and the EdDSA draft).

Without gpg there is no agent process that would outlive the tests, and a signature costs a millisecond.
"""

from __future__ import annotations

import base64
import hashlib
import struct

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

EDDSA = 22
SHA512 = 10
OID_ED25519 = bytes.fromhex("2b06010401da470f01")


class SigningKey:
    """A fresh key pair, never written to disk."""

    def __init__(self, user: str, created: int) -> None:
        """
        Args:
            user: The user id, «Name <address>».
            created: Seconds since 1970; also the date of the self-signature.
        """
        self._private = Ed25519PrivateKey.generate()
        point = b"\x40" + self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self._body = (
            b"\x04" + struct.pack(">IB", created, EDDSA) + bytes([len(OID_ED25519)]) + OID_ED25519 + _mpi(point)
        )
        self.fingerprint = hashlib.sha1(b"\x99" + struct.pack(">H", len(self._body)) + self._body).hexdigest().upper()  # noqa: S324 - the format says so
        name = user.encode()
        hashed_key = b"\x99" + struct.pack(">H", len(self._body)) + self._body
        hashed_user = b"\xb4" + struct.pack(">I", len(name)) + name
        certificate = self._signature(0x13, hashed_key + hashed_user, created, flags=b"\x03")
        self.public = _packet(6, self._body) + _packet(13, name) + _packet(2, certificate)

    @property
    def armored(self) -> str:
        """The public key as text, the form that rpm imports."""
        return _armor("PUBLIC KEY BLOCK", self.public)

    def clearsign(self, text: str, now: int) -> str:
        """*text* in the clear, followed by its signature: the form of an InRelease file."""
        lines = [line.rstrip(" \t\r") for line in text.rstrip("\n").split("\n")]
        body = self._signature(0x01, "\r\n".join(lines).encode(), now)
        escaped = "\n".join("- " + line if line.startswith("-") else line for line in lines)
        return f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{escaped}\n{_armor('SIGNATURE', _packet(2, body))}"

    def _signature(self, kind: int, data: bytes, now: int, *, flags: bytes = b"") -> bytes:
        hashed = _subpacket(2, struct.pack(">I", now)) + _subpacket(33, b"\x04" + bytes.fromhex(self.fingerprint))
        if flags:
            hashed += _subpacket(27, flags)
        head = bytes([4, kind, EDDSA, SHA512]) + struct.pack(">H", len(hashed)) + hashed
        digest = hashlib.sha512(data + head + b"\x04\xff" + struct.pack(">I", len(head))).digest()
        unhashed = _subpacket(16, bytes.fromhex(self.fingerprint)[-8:])
        signed = self._private.sign(digest)
        return head + struct.pack(">H", len(unhashed)) + unhashed + digest[:2] + _mpi(signed[:32]) + _mpi(signed[32:])


def _mpi(raw: bytes) -> bytes:
    number = int.from_bytes(raw, "big")
    return struct.pack(">H", number.bit_length()) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def _packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag, 0xFF]) + struct.pack(">I", len(body)) + body


def _subpacket(kind: int, body: bytes) -> bytes:
    return bytes([len(body) + 1, kind]) + body


def _armor(what: str, raw: bytes) -> str:
    text = base64.b64encode(raw).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    crc = 0xB704CE
    for byte in raw:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    check = base64.b64encode((crc & 0xFFFFFF).to_bytes(3, "big")).decode()
    return f"-----BEGIN PGP {what}-----\n\n{lines}\n={check}\n-----END PGP {what}-----\n"
