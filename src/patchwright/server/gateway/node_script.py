# SPDX-License-Identifier: Apache-2.0
"""
The script by which amazon-ssm-agent does a step of ours: it has the node program, or downloads it, and starts it (spec §3.6).

Nothing that a user gives gets into it: the program asks the server what the step is to do.
"""

from __future__ import annotations

import re
import shlex
from importlib import resources
from urllib.parse import urlsplit

_STEP = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]{1,270}/[A-Za-z0-9._/-]{1,200}\Z")
PATCH, CHECK = "patch", "patch-check"


def script_of(step: str, url: str, sha256: str, *, word: str = PATCH, within: bool = False) -> str:
    """
    The script for the step called *step*.

    Args:
        step: Its name in the document.
        url: Where the node program is; what comes before its path is the server.
        sha256: Of the node program, in hexadecimal.
        word: What the program is to do: PATCH, or CHECK.
        within: The document is run by a step of another. By which one, amazon-ssm-agent says nowhere but in the path of the
            script, which lies in a directory for each of them: `…/orchestration/COMMAND/STEP/STEP/_script.sh`.

    Raises ValueError for what cannot be a name, URL or digest.
    """
    if not (_STEP.match(step) and _URL.match(url) and _DIGEST.match(sha256) and word in {PATCH, CHECK}):
        msg = f"no script for step {step[:80]!r} with {url[:200]!r}"
        raise ValueError(msg)
    parts = urlsplit(url)
    words = [word, "--server", f"{parts.scheme}://{parts.netloc}", "--step", step]
    if parts.scheme == "http":
        words.append("--insecure-http")
    text = resources.files(__package__).joinpath("node-program.sh").read_text(encoding="utf-8")
    told = shlex.join(words) + (' --within "$0"' if within else "")
    return text.replace("@URL@", shlex.quote(url)).replace("@SHA256@", sha256).replace("@WORDS@", told)
