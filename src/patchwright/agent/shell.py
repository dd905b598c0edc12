# SPDX-License-Identifier: Apache-2.0
"""
The only place that starts processes on the node.

Every program gets an argument list (never a shell), a fixed environment, no input unless given one, and a process group of
its own. What it prints is read apart by stream, and bounded.
"""

from __future__ import annotations

import contextlib
import locale
import os
import selectors
import signal
import subprocess
import time
from pathlib import Path
from typing import IO, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Set, Tuple

from patchwright.agent.errors import CommandFailed, CommandMissing, CommandTimedOut, OutputTooLarge

OUTPUT_LIMIT_BYTES = 32 * 1024 * 1024  # of one stream; apt's longest simulation seen is under 1 MB
TAIL_BYTES = 16 * 1024
LOG_TAIL_BYTES = 1024 * 1024
ERROR_TAIL_CHARACTERS = 2_000
CHUNK_BYTES = 1024 * 1024
GRACE_SECONDS = 10.0  # between SIGTERM and SIGKILL
PR_SET_CHILD_SUBREAPER = 36  # of linux/prctl.h
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What a program may inherit: how to reach the network, and nothing that changes its language or its answers.
INHERITED = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "TMPDIR")


class Result(NamedTuple):
    """How a program ended. Text is decoded as UTF-8; bytes that are none are replaced."""

    argv: Tuple[str, ...]
    code: int  # negative: ended by that signal
    stdout: str
    stderr: str

    @property
    def tail(self) -> str:
        """The end of what it wrote, the error stream last, for messages."""
        return "\n".join(part for part in (self.stdout.strip(), self.stderr.strip()) if part)[-ERROR_TAIL_CHARACTERS:]


class Detached(NamedTuple):
    """A process that outlives the agent. *started* is its start in clock ticks since boot: a reused pid has another."""

    pid: int
    started: int


