# SPDX-License-Identifier: Apache-2.0
"""Giving back pages: only what a file can give again, and the process goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from patchwright.agent import pages

SRC = Path(__file__).resolve().parents[2] / "src"
SMAPS = """\
1000-3000 r-xp 00001000 fe:00 12 /usr/bin/python3.11
Rss:                   8 kB
Anonymous:             0 kB
AnonHugePages:         0 kB
3000-4000 r--p 00003000 fe:00 12 /usr/lib/lib written by relocation.so
Anonymous:             4 kB
4000-5000 r--p 00004000 fe:00 12 /usr/lib/lib of two words.so
Anonymous:             0 kB
5000-6000 rw-p 00005000 fe:00 12 /usr/lib/libc.so.6
Anonymous:             0 kB
6000-7000 rw-p 00000000 00:00 0 [heap]
Anonymous:             0 kB
7000-8000 r-xp 00000000 00:00 0
Anonymous:             0 kB
8000-9000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
"""
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from patchwright.agent.pages import forget_unused_code
import ssl, json
def mapped():
    with open("/proc/self/smaps_rollup") as file:
        values = {line.split()[0]: int(line.split()[1]) for line in file if line[0].isupper()}
    return values["Rss:"] - values["Anonymous:"]
before = mapped()
forget_unused_code()
after = mapped()
print(before, after, json.loads("[1]"), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).verify_mode)
"""


def test_only_clean_mappings_of_files_are_chosen(tmp_path):
    """Nothing that can be written, that relocation wrote, or that no file holds."""
    (tmp_path / "smaps").write_text(SMAPS)

    assert list(pages._clean_mappings(str(tmp_path / "smaps"))) == [(0x1000, 0x3000), (0x4000, 0x5000)]


def test_the_process_is_smaller_and_goes_on():
    """Less of its files is mapped afterwards, and code that was forgotten runs when it is called."""
    result = subprocess.run(
        [sys.executable, "-I", "-c", SCRIPT, str(SRC)], capture_output=True, text=True, timeout=60, check=True
    )
    before, after, *rest = result.stdout.split()

    assert int(after) < 0.8 * int(before)
    assert rest == ["[1]", "2"]


def test_a_system_that_cannot_be_asked_changes_nothing(monkeypatch):
    """Without the module that calls C, nothing happens."""
    monkeypatch.setitem(sys.modules, "_ctypes", None)

    pages.forget_unused_code()
