# SPDX-License-Identifier: Apache-2.0
"""
The process of a server: its words, its socket and certificate, how it begins and ends. What it serves is wired in `app`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import msgspec
import structlog
import uvicorn

from patchwright import __version__
from patchwright.core.errors import PatchwrightError
from patchwright.server import commands, gateway
from patchwright.server.app import Application, House, build, jobs, local_url, make_private, plain_http
from patchwright.server.config import SETTINGS, Config, ConfigError, load
from patchwright.server.infra import InfraError, SystemClock, repeating
from patchwright.server.wire import Certificate, Doorstep, Proxies, WebSocket, keep, recalled

_log = structlog.get_logger("patchwright.server")
_PLAIN = frozenset({str, int, float, bool, type(None)})
_BACKLOG = 2048
_PING_SECONDS = 60.0
_GRACE_SECONDS = 20  # longer than a long poll, so that a stop cuts nobody off


def main(words: Sequence[str]) -> int:
    """`patchwright server WORDS`; returns the exit code: 0 stopped, 1 could not serve, 2 usage."""
    parser = argparse.ArgumentParser(prog="patchwright server", description="Run the control plane.")
    for setting in SETTINGS:
        text = f"{setting.help} Default: {setting.default or 'none'}; also {setting.variable}."
        if setting.name == "insecure_http":
            parser.add_argument(setting.flag, dest=setting.name, action="store_const", const="1", help=text)
        elif setting.flag:
            parser.add_argument(setting.flag, dest=setting.name, metavar=setting.name.upper(), help=text)
    options = {name: value for name, value in vars(parser.parse_args(words)).items() if value}
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=_log_line),
        ],
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    try:
        return run(load(options))
    except ConfigError as error:
        print(f"patchwright server: {error}", file=sys.stderr)  # noqa: T201 - what stops the start goes to the terminal
        return 2


def _log_line(event: dict[str, Any], **_: Any) -> bytes:
    """A line of JSON; of what is neither text nor a number its representation, which has no secrets."""
    plain = {name: value if type(value) in _PLAIN else repr(value) for name, value in event.items()}
    try:
        return msgspec.json.encode(plain)
    except UnicodeEncodeError:  # a lone surrogate, as in the name of a file that is no UTF-8
        return json.dumps(plain).encode()


def run(config: Config, *, sock: socket.socket | None = None) -> int:
    """
    Serve until SIGTERM or SIGINT; returns the exit code.

    *sock*, a listening socket, is served instead of `config.host` and `config.port`.
    """
    import uvloop

    try:
        certificate = _certificate(config)
        uvloop.run(_serve(config, certificate, sock))
    except (PatchwrightError, OSError) as error:
        print(f"patchwright server: {error}", file=sys.stderr)  # noqa: T201 - what stops the start goes to the terminal
        return 1
    return 0


async def _serve(config: Config, certificate: Certificate | None, sock: socket.socket | None) -> None:
    sock = sock or _bind(config)
    port = sock.getsockname()[1]
    make_private(config)
    with _held(config):
        signatures = config.data_dir / f"signatures.{config.port}"
        replays = recalled(signatures, window=config.clock_skew_seconds, now=SystemClock().now())
        house = await build(config, port=port, replays=replays)
        await house.clock.sleep(max(0.0, replays.since - house.clock.now()))
        sock.listen(_BACKLOG)  # before anyone is told the address: whoever comes early waits in the backlog
        async with repeating(jobs(config, house), house.clock):
            _announce(config, house, certificate, port)
            doorstep = Doorstep.sized(config.connections, Proxies(config.trusted_proxies))
            await _Server(settings(house.application, certificate, doorstep), house.waking).serve(sockets=[sock])
        await _close(house)
        keep(signatures, replays)


async def _close(house: House) -> None:
    """Write and seal what the audit trail waits for, and let go of the database."""
    await house.news.courier.close()
    with contextlib.suppress(InfraError):
        await house.access.keys.write_uses()
        await house.trail.flush(everything=True)
        head = await house.audit.seal()
        _log.info("audit", head=None if head is None else str(head))
    await house.database.close()


def settings(application: Application, certificate: Certificate | None, doorstep: Doorstep) -> uvicorn.Config:
    """What uvicorn serves, and how."""
    return uvicorn.Config(
        application,
        loop="none",
        http=doorstep.protocol(),
        ws=WebSocket,
        ws_max_size=gateway.FRAME_LIMIT,
        ws_ping_interval=_PING_SECONDS,  # finds nodes that went without a word, and keeps what stands between from forgetting
        ws_ping_timeout=_PING_SECONDS,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        log_level="error",  # what is no HTTP is answered, and fills no log
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        ssl_certfile=str(certificate.chain) if certificate else None,
        ssl_keyfile=str(certificate.key) if certificate else None,
    )


class _Server(uvicorn.Server):
    """uvicorn, ended by SIGTERM or SIGINT without raising the signal again afterwards; polls that wait do not hold it up."""

    def __init__(self, settings: uvicorn.Config, waking: commands.Waking) -> None:
        super().__init__(settings)
        self._waking = waking

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; the second time stop at once."""
        self._waking.close()
        self.force_exit = self.force_exit or self.should_exit
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Stop on a signal; a second one does not wait for requests that are under way."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def _announce(config: Config, house: House, certificate: Certificate | None, port: int) -> None:
    """One line a machine can read, on standard error; and what a person needs first, on standard output."""
    url = config.public_url or local_url(config, port)
    pin = certificate.pin if certificate else None
    _log.info("serving", version=__version__, url=url, pin=pin, database=config.database.partition(":")[0])
    lines = [f"Patchwright {__version__} serves the API at {url}"]
    if house.root is not None:
        lines.append(f"Root credentials are in {config.data_dir / 'credentials'} (profile default).")
    if certificate and certificate.self_signed:
        lines.append(f"The certificate is self-signed; agents enrol with --pin {certificate.pin}")
        lines.append(
            f"A machine joins with: curl -fsSk --pinnedpubkey '{certificate.key_pin}' {url}/agent/install.sh"
            f" | sudo sh -s -- --pin {certificate.pin} --activation-id ID --activation-code CODE"
        )
    print("\n".join(lines), flush=True)  # noqa: T201 - the operator reads where the server is


def _certificate(config: Config) -> Certificate | None:
    """The certificate to serve with: the one given, one of our own off loopback, none on it (design D11)."""
    if config.tls_cert and config.tls_key:
        return Certificate.given(config.tls_cert, config.tls_key)
    if plain_http(config):
        return None
    make_private(config)
    return Certificate.self_made(config.data_dir, host=config.host, public_url=config.public_url)


def _bind(config: Config) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((config.host, config.port))
    except OSError as error:
        sock.close()
        msg = f"cannot listen on {config.host}:{config.port}: {error.strerror}. Choose another with --listen."
        raise ConfigError(msg) from error
    return sock


@contextlib.contextmanager
def _held(config: Config) -> Iterator[None]:
    """With SQLite, one process serves a data directory (design D8): hold it, until this process ends, however it ends."""
    if not config.database.startswith("sqlite:"):
        yield
        return
    make_private(config)
    with (config.data_dir / "server.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"another server serves {config.data_dir}: stop it, or choose another directory with --data-dir"
            raise ConfigError(msg) from None
        yield