class Kept:
    """A child whose output is read by whoever started it: *stdout* and *stderr* are descriptors of pipes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # noqa: S101 - started with two pipes
        assert process.stderr is not None  # noqa: S101 - the same
        self._process = process
        self.pid = process.pid
        # Whoever reads them closes them: they may be handed on to another program.
        self.stdout, self.stderr = os.dup(process.stdout.fileno()), os.dup(process.stderr.fileno())
        _close(process)

    def ended(self) -> bool:
        """Whether it has ended; what it started may still run."""
        return self._process.poll() is not None

    def wait(self) -> int:
        """Its exit code, negative where a signal ended it, once it has ended."""
        return self._process.wait()


class Shell:
    """Starts programs. *prefix* goes in front of every argument list: tests and image builds name a chroot there."""

    def __init__(self, *, prefix: Sequence[str] = ()) -> None:
        self._prefix = tuple(prefix)
        self._children: Dict[int, subprocess.Popen[bytes]] = {}
        self._adopts = False

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        env: Optional[Mapping[str, str]] = None,
        input: Optional[bytes] = None,  # noqa: A002 - subprocess's own word
        ok: Sequence[int] = (0,),
        log: Optional[Path] = None,
    ) -> Result:
        """
        Run a program to its end.

        Args:
            argv: The program and its arguments.
            timeout: Seconds; then it and everything it started is ended.
            env: What is added to the fixed environment.
            input: What it reads; nothing by default (/dev/null).
            ok: The exit codes that are no failure.
            log: Append both streams to this file instead of a pipe, so that the program lives on if we do not; the result's
                stdout is then the end of what it wrote (1 MB), its stderr empty.

        Raises:
            CommandMissing: It is not installed.
            CommandFailed: It ended with another code.
            CommandTimedOut: Its time was up.
            OutputTooLarge: It wrote more than 32 MB to a pipe.
        """
        if log is not None:
            result = self._run_logged(argv, timeout, self._environment(env), log)
        else:
            result = self._run_piped(argv, timeout, self._environment(env), input)
        if result.code not in ok:
            raise CommandFailed(result.argv, result.code, result.tail)
        return result

    def stream(
        self, argv: Sequence[str], *, timeout: float, env: Optional[Mapping[str, str]] = None
    ) -> Iterator[bytes]:
        """
        Run a program and yield its standard output in chunks of at most 1 MB, however much there is.

        Raises CommandMissing, CommandFailed and CommandTimedOut as `run` does, the latter two when the output has ended.
        Ending the iteration early ends the program.
        """
        with contextlib.ExitStack() as stack:
            process = self._start(argv, self._environment(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            stack.callback(_close, process)
            stack.callback(_end, process, 0.0)
            errors = b""
            for stream, chunk in _chunks(process, time.monotonic() + timeout):
                if stream == "stdout":
                    yield chunk
                else:
                    errors = (errors + chunk)[-TAIL_BYTES:]
            tail = errors.decode("utf-8", "replace").strip()[-ERROR_TAIL_CHARACTERS:]
            if process.poll() is None:
                raise CommandTimedOut(argv, timeout, tail)
            if process.returncode != 0:
                raise CommandFailed(argv, process.returncode, tail)

    def spawn_detached(
        self, argv: Sequence[str], *, log: Path, env: Optional[Mapping[str, str]] = None, cwd: str = "/"
    ) -> Detached:
        """
        Start a program in a session of its own, its output appended to *log*. It lives on when the agent ends.

        Raises CommandMissing where it is not installed.
        """
        with log.open("ab") as output:
            process = self._start(argv, self._environment(env), stdout=output, stderr=output, cwd=cwd)
        self._children[process.pid] = process
        return Detached(process.pid, _start_time(process.pid))

    def keep(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: str) -> Kept:
        """Start a program in a session of its own, to be kept. Raises CommandMissing where it cannot be started."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "bufsize": 0}
        return Kept(self._start(argv, self._environment(env), cwd=cwd, **pipes))

    def adopt(self) -> None:
        """
        Become the parent of whatever the descendants of this process leave behind, for as long as it lives.

        For a process that keeps one program and does nothing else. Where Python or the kernel cannot, nothing changes.
        """
        with contextlib.suppress(ImportError, OSError, AttributeError):
            import ctypes

            self._adopts = ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0

    def bury(self, process: Kept) -> None:
        """Let those go that were adopted and have ended; *process* is waited for by whoever keeps it."""
        with contextlib.suppress(ChildProcessError):
            while self._adopts:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is None or found.si_pid == process.pid:
                    return
                os.waitpid(found.si_pid, os.WNOHANG)

    def swallow(self, pipe: int) -> None:
        """Hand the reading end of a pipe to a program that reads on and drops it, so that no writer dies of our leaving."""
        with contextlib.suppress(CommandMissing):
            self._start(
                ["cat"], self._environment({}), stdin=pipe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        os.close(pipe)

    def end_marked(self, mark: str, process: Optional[Kept] = None, *, seconds: float) -> int:
        """
        Kill every process that was started with *mark* (`NAME=VALUE`) in its environment, *process* with its descendants and
        those of its session, and what this process has taken over (`adopt`).

        Answers how many it found. Gives up after *seconds* on what does not die (a disk that does not answer).
        """
        deadline = time.monotonic() + seconds
        seen: Set[Tuple[int, int]] = set()
        while True:
            over = process is None or process.ended()
            tree = _marked(mark)
            if process is not None:
                tree.update(_of_session(process.pid))
                tree.update({} if over else _descendants(process.pid))
                self.bury(process)
            if self._adopts:
                tree.update({one: at for one, at in _descendants(os.getpid()).items() if one != os.getpid()})
            if (over and not tree) or time.monotonic() > deadline:
                return len(seen)
            seen.update(tree.items())
            _signal(tree, signal.SIGKILL)
            _wait_a_little()

    def is_alive(self, process: Detached) -> bool:
        """Whether a detached process still runs, whichever agent started it. One that has ended but is unread does not."""
        own = self._children.get(process.pid)
        if own is not None and own.poll() is not None:
            del self._children[process.pid]
            return False
        return process.started != 0 and _start_time(process.pid) == process.started

    def end(self, process: Detached, *, grace_seconds: float = GRACE_SECONDS) -> None:
        """End a detached process and everything it started; nothing happens where it has ended already."""
        if self.is_alive(process):
            _end_tree(process.pid, grace_seconds)

    def _environment(self, extra: Optional[Mapping[str, str]]) -> Dict[str, str]:
        # LANGUAGE beats LC_ALL for messages, so it has to go: that is why nothing else is inherited either.
        environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
        environment.update(PATH=SEARCH_PATH, HOME="/root", LC_ALL=_neutral_locale(), TERM="dumb")
        environment.update(extra or {})
        return environment

    def _start(self, argv: Sequence[str], environment: Mapping[str, str], **options: object) -> subprocess.Popen[bytes]:
        command = [*self._prefix, *argv]
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("cwd", "/")
        try:
            return subprocess.Popen(command, env=dict(environment), start_new_session=True, **options)  # type: ignore[call-overload,no-any-return]
        except FileNotFoundError:
            raise CommandMissing(argv, "is not installed") from None
        except OSError as error:
            raise CommandMissing(argv, f"cannot be started: {error.strerror}") from None

    def _run_piped(
        self, argv: Sequence[str], timeout: float, environment: Mapping[str, str], given: Optional[bytes]
    ) -> Result:
        stdin = subprocess.DEVNULL if given is None else subprocess.PIPE
        process = self._start(argv, environment, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        with contextlib.ExitStack() as stack:
            stack.callback(_close, process)
            stack.callback(_end, process, 0.0)
            parts: Dict[str, List[bytes]] = {"stdout": [], "stderr": []}
            sizes = {"stdout": 0, "stderr": 0}
            for stream, chunk in _chunks(process, time.monotonic() + timeout, given or b""):
                parts[stream].append(chunk)
                sizes[stream] += len(chunk)
                if sizes[stream] > OUTPUT_LIMIT_BYTES:
                    raise OutputTooLarge(argv, OUTPUT_LIMIT_BYTES)
            texts = {name: b"".join(chunks).decode("utf-8", "replace") for name, chunks in parts.items()}
            result = Result(tuple(argv), process.returncode or 0, texts["stdout"], texts["stderr"])
            if process.poll() is None:
                raise CommandTimedOut(argv, timeout, result.tail)
            return result._replace(code=process.returncode)

    def _run_logged(self, argv: Sequence[str], timeout: float, environment: Mapping[str, str], log: Path) -> Result:
        with log.open("ab") as output:
            begin = output.tell()
            process = self._start(argv, environment, stdout=output, stderr=output)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            _end(process, GRACE_SECONDS)
            raise CommandTimedOut(argv, timeout, _tail(log, begin)[-ERROR_TAIL_CHARACTERS:]) from None
        return Result(tuple(argv), process.returncode, _tail(log, begin), "")


def _chunks(process: subprocess.Popen[bytes], deadline: float, given: bytes = b"") -> Iterator[Tuple[str, bytes]]:
    """What the process writes, by stream, until both streams and the process have ended or the deadline has passed."""
    pending = memoryview(given)
    with selectors.DefaultSelector() as selector:
        for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ, name)
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE, "stdin")
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(max(0.0, deadline - time.monotonic())):
                if key.data == "stdin":
                    pending = _feed(selector, process.stdin, pending)
                    continue
                chunk = os.read(key.fd, CHUNK_BYTES)
                if chunk:
                    yield key.data, chunk
                else:
                    selector.unregister(key.fileobj)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - time.monotonic()))


