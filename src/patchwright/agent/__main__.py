# SPDX-License-Identifier: Apache-2.0
"""The node program's command line; the same words from the zipapp and from `patchwright agent`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, Optional, Sequence, Tuple

if __name__ == "__main__" and not __package__:  # started by its path: the package is two directories up
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

EXIT_REFUSED, EXIT_USAGE = 1, 2
STATE_DIR_VARIABLE = "PATCHWRIGHT_STATE_DIR"
GUEST_STATE_DIR = "/var/lib/patchwright-node"
PIN_TEXT = "SHA-256 of the server's certificate, as the server printed it"


def main(argv: Optional[Sequence[str]] = None, *, program: Optional[Tuple[str, ...]] = None) -> int:
    """
    Run the words in *argv* (sys.argv[1:] by default); answers the exit code: 0 done, 1 refused or failed, 2 usage.

    *program* are the words that start this agent again, for the processes it starts; found out by default.
    """
    from patchwright.agent.program import own_program
    from patchwright.core.errors import PatchwrightError

    arguments = _parser().parse_args(argv)
    os.umask(0o077)
    try:
        return int(_COMMANDS[arguments.command](arguments, program or own_program()))
    except PatchwrightError as error:
        print(f"patchwright-agent: {error}", file=sys.stderr)
        return EXIT_REFUSED
    except PermissionError as error:
        print(f"patchwright-agent: {error}; run this as root, or name another --state-dir", file=sys.stderr)
        return EXIT_REFUSED
    except KeyboardInterrupt:
        return EXIT_REFUSED


def _parser() -> argparse.ArgumentParser:
    from patchwright.agent.config import CODE_VARIABLE, DEFAULT_STATE_DIR

    state_dir = os.environ.get(STATE_DIR_VARIABLE, DEFAULT_STATE_DIR)
    parser = argparse.ArgumentParser(prog="patchwright-agent", description="The node program of Patchwright.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    enroll = commands.add_parser("enroll", help="make this machine a managed node")
    enroll.add_argument("--server", required=True, metavar="URL", help="such as https://patch.example:8473")
    enroll.add_argument("--activation-id", required=True, metavar="ID")
    enroll.add_argument("--activation-code", metavar="CODE", help=f"or - for standard input, or ${CODE_VARIABLE}")
    trust = enroll.add_mutually_exclusive_group()
    trust.add_argument("--pin", default="", metavar="sha256:HEX", help=PIN_TEXT)
    trust.add_argument("--ca", default="", metavar="FILE", help="PEM file of the authority that signed the certificate")
    enroll.add_argument("--insecure-http", action="store_true", help="allow plain HTTP to another machine")
    enroll.add_argument("--force", action="store_true", help="replace the identity this machine has")
    run = commands.add_parser("run", help="wait for commands and run them")
    run.add_argument("--once", action="store_true", help="take in what waits at the server, run it, report it, and end")
    run.add_argument("--baton", type=int, help=argparse.SUPPRESS)
    commands.add_parser("version", help="print the version")
    test = commands.add_parser(
        "self-test", help="see that this program works here: used before it replaces another version"
    )
    child = commands.add_parser("child", help="used by the program itself")
    child.add_argument("task", choices=("work", "inventory", "facts", "resolve", "install", "script"))
    child.add_argument("--directory", default="", metavar="DIR")
    for one in (enroll, run, child, test):
        one.add_argument("--state-dir", default=state_dir, metavar="DIR", help="default: %(default)s")
    _add_guest_words(commands)
    return parser


def _add_guest_words(commands: Any) -> None:
    """The words by which scripts of amazon-ssm-agent start this program."""
    for word, text in (("patch", "do a patch step for amazon-ssm-agent"), ("patch-check", "see whether it goes on")):
        guest = commands.add_parser(word, help=text)
        guest.add_argument("--server", required=True, metavar="URL")
        guest.add_argument("--step", required=True, metavar="NAME")
        guest.add_argument("--within", default="", metavar="SCRIPT", help="where the step's script lies")
        guest.add_argument("--insecure-http", action="store_true", help="allow plain HTTP to another machine")
        guest.add_argument("--state-dir", default=GUEST_STATE_DIR, metavar="DIR", help="default: %(default)s")


def _guest(arguments: argparse.Namespace, program: Tuple[str, ...]) -> int:
    from patchwright.agent import guest
    from patchwright.agent.transport import Server

    server = Server(arguments.server.rstrip("/"), insecure_http=arguments.insecure_http)
    state_dir, which = Path(arguments.state_dir).resolve(), guest.Which(arguments.step, arguments.within)
    if arguments.command == "patch":
        return guest.patch(which, server, state_dir=state_dir, program=program)
    return guest.check(which, server, state_dir=state_dir)


def _version(_arguments: argparse.Namespace, _program: Tuple[str, ...]) -> int:
    from patchwright import __version__

    print(__version__)
    return 0


def _self_test(arguments: argparse.Namespace, _program: Tuple[str, ...]) -> int:
    from patchwright import __version__
    from patchwright.agent.disk import Disk
    from patchwright.agent.selfupdate import self_test

    self_test(Disk(Path(arguments.state_dir).resolve()))
    print(__version__)
    return 0


def _enroll(arguments: argparse.Namespace, _program: Tuple[str, ...]) -> int:
    from patchwright.agent.client import ServerUnavailable
    from patchwright.agent.clock import Clock
    from patchwright.agent.config import CODE_VARIABLE, load_settings
    from patchwright.agent.disk import Disk
    from patchwright.agent.enroll import Activation, enroll
    from patchwright.agent.transport import Server

    code = arguments.activation_code or os.environ.get(CODE_VARIABLE, "")
    if code == "-":
        code = sys.stdin.readline().strip()
    if not code:
        print(f"patchwright-agent: --activation-code, or ${CODE_VARIABLE}, is missing", file=sys.stderr)
        return EXIT_USAGE
    state_dir = Path(arguments.state_dir).resolve()
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    authority = str(Path(arguments.ca).resolve()) if arguments.ca else ""
    server = Server(arguments.server.rstrip("/"), arguments.pin, authority, arguments.insecure_http).checked()
    try:
        identity = enroll(
            Disk(state_dir),
            server,
            Activation(arguments.activation_id, code),
            settings=load_settings(state_dir),
            clock=Clock(),
            force=arguments.force,
        )
    except ServerUnavailable as error:
        print(f"patchwright-agent: {error}; run the same again, it uses up no second registration", file=sys.stderr)
        return EXIT_REFUSED
    print(f"enrolled as {identity.instance_id} in account {identity.account}, region {identity.region}")
    return 0


def _run(arguments: argparse.Namespace, program: Tuple[str, ...]) -> int:
    from patchwright.agent.baton import become_waiting, heed_termination, taken
    from patchwright.agent.clock import Clock
    from patchwright.agent.config import inherited_environment, load_identity, load_settings
    from patchwright.agent.disk import Disk, Lock
    from patchwright.agent.loop import Loop, Rest
    from patchwright.agent.program import unpacked
    from patchwright.agent.selfupdate import PROGRAM_VARIABLE, Renewal

    state_dir = Path(arguments.state_dir).resolve()
    identity, settings = load_identity(state_dir), load_settings(state_dir)
    lock = Lock(state_dir / "lock")
    woken = None if arguments.baton is None else taken(arguments.baton)
    if woken:
        lock.take_over(woken.lock)
    elif not lock.take():
        print(f"patchwright-agent: another agent runs with {state_dir}", file=sys.stderr)
        return EXIT_REFUSED
    heed_termination()
    disk, words = Disk(state_dir, settings.reserve_kib * 1024), [*program, "run", "--state-dir", str(state_dir)]
    renewal = None if arguments.once else Renewal(disk, Path(program[-1]), words)
    if renewal and not woken:
        renewal.began()
    back = [*words, "--baton"]
    loop = Loop(
        identity,
        settings,
        disk=disk,
        clock=Clock(),
        program=unpacked(program, os.environ),
        environment={**inherited_environment(), **({PROGRAM_VARIABLE: program[-1]} if renewal else {})},
        renewal=renewal,
        rest=None if arguments.once else Rest(become_waiting, lock.descriptor, back, woken),
    )
    if arguments.once:
        loop.run_once()
    else:
        loop.run()
    return 0


def _child(arguments: argparse.Namespace, program: Tuple[str, ...]) -> int:
    from patchwright.agent.config import load_settings
    from patchwright.agent.disk import Disk

    state_dir = Path(arguments.state_dir).resolve()
    settings = load_settings(state_dir)
    disk = Disk(state_dir, settings.reserve_kib * 1024)
    if arguments.task == "inventory":
        from patchwright.agent.inventory.sending import run

        return run(disk, settings)
    if arguments.task != "work":
        from patchwright.agent.child import perform

        return perform(arguments.task, Path(arguments.directory).resolve(), disk)
    from patchwright.agent.worker import work

    return work(disk, settings, program)


_COMMANDS = {
    "patch": _guest,
    "patch-check": _guest,
    "enroll": _enroll,
    "run": _run,
    "self-test": _self_test,
    "child": _child,
    "version": _version,
}

if __name__ == "__main__":
    raise SystemExit(main())
