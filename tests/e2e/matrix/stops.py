# SPDX-License-Identifier: Apache-2.0
"""A node whose agent stops where a test says, and the agent's archive that does so."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import patchwright
from farm import Node, until
from patchwright.server.gateway.zipapp import SHEBANG, build

from . import agent_with_stops

PLACE = str(agent_with_stops.PLACE)[1:]

# In a maintainer script: notes the step and stops there like the agent does.
SCRIPT_STOP = """
printf 'dpkg\\t%s\\tduring\\t%s\\n' $$ "{moment}" >>/{place}/trace
if [ "$(cat /{place}/at)" = "during {moment}" ] && mkdir /{place}/reached; then
    until test -e /{place}/go; do sleep 0.02; done
fi 2>/dev/null
"""


def script(moment: str) -> str:
    """The shell commands of a maintainer script that is the step *moment*."""
    return SCRIPT_STOP.format(place=PLACE, moment=moment)


def agent_archive() -> bytes:
    """The agent as the server hands it out, with the stops armed in front of its own start."""
    made = io.BytesIO()
    stops = Path(agent_with_stops.__file__).read_text()
    real = zipfile.ZipFile(io.BytesIO(build(Path(patchwright.__file__).parent)))
    with real, zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as target:
        for name in real.namelist():
            content = real.read(name)
            target.writestr(name, b"import stops\n" + content if name == "__main__.py" else content)
        target.writestr("stops.py", stops)
    return SHEBANG + made.getvalue()


class Stops:
    """The stops of *node*. Files are read and written from outside, whether or not the node runs."""

    def __init__(self, node: Node) -> None:
        self._place = node.root / PLACE
        self._place.mkdir(mode=0o755)

    def at(self, stop: str) -> None:
        """Stop at `SIDE STEP`; \"\" nowhere."""
        (self._place / "at").write_text(stop)

    def wait(self) -> None:
        """Wait until a process of the agent, or a maintainer script, stands there."""
        until((self._place / "reached").exists, what=f"the stop {(self._place / 'at').read_text()!r}", timeout=90)

    def go(self) -> None:
        """Let it go on."""
        (self._place / "go").touch()

    def trace(self) -> list[tuple[str, str, str, str]]:
        """Every step so far: role, pid, side, step."""
        try:
            lines = (self._place / "trace").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [tuple(line.split("\t")) for line in lines]  # type: ignore[misc]

    def forget(self) -> None:
        """Begin the trace anew."""
        (self._place / "trace").unlink(missing_ok=True)

    def steps(self) -> list[str]:
        """The steps so far, each once, in the order they began."""
        return list(dict.fromkeys(step for _, _, side, step in self.trace() if side in ("before", "during")))

    def unavailable(self) -> int:
        """How often some process of the agent has found the server away."""
        return sum(side == "unavailable" for _, _, side, _ in self.trace())
