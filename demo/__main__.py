# SPDX-License-Identifier: Apache-2.0
"""The command line of `bin/demo`."""

from __future__ import annotations

import argparse
import sys

from demo.story import Options, tell_story


def main() -> int:
    """Read the words and tell the story; answers the exit code."""
    parser = argparse.ArgumentParser(
        prog="bin/demo",
        description="Scan this machine; as root on Debian or Ubuntu also patch and restart a throw-away twin of it. "
        "The machine's packages stay as they are.",
    )
    parser.add_argument("--once", action="store_true", help="end when the story is told; 0 only if every check held")
    parser.add_argument(
        "--compare", action="store_true", help="measure apt alone with the same packages, in a second twin"
    )
    parser.add_argument(
        "--keep", action="store_true", help="leave the demo's folder (logs, database) behind, and say where"
    )
    words = parser.parse_args()
    return tell_story(Options(once=words.once, keep=words.keep, compare=words.compare))


if __name__ == "__main__":
    sys.exit(main())
