# SPDX-License-Identifier: Apache-2.0
"""The one command. Dispatches lazily; the only module that may know all four buildings."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `patchwright` with *arguments* (default: those of the process); returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["agent"]:
        from patchwright.agent.__main__ import main as agent

        return agent(words[1:])
    if words[:1] == ["server"]:
        from patchwright.server.app import main as server

        return server(words[1:])
    from patchwright.cli import main as cli

    return cli(words)


if __name__ == "__main__":
    sys.exit(main())
