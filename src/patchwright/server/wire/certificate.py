# SPDX-License-Identifier: Apache-2.0
"""The certificate the server shows: given files, or one it signs itself and whose pin it prints (design D11)."""

from __future__ import annotations

import base64
import datetime
import hashlib
import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from patchwright.server.config import ConfigError
from patchwright.server.infra import SystemClock

_LIFE_DAYS = 3650  # agents trust the pin, not the date; a short life would only cut a fleet off


@dataclass(frozen=True)
class Certificate:
    """
    PEM files of a certificate chain and its key.

    *pin* is `sha256:` and the hash of the certificate itself (DER), for agents; *key_pin* is `sha256//` and the hash of its
    public key in base64, as curl's --pinnedpubkey takes it.
    """

    chain: Path
    key: Path
    pin: str
    key_pin: str
    self_signed: bool

    @classmethod
    def given(cls, chain: Path, key: Path) -> Certificate:
        """The files that the operator names. Raises ConfigError where they cannot be used."""
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(chain, key)
            return cls(chain, key, *_pins(chain), self_signed=False)
        except (OSError, ValueError) as error:
            msg = f"the certificate {chain} with the key {key} cannot be used: {error}"
            raise ConfigError(msg) from error

    @classmethod
    def self_made(cls, directory: Path, *, host: str, public_url: str) -> Certificate:
        """The certificate in *directory*, signed by itself; made there once, and then kept, since agents pin it."""
        chain, key = directory / "tls.crt", directory / "tls.key"
        if not (chain.exists() and key.exists()):
            _make(chain, key, _names(host, public_url))
        made = cls.given(chain, key)
        return replace(made, self_signed=True)


def _make(chain: Path, key: Path, names: list[x509.GeneralName]) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.fromtimestamp(SystemClock().now(), datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Patchwright")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=_LIFE_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(key, pem, mode=0o600)
    _write(chain, certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def _names(host: str, public_url: str) -> list[x509.GeneralName]:
    public = urlsplit(public_url).hostname or ""
    texts = dict.fromkeys([public, host, socket.gethostname(), "localhost", "127.0.0.1"])
    return [_name(text) for text in texts if text and text not in {"0.0.0.0", "::"}]  # noqa: S104 - left out


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pins(chain: Path) -> tuple[str, str]:
    first = x509.load_pem_x509_certificates(chain.read_bytes())[0]
    public = first.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    whole = hashlib.sha256(first.public_bytes(serialization.Encoding.DER)).hexdigest()
    return f"sha256:{whole}", f"sha256//{base64.b64encode(hashlib.sha256(public).digest()).decode()}"


def _write(path: Path, content: bytes, *, mode: int) -> None:
    temporary = path.with_name(path.name + ".new")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