def _feed(selector: selectors.BaseSelector, pipe: Optional[IO[bytes]], pending: memoryview) -> memoryview:
    assert pipe is not None  # noqa: S101 - registered only where there is one
    try:
        pending = pending[os.write(pipe.fileno(), pending[: 64 * 1024]) :] if pending else pending
    except BrokenPipeError:
        pending = pending[:0]
    if not pending:
        selector.unregister(pipe)
        pipe.close()
    return pending


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _end(process: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """End a child and its descendants, and take its exit code."""
    if process.poll() is None:
        _end_tree(process.pid, grace_seconds, process)
        process.wait()


def _end_tree(pid: int, grace_seconds: float, child: Optional[subprocess.Popen[bytes]] = None) -> None:
    # apt gives dpkg a session of its own (for its log), so the process group alone does not reach everybody.
    tree = _descendants(pid)
    for number in (signal.SIGTERM, signal.SIGKILL) if grace_seconds else (signal.SIGKILL,):
        _signal(tree, number)
        deadline = time.monotonic() + grace_seconds
        while number == signal.SIGTERM and time.monotonic() < deadline:
            if child is not None:
                child.poll()
            if not any(_start_time(one) == started for one, started in tree.items()):
                return
            _wait_a_little()
        tree.update(_descendants(pid))


def _signal(processes: Mapping[int, int], number: int) -> None:
    for one, started in processes.items():
        if _start_time(one) == started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(one, number)


def _marked(mark: str) -> Dict[int, int]:
    """The processes that have *mark* in the environment they were started with, and when each started."""
    wanted, found = b"\0" + os.fsencode(mark) + b"\0", {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if wanted in b"\0" + (entry / "environ").read_bytes() + b"\0":
                    found[int(entry.name)] = _start_time(int(entry.name))
    return {one: started for one, started in found.items() if started}


def _of_session(session: int) -> Dict[int, int]:
    """The processes of a session, and when each started."""
    found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    members = {one: _start_time(one) for one in found if (_stat(one) or [""] * 4)[3] == str(session)}
    return {one: started for one, started in members.items() if started}


def _wait_a_little() -> None:
    with selectors.DefaultSelector() as selector:
        selector.select(0.05)


def _descendants(pid: int) -> Dict[int, int]:
    """*pid* and every process below it, with the time each started."""
    parents: Dict[int, List[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, queue = {}, [pid]
    while queue:
        one = queue.pop()
        found[one] = _start_time(one)
        queue.extend(child for child in parents.get(one, ()) if child not in found)
    return {one: started for one, started in found.items() if started}


def _start_time(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 where it does not run (a zombie does not)."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] not in ("Z", "X") else 0


def _stat(pid: int) -> List[str]:
    """/proc/PID/stat from the state on; empty where there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(begin, size - LOG_TAIL_BYTES))
        return file.read(LOG_TAIL_BYTES).decode("utf-8", "replace")


_NEUTRAL: List[str] = []


def _neutral_locale() -> str:
    """C.UTF-8 where the system has it, else C: messages in English, and file names as they are."""
    if not _NEUTRAL:
        current = locale.setlocale(locale.LC_CTYPE)
        try:
            locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
            _NEUTRAL.append("C.UTF-8")
        except locale.Error:
            _NEUTRAL.append("C")
        finally:
            locale.setlocale(locale.LC_CTYPE, current)
    return _NEUTRAL[0]
