# SPDX-License-Identifier: Apache-2.0
"""The words of `patchwright`, and what an error becomes: an exit code and a sentence on standard error."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from patchwright import __version__
from patchwright.cli.clock import Clock
from patchwright.core.errors import PatchwrightError

if TYPE_CHECKING:
    from patchwright.cli import TakeView
    from patchwright.cli.client import Client

DONE, REFUSED, USAGE = 0, 1, 2
# Words that __main__ takes itself, so that servers and nodes start without this module.
ELSEWHERE = {"agent": "The node program: enroll, run.", "server": "Run the control plane."}


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user without an entry in the password database and without HOME
        return Path("/")


@dataclass
class Setup:
    """What the commands work with."""

    take_view: TakeView | None = None
    clock: Clock = field(default_factory=Clock)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    home: Path = field(default_factory=_home)


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run. *lazy*: by name, (module:attribute, short help)."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **more: Any) -> None:
        super().__init__(*args, **more)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of the table."""
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command; None where there is none of this name."""
        if cmd_name not in self._lazy:
            return None
        where, _ = self._lazy[cmd_name]
        module, _, name = where.partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._lazy.items()])


def connected(command: Callable[..., int | None]) -> Callable[..., int | None]:
    """Give *command* the options of the server's address and, as its first argument, a client."""

    @functools.wraps(command)
    @click.pass_context
    def run_connected(ctx: click.Context, /, **params: Any) -> int | None:
        with client_of(ctx, params) as client:
            return command(client, **params)

    return connection_options(run_connected)


