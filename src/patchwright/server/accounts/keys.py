# SPDX-License-Identifier: Apache-2.0
"""
The master key, and what is derived from it.

The key lies in a file beside the database, never in it: the database alone signs nothing. Users' secrets are sealed under
it; a node's secret is derived from it and stored nowhere (design D6).
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from patchwright.core.errors import PatchwrightError

_KEY_BYTES = 32
_NONCE_BYTES = 12


class UnreadableMasterKey(PatchwrightError):
    """The master key file is missing, damaged, or not the one the secrets were sealed under."""


class MasterKey:
    """A 32-byte key. Its repr shows nothing of it."""

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            msg = f"a master key has {_KEY_BYTES} bytes, this one {len(key)}: restore the file from a backup"
            raise UnreadableMasterKey(msg)
        self._sealing = AESGCM(_derive(key, b"patchwright/seal"))
        self._tokens = AESGCM(_derive(key, b"patchwright/session token"))
        self._sessions = _derive(key, b"patchwright/session secret")
        self._nodes = _derive(key, b"patchwright/node")
        self._paging = _derive(key, b"patchwright/paging")
        self._links = _derive(key, b"patchwright/links")
        self._audit = _derive(key, b"patchwright/audit")

    @classmethod
    def load(cls, path: Path) -> MasterKey:
        """
        The key in *path*; made there, readable for its owner only, if the file does not exist.

        The file appears whole or not at all, whatever interrupts its making, and the first of several that make it counts.
        """
        if not path.exists():
            _make(path)
        return cls(path.read_bytes())

    def seal(self, secret: str, *, label: str) -> bytes:
        """*secret* encrypted; only `unseal` with the same *label* opens it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._sealing.encrypt(nonce, secret.encode(), label.encode())

    def unseal(self, sealed: bytes, *, label: str) -> str:
        """The secret inside; raises UnreadableMasterKey where key or label are not those it was sealed with."""
        try:
            return self._sealing.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], label.encode()).decode()
        except (InvalidTag, ValueError):
            msg = (
                f"the secret of {label} was sealed under another master key: restore master.key from a backup,"
                " or copy it from the process that made the database"
            )
            raise UnreadableMasterKey(msg) from None

    def seal_token(self, content: bytes, *, label: str) -> str:
        """*content* as a session token; only `open_token` with the same *label* opens it."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return base64.b64encode(nonce + self._tokens.encrypt(nonce, content, label.encode())).decode()

    def open_token(self, token: str, *, label: str) -> bytes | None:
        """What a session token holds; None for one that was not sealed here with this *label*."""
        try:
            sealed = base64.b64decode(token, validate=True)
            if base64.b64encode(sealed).decode() != token:  # bits that its last character says and nobody reads
                return None
            return self._tokens.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], label.encode())
        except (InvalidTag, ValueError):
            return None

    def session_secret(self, key_id: str) -> str:
        """The secret access key, of 40 characters, of a session's key: the same each time, and stored nowhere."""
        return base64.b64encode(hmac.digest(self._sessions, key_id.encode(), hashlib.sha256)).decode()[:40]

    def node_secret(self, instance_id: str, generation: int) -> bytes:
        """The 32-byte secret of a node, the same each time; another generation has another one."""
        return hmac.digest(self._nodes, f"{instance_id}/{generation}".encode(), hashlib.sha256)

    @property
    def paging(self) -> bytes:
        """The key that binds NextTokens to their request."""
        return self._paging

    @property
    def audit(self) -> bytes:
        """The key that marks entries and seals of the audit trail."""
        return self._audit

    @property
    def links(self) -> bytes:
        """The key that signs links to downloads."""
        return self._links


def _make(path: Path) -> None:
    handle, name = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()


def _derive(key: bytes, label: bytes) -> bytes:
    return hmac.digest(key, label, hashlib.sha256)
