# SPDX-License-Identifier: Apache-2.0
"""
The commands of a tutorial page, each with where it runs and the answer that the page shows.

    <!-- run: here, wait -->
    ```sh
    aws ssm send-command …
    ```

    ```json
    {"Command": …}
    ```
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_BLOCK = re.compile(
    r"^<!-- run: ([\w, ]+) -->\n```sh\n(.*?)^```\n(?:\n```json\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL
)
_SHELL = re.compile(r"^```sh$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """Commands, where they run (`here`, `node`, `server`), whether their end is awaited, and the last one's answer."""

    where: str
    waits: bool
    text: str
    answer: Any

    @property
    def last_command(self) -> str:
        """The name of the last `aws ssm` command; empty where there is none."""
        found = re.findall(r"\baws ssm ([a-z-]+)", self.text)
        return found[-1] if found else ""


def blocks(page: Path) -> list[Block]:
    """The blocks of *page*, in its order; a block of commands that does not say where it runs is an error."""
    text = page.read_text(encoding="utf-8")
    found = []
    for words, commands, answer in _BLOCK.findall(text):
        where, *rest = [word.strip() for word in words.split(",")]
        assert where in {"here", "node", "server"}
        assert rest in ([], ["wait"])
        found.append(Block(where, bool(rest), commands, json.loads(answer) if answer else None))
    assert len(found) == len(_SHELL.findall(text)), "a block of commands does not say where it runs"
    return found


def learn(documented: Any, given: Any) -> dict[str, str]:
    """What each text with EXAMPLE in the documented answer is here."""
    if isinstance(documented, str):
        return {documented: str(given)} if "EXAMPLE" in documented else {}
    if isinstance(documented, dict):
        pairs = [(value, given.get(name)) for name, value in documented.items()]
    elif isinstance(documented, list):
        pairs = list(zip(documented, given, strict=False))
    else:
        pairs = []
    return {theirs: ours for one in pairs for theirs, ours in learn(*one).items()}


def answers(text: str) -> list[Any]:
    """The JSON documents that a shell wrote one after another."""
    found, rest = [], text.strip()
    while rest:
        one, end = json.JSONDecoder().raw_decode(rest)
        found.append(one)
        rest = rest[end:].strip()
    return found
