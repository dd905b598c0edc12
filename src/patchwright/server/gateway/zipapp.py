# SPDX-License-Identifier: Apache-2.0
"""The node program as one file: core and agent in a zip archive that Python runs (design D12)."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

SHEBANG = b"#!/usr/bin/env python3\n"
MOMENT = (1980, 1, 1, 0, 0, 0)  # the earliest a zip archive can say: the content alone decides the bytes
PARTS = ("core", "agent")
MAIN = """\
import sys

if sys.version_info < (3, 8):
    sys.exit("patchwright-agent needs Python 3.8 or newer, this is {}.{}".format(*sys.version_info[:2]))

from patchwright.agent.__main__ import main

sys.exit(main())
"""


def build(package: Path) -> bytes:
    """
    The zipapp made of the installed package in directory *package* (`…/patchwright`).

    The same sources give the same bytes, whenever and wherever it is built: files are sorted, have one time and one mode, and
    are stored uncompressed, since what compression gives depends on the library at hand.
    """
    sources = [package / "__init__.py", *(path for part in PARTS for path in (package / part).rglob("*.py"))]
    files = {f"patchwright/{path.relative_to(package).as_posix()}": path.read_bytes() for path in sources}
    files["__main__.py"] = MAIN.encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, MOMENT)
            entry.external_attr = 0o100644 << 16
            entry.create_system = 3  # Unix, wherever it is built
            target.writestr(entry, files[name])
    return SHEBANG + archive.getvalue()
