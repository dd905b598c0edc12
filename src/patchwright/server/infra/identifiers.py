# SPDX-License-Identifier: Apache-2.0
"""New identifiers, in the forms AWS gives them. Unpredictable: they come from `secrets`."""

from __future__ import annotations

import secrets
import uuid

_HEX_DIGITS = 17  # of a resource identifier, as in pb-0123456789abcdef0


def new_uuid() -> str:
    """A random UUID (version 4) as text: command, operation and request ids."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))


def new_id(prefix: str) -> str:
    """*prefix*, a hyphen and 17 hexadecimal digits: `new_id("pb")` for baselines, `"mi"` nodes, `"mw"` windows."""
    return f"{prefix}-{secrets.token_hex(9)[:_HEX_DIGITS]}"
