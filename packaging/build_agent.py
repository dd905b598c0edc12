# SPDX-License-Identifier: Apache-2.0
"""Write the node program: `python packaging/build_agent.py dist/patchwright-agent.pyz`."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src"


def main() -> int:
    """Build, write, and say the digest."""
    if len(sys.argv) != 2:
        print("usage: build_agent.py FILE", file=sys.stderr)
        return 2
    sys.path.insert(0, str(SOURCE))
    from patchwright.server.gateway.zipapp import build

    content = build(SOURCE / "patchwright")
    target = Path(sys.argv[1])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    target.chmod(0o755)
    print(f"{target}: {len(content)} bytes, sha256:{hashlib.sha256(content).hexdigest()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