@contextlib.contextmanager
def client_of(ctx: click.Context, params: dict[str, Any]) -> Iterator[Client]:
    """A client, by the options of `connection_options`, which are taken out of *params*; closed at the end."""
    from patchwright.cli import client, config

    setup: Setup = ctx.obj
    before = ctx.find_root().params
    options = {item.name: params.pop(item.name) or before.get(item.name) for item in config.SETTINGS}
    made = client.Client(config.load(options, setup.environment, home=setup.home), setup.clock)
    try:
        yield made
    finally:
        made.close()


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add one option for each setting of `config`."""
    from patchwright.cli.config import SETTINGS

    for item in reversed(SETTINGS):
        text = f"{item.help} Also {', '.join(item.variables)}."
        command = click.option(item.flag, item.name, metavar=item.metavar, help=text)(command)
    return command


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")

_HELP = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(
    cls=LazyGroup,
    lazy={
        "scan": ("patchwright.cli.scan:scan", "What this machine misses, and why. Needs no server."),
        "activation": ("patchwright.cli.program:activation", "Permission for machines to become nodes: create."),
        "node": ("patchwright.cli.program:node", "Managed nodes: list, show, tag."),
        "patch": ("patchwright.cli.patch:patch", "Scan nodes for missing patches, or install them."),
        "command": ("patchwright.cli.program:command", "Documents on nodes: send, list, show, tail, cancel."),
        "window": (
            "patchwright.cli.program:window",
            "Maintenance windows: create, list, show, next, forecast, run, calendar.",
        ),
        "baseline": ("patchwright.cli.program:baseline", "Patch baselines: list, show, create, register."),
        "events": ("patchwright.cli.program:events", "What happens: tail, list."),
        "subscription": ("patchwright.cli.program:subscription", "Where events are sent: create, list, show."),
        "report": ("patchwright.cli.program:report", "Reports as CSV: patches."),
        "account": ("patchwright.cli.program:account", "Accounts of the installation: create, list, disable."),
        "audit": ("patchwright.cli.program:audit", "Who did what: list, verify, export."),
        "server": ("patchwright.cli.program:server", ELSEWHERE["server"]),
        "agent": ("patchwright.cli.program:agent", ELSEWHERE["agent"]),
    },
    context_settings=_HELP,
)
@connection_options
@click.version_option(__version__, prog_name="patchwright")
def patchwright(**_options: str | None) -> None:
    """
    Patch machines: see what they miss and why, and install it.

    The options below may also stand after the command.
    """


@click.group(
    cls=LazyGroup,
    lazy={"create": ("patchwright.cli.activations:create_activation", "Make an activation.")},
)
def activation() -> None:
    """Activations: permission for machines to become managed nodes."""


@click.group(
    cls=LazyGroup,
    lazy={
        "list": ("patchwright.cli.nodes:list_nodes", "Every managed node."),
        "show": ("patchwright.cli.nodes:show_node", "One node: its live verdict, and its last operation."),
        "tag": ("patchwright.cli.nodes:tag_node", "Set tags of a node."),
    },
)
def node() -> None:
    """Managed nodes."""


@click.group(
    cls=LazyGroup,
    lazy={
        "send": ("patchwright.cli.commands:send_command", "Send a document to nodes, and watch."),
        "list": ("patchwright.cli.commands:list_commands", "Commands of the last 30 days."),
        "show": ("patchwright.cli.commands:show_command", "One command, node by node."),
        "cancel": ("patchwright.cli.commands:cancel_command", "Hold a command back."),
        "tail": ("patchwright.cli.live:tail_command", "What a command prints, as it comes."),
        "output": ("patchwright.cli.live:output_command", "All that a command has printed on a node."),
    },
)
def command() -> None:
    """Commands: documents that are sent to nodes, and what comes of them."""


@click.group(
    cls=LazyGroup,
    lazy={
        "list": ("patchwright.cli.baselines:list_baselines", "Every patch baseline, own ones first."),
        "show": ("patchwright.cli.baselines:show_baseline", "One patch baseline with its rules."),
        "create": ("patchwright.cli.baselines:create_baseline", "Make a patch baseline."),
        "register": ("patchwright.cli.baselines:register_baseline", "Let it decide for a patch group."),
    },
)
def baseline() -> None:
    """Patch baselines: what is approved, and when."""


@click.group(
    cls=LazyGroup,
    lazy={
        "create": ("patchwright.cli.windows:create_window", "Make a window that patches nodes."),
        "list": ("patchwright.cli.windows:list_windows", "Every maintenance window."),
        "show": ("patchwright.cli.windows:show_window", "One window, and how it went lately."),
        "next": ("patchwright.cli.windows:next_openings", "When it opens next, and what its schedule means."),
        "forecast": ("patchwright.cli.forecast:forecast", "Whether what it does fits into it."),
        "run": ("patchwright.cli.windows:run_window", "Open a window now, and watch."),
        "cancel": ("patchwright.cli.windows:cancel_execution", "Let nothing of it start any more."),
        "calendar": ("patchwright.cli.windows:calendar", "What opens in the days to come."),
        "feed": ("patchwright.cli.feeds:feed", "Links to the calendar, for programs that cannot sign in."),
    },
)
def window() -> None:
    """Maintenance windows: when nodes are patched by themselves."""


@click.group(
    cls=LazyGroup,
    lazy={
        "tail": ("patchwright.cli.events:tail_events", "Events as they happen."),
        "list": ("patchwright.cli.events:list_events", "What happened in the last 14 days."),
    },
)
def events() -> None:
    """Events: what happens to commands, windows, compliance and parameters."""


@click.group(
    cls=LazyGroup,
    lazy={
        "create": ("patchwright.cli.events:create_subscription", "Send events to a URL."),
        "list": ("patchwright.cli.events:list_subscriptions", "Every subscription."),
        "show": ("patchwright.cli.events:show_subscription", "One subscription, and what came of it."),
        "delete": ("patchwright.cli.events:delete_subscription", "Send nothing there any more."),
        "deliveries": ("patchwright.cli.events:list_deliveries", "What was sent, and why it failed."),
        "redeliver": ("patchwright.cli.events:redeliver", "Send again what was given up."),
    },
)
def subscription() -> None:
    """Subscriptions: events sent to URLs, signed."""


@click.group(
    cls=LazyGroup,
    lazy={"patches": ("patchwright.cli.report:report_patches", "Patch compliance of every node, or of one.")},
)
def report() -> None:
    """Reports for spreadsheets and auditors."""


@click.group(
    cls=LazyGroup,
    lazy={
        "list": ("patchwright.cli.audit:list_entries", "Who did what, on what, and what came of it."),
        "verify": ("patchwright.cli.audit:verify", "Find what was removed, edited, reordered or back-dated."),
        "export": ("patchwright.cli.audit:export", "The whole trail as lines of JSON."),
    },
)
def audit() -> None:
    """The audit trail of every call that changed something, and of every refused one."""


@click.group(
    cls=LazyGroup,
    lazy={
        "create": ("patchwright.cli.accounts:create_account", "Make an account, with a key for its root."),
        "list": ("patchwright.cli.accounts:list_accounts", "Every account."),
        "disable": ("patchwright.cli.accounts:disable_account", "Refuse what an account signs."),
        "enable": ("patchwright.cli.accounts:enable_account", "Let a disabled account go on."),
    },
)
def account() -> None:
    """Accounts of the installation, for the root of its first one."""


def _elsewhere(name: str) -> click.Command:
    @click.command(
        name, short_help=ELSEWHERE[name], add_help_option=False, context_settings={"ignore_unknown_options": True}
    )
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def refuse(words: tuple[str, ...]) -> None:
        msg = f"`{name}` must be the first word: patchwright {' '.join([name, *words])}"
        raise click.UsageError(msg)

    return refuse


server, agent = _elsewhere("server"), _elsewhere("agent")


def run(words: Sequence[str], take_view: TakeView | None = None, *, setup: Setup | None = None) -> int:
    """Run `patchwright WORDS`; returns the exit code. *setup* replaces clock, environment and home directory (tests)."""
    try:
        code = patchwright.main(
            list(words), prog_name="patchwright", standalone_mode=False, obj=setup or Setup(take_view)
        )
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return REFUSED
    except BrokenPipeError:
        # The reader has seen enough. What Python still wants to write at its end must not fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    except (PatchwrightError, OSError) as error:
        return _report(error)
    return code if isinstance(code, int) else DONE


def _report(error: PatchwrightError | OSError) -> int:
    from patchwright.cli.errors import BadSetting, Refused
    from patchwright.cli.wording import printable

    name = "" if isinstance(error, Refused) else "patchwright: "
    print(printable(f"{name}{error}"), file=sys.stderr)
    if isinstance(error, Refused) and error.hint:
        print(printable(f"({error.hint})"), file=sys.stderr)
    return USAGE if isinstance(error, BadSetting) else REFUSED
