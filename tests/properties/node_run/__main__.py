# SPDX-License-Identifier: Apache-2.0
"""
Tell one history: `PYTHONPATH=src:tests .venv/bin/python -m properties.node_run SEED NUMBER [small]`.

With `small`, a history that breaks is made small first. A script that was printed is told by `history.told(Script(…))` inside
`seams.in_place()`.
"""

from __future__ import annotations

import sys

from properties.node_run import history, seams
from properties.node_run.script import script, smaller


def main(words: list[str]) -> int:
    """Print the history; answers 1 where it breaks something."""
    told = script(int(words[0]), int(words[1]))
    with seams.in_place():
        broken = bool(history.play(told))
        if broken and words[2:] == ["small"]:
            told = smaller(told, lambda candidate: bool(history.play(candidate)))
        print(history.told(told))
    return int(broken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
