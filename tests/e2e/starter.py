# SPDX-License-Identifier: Apache-2.0
"""
Servers as processes of their own that begin at once: forks of a process that has read the program and a schema already.

What runs is `patchwright server` with its words, its variables and its log, as if it had been started by its name; that
costs more processor time than the rest of a short story does, and is what tests/server/process.py does.

    server = the_starter().start(["--data-dir", …], variables, log)
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import patchwright

DATABASE = "patchwright.db"
DIE_WITH_PARENT = 1  # prctl's PR_SET_PDEATHSIG
READ = ("patchwright.server.serving", "patchwright.server.infra.sqlite", "uvloop", "httptools", "websockets")
TESTS = Path(__file__).parents[1]


class Started:
    """A server that was started. Another process is its parent, so its exit code is not known."""

    def __init__(self, pid: int) -> None:
        self._handle: int | None = None
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            self._handle = os.pidfd_open(pid)

    def is_running(self, *, within: float = 0) -> bool:
        """Whether it still runs; waits up to *within* seconds for its end."""
        return self._handle is not None and not select.select([self._handle], [], [], within)[0]

    def end(self, number: int, *, timeout: float) -> None:
        """Send it a signal, and wait until it has ended. Raises TimeoutError."""
        if self._handle is None:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)
        if self.is_running(within=timeout):
            raise TimeoutError(f"the server did not end within {timeout} s of signal {number}")
        os.close(self._handle)
        self._handle = None


class Starter:
    """The process from which servers are forked. It ends with this one, and they end with it."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="patchwright-starter-"))
        self._template = self._folder / DATABASE
        path = os.pathsep.join([str(Path(patchwright.__file__).parents[1]), str(TESTS)])
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from e2e.starter import attend; attend()", str(self._template)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
        )

    def start(self, words: Sequence[str], variables: Mapping[str, str], log: Path) -> Started:
        """`patchwright server WORDS` with these variables and no others; what it prints is added to *log*."""
        order = {"words": ["server", *words], "variables": dict(variables), "log": str(log)}
        return Started(int(self._ask(order)))

    def migrated(self, data: Path) -> None:
        """Make the data directory *data* with an empty database of the newest schema in it."""
        self._ask({})  # the template is there when it answers
        data.mkdir(mode=0o700)
        shutil.copy(self._template, data / DATABASE)

    def close(self) -> None:
        """End it, and all that it started."""
        self._process.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _ask(self, order: Mapping[str, Any]) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process from which servers are forked has ended"
        return answer


@functools.cache
def the_starter() -> Starter:
    """The one of this test process."""
    made = Starter()
    atexit.register(made.close)
    return made


def attend() -> None:
    """Make the template that the argument names, then fork a server for each order on standard input; answers its pid."""
    for module in READ:
        importlib.import_module(module)
    from patchwright.server.infra.schema import migrate_sqlite

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C is for the tests, which end this process
    template = os.fork()
    if template == 0:
        migrate_sqlite(Path(sys.argv[1]))
        os._exit(0)
    assert os.waitpid(template, 0)[1] == 0
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for servers
    gc.collect()
    gc.freeze()
    while line := sys.stdin.readline():
        order = json.loads(line)
        pid = os.fork() if order else 0
        if order and pid == 0:
            _become(order)
        print(pid, flush=True)


def _become(order: Mapping[str, Any]) -> NoReturn:
    """Be the server, to the end of this process."""
    from patchwright.__main__ import main

    code = 1
    try:
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        for number in (signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for descriptor, path, mode in ((0, os.devnull, os.O_RDONLY), (1, order["log"], os.O_WRONLY | os.O_APPEND)):
            opened = os.open(path, mode | os.O_CREAT, 0o644)
            os.dup2(opened, descriptor)
            os.close(opened)
        os.dup2(1, 2)
        os.environ.clear()
        os.environ.update(order["variables"])
        code = main(order["words"])
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
