# SPDX-License-Identifier: Apache-2.0
"""The words of `patchwright`, their help and their exit codes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cli.bench import DEADLINE, SRC, FakeClock, run_here
from patchwright import __version__
from patchwright.cli.program import LazyGroup, Setup, patchwright, run

HEAVY = ("rich", "http.client", "ssl", "botocore", "patchwright.cli.client", "patchwright.server", "patchwright.agent")


def started(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`patchwright WORDS` as a process of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PATCHWRIGHT_", "AWS_"))}
    return subprocess.run(
        [sys.executable, "-m", "patchwright", *words],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**kept, "PYTHONPATH": SRC, **environment},
    )


def every_command(
    group: click.Group = patchwright, words: tuple[str, ...] = ()
) -> dict[tuple[str, ...], click.Command]:
    """Every command below *group*, by its words."""
    found: dict[tuple[str, ...], click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found[(*words, name)] = command
        if isinstance(command, click.Group):
            found.update(every_command(command, (*words, name)))
    return found


def test_help_lists_every_word():
    """`patchwright --help` shows the commands of the server and the agent among the others."""
    result = run_here(["--help"])

    assert 0 == result.code
    for name in ("scan", "node", "patch", "baseline", "server", "agent"):
        assert f"\n  {name} " in result.out


def test_help_imports_nothing_that_takes_time():
    """What help does not need is not imported: neither Rich nor HTTP, neither the server nor the agent."""
    code = (
        "import sys; from patchwright.__main__ import main; code = main(['--help']);"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, env={"PYTHONPATH": SRC}
    )

    assert (0, "[]") == (result.returncode, result.stderr.strip())


def test_without_a_terminal_rich_is_not_imported():
    """A scan that writes into a pipe draws nothing."""
    code = (
        "import sys; from patchwright.cli.output import screen; screen().line('text');"
        "print('rich' in sys.modules, file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=DEADLINE, env={"PYTHONPATH": SRC}
    )

    assert ("text\n", "False\n") == (result.stdout, result.stderr)


@pytest.mark.parametrize(("environment", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_on_a_terminal_answers_are_drawn(environment, coloured):
    """A terminal gets Rich; NO_COLOR is kept to."""
    code = "from patchwright.cli.output import screen; screen().fact('verdict', 'NON_COMPLIANT')"
    leader, follower = pty.openpty()
    told = {"PYTHONPATH": SRC, "TERM": "xterm-256color", **environment}
    subprocess.run([sys.executable, "-c", code], stdout=follower, check=True, timeout=DEADLINE, env=told)
    os.close(follower)
    text = os.read(leader, 65_536).decode()
    os.close(leader)

    assert "NON_COMPLIANT" in text
    assert coloured == ("[1;31m" in text)


def test_every_short_help_is_that_of_a_command_that_exists():
    """The lazy tables name functions that are there, under the name that they have themselves."""
    for words, command in every_command().items():
        assert words[-1] == command.name


def test_every_command_explains_itself():
    """Each word and each option has a help text."""
    for words, command in every_command().items():
        if words[0] in {"server", "agent"}:
            continue
        assert command.help, words
        for parameter in command.params:
            assert isinstance(parameter, click.Argument) or getattr(parameter, "help", ""), (words, parameter.name)


@pytest.mark.parametrize("word", ["server", "agent"])
def test_server_and_agent_show_their_own_help(word):
    """`patchwright server --help` and `patchwright agent --help` come from what they start."""
    result = started(word, "--help")

    assert 0 == result.returncode
    assert {"server": "--data-dir", "agent": "enroll"}[word] in result.stdout


@pytest.mark.parametrize("word", ["server", "agent"])
def test_server_and_agent_take_no_options_in_front(word):
    """An option before them belongs to other commands; the message shows how to write it."""
    result = run_here(["--region", "eu-west-1", word, "--help"])

    assert 2 == result.code
    assert f"patchwright {word} --help" in result.err


def test_the_version_is_the_packages():
    """`--version` prints the version."""
    assert (0, f"patchwright, version {__version__}\n", "") == run_here(["--version"])


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nod"],
        ["node"],
        ["node", "show"],
        ["node", "list", "--nonsense"],
        ["patch", "mi-0123456789abcdef0"],
        ["patch", "mi-0123456789abcdef0", "--operation", "Upgrade"],
        ["patch", "mi-0123456789abcdef0", "--operation", "Scan", "--timeout", "1"],
        ["node", "list", "--endpoint-url", "nonsense"],
        ["baseline", "create", "--name", "made", "--operating-system", "BEOS"],
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(words):
    """Exit code 2, and something on standard error alone."""
    result = run_here(words)

    assert (2, "") == (result.code, result.out)
    assert result.err


def test_no_server_is_exit_code_one():
    """Everything that was meant well and failed is exit code 1, said on standard error."""
    result = started(
        "node", "list", PATCHWRIGHT_ENDPOINT_URL="http://127.0.0.1:1", AWS_ACCESS_KEY_ID="A", AWS_SECRET_ACCESS_KEY="S"
    )

    assert (1, "") == (result.returncode, result.stdout)
    assert result.stderr.startswith("patchwright: http://127.0.0.1:1 cannot be reached")


def test_no_credentials_is_exit_code_one(tmp_path):
    """Without any credentials the places are named in which they were looked for."""
    result = run_here(["node", "list"], Setup(environment={}, home=tmp_path, clock=FakeClock()))

    assert 1 == result.code
    assert f"{tmp_path}/.aws/credentials" in result.err


def test_options_stand_before_or_after_the_command(server):
    """The address of the server may be said once, in front; what stands after the command wins."""
    environment = {"AWS_SHARED_CREDENTIALS_FILE": server.environment["AWS_SHARED_CREDENTIALS_FILE"]}
    front, after = ["--endpoint-url", server.url], ["--endpoint-url", "http://127.0.0.1:1"]

    codes = [
        run_here(words, Setup(environment=environment)).code
        for words in ([*front, "baseline", "list"], ["baseline", "list", *front], [*front, "baseline", "list", *after])
    ]

    assert [0, 0, 1] == codes


def test_a_reader_that_has_seen_enough_ends_the_listing_quietly(server):
    """`patchwright baseline list | head -1` says nothing of broken pipes."""
    script = 'exec 3>&1; { "$0" -m patchwright baseline list --json 2>&3; } | head -c 1 >/dev/null'

    result = subprocess.run(
        ["sh", "-c", script, sys.executable],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env={**os.environ, **server.environment, "PYTHONPATH": SRC},
    )

    assert ("", "") == (result.stdout, result.stderr)


def test_a_group_without_the_word_has_no_command():
    """A lazy group answers None for what is not in its table, as Click wants it."""
    assert isinstance(patchwright, LazyGroup)
    assert patchwright.get_command(click.Context(patchwright), "nonsense") is None


def test_a_user_without_a_home_can_ask_for_help(monkeypatch):
    """In a container the user may be unknown to the password database."""

    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", nowhere)

    assert 0 == run(["--help"])
    assert Path("/") == Setup().home
