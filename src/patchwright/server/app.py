# SPDX-License-Identifier: Apache-2.0
"""
The composition root: config → services → edges. The only place that reads the config and wires the house.

`run` serves until it is told to stop. `build` makes the ASGI application alone, for tests.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import fcntl
import json
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import msgspec
import structlog
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from patchwright import __version__
from patchwright.core.errors import PatchwrightError
from patchwright.server import (
    aws,
    commands,
    compliance,
    documents,
    gateway,
    inventory,
    nodes,
    parameters,
    patching,
    reports,
    settings,
    windows,
)
from patchwright.server.accounts import (
    NOTE_SECONDS,
    SEAL_SECONDS,
    Access,
    AccessKey,
    Anchor,
    Audited,
    AuditService,
    Authorities,
    MasterKey,
    Principal,
    SessionExpired,
    Trail,
    open_access,
    root_arn,
    write_credentials,
)
from patchwright.server.config import SETTINGS, Config, ConfigError, load
from patchwright.server.infra import (
    S3,
    Buckets,
    Clock,
    Database,
    InfraError,
    Job,
    SystemClock,
    open_buckets,
    open_database,
    repeating,
)
from patchwright.server.wire import (
    Bounds,
    Certificate,
    Claim,
    Credential,
    Doorstep,
    Endpoint,
    Handler,
    KnownKeys,
    Limits,
    Pager,
    Proxies,
    Rate,
    Replays,
    SessionLookup,
    expired_token,
    keep,
    load_models,
    recalled,
)

_PLAIN = frozenset({str, int, float, bool, type(None)})

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = structlog.get_logger("patchwright.server")
_BACKLOG = 2048
_LIMITS = Limits(  # ten thousand items at once; an inventory and what it is wrapped in
    by_target={"AmazonSSM.PutComplianceItems": 4 * 1024 * 1024, "AmazonSSM.PutInventory": 2 * 1024 * 1024}
)
_GRACE_SECONDS = 20  # longer than a long poll, so that a stop cuts nobody off


@dataclass
class House:
    """A server that is wired and ready to answer."""

    application: Application
    database: Database
    clock: Clock
    waking: commands.Waking
    root: AccessKey | None
    writer: reports.Writer
    trail: Trail
    audit: AuditService
    access: Access


class Application:
    """One ASGI application: the API at `/`, downloads, health and metrics beside it."""

    def __init__(
        self,
        endpoint: Endpoint,
        downloads: gateway.Downloads,
        snapshots: aws.SnapshotDownloads,
        database: Database,
    ) -> None:
        self._endpoint = endpoint
        self._downloads = (downloads, snapshots)
        self._database = database

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        path, reading = scope["path"], scope["method"] in {"GET", "HEAD"}
        if reading and path == "/healthz":
            status, text = await self._health()
            await _plain(send, status, text)
        elif reading and path == "/metrics":
            await _plain(send, 200, generate_latest(), kind=CONTENT_TYPE_LATEST)
        elif reading and (download := next((one for one in self._downloads if one.serves(path)), None)):
            await download(scope, send)
        else:
            await self._endpoint(scope, receive, send)

    async def _health(self) -> tuple[int, bytes]:
        try:
            await self._database.read(commands.any_overdue, now=0.0)
        except InfraError as error:
            _log.warning("unhealthy", error=str(error))
            return 503, b"the database cannot be reached; the server's log says why\n"
        return 200, b"ok\n"


async def build(
    config: Config,
    *,
    port: int = 0,
    clock: Clock | None = None,
    strict: bool = False,
    replays: Replays | None = None,
) -> House:
    """
    Wire the house.

    Args:
        config: The settings in force.
        port: Where the socket listens; 0: where the settings say.
        clock: The time; None: the system's.
        strict: Whether an answer that does not fit the service model is an error (tests) or is sent without the misfit.
        replays: Which signatures were used before; None: none.

    Errors: InfraError where the database cannot be opened, UnreadableMasterKey, KeyTaken.
    """
    _make_private(config)
    clock = clock or SystemClock()
    master = MasterKey.load(config.data_dir / "master.key")
    opened = await open_database(config.database, data_dir=config.data_dir, clock=clock)
    trail, audit = _audit(config, opened, clock, master)
    database = Audited(opened)
    access = open_access(database, clock, master, config.quotas, first=config.account_id)
    root = await _root(config, access)
    directory, waking = nodes.Service(database, clock), commands.Waking()
    messages = gateway.Messages(database, clock, master, directory=directory, waking=waking)
    models = load_models(strict=strict)
    url = config.public_url or local_url(config, port or config.port)
    links, snapshots = aws.SnapshotLinks(url, master.links, clock), patching.Snapshots(database, clock)
    buckets = open_buckets(config.bucket_dir, _s3(config), clock)
    known = inventory.Service(database, clock, config.quotas, online_seconds=config.online_seconds)
    warden = aws.Warden(database, clock, Authorities(database, clock.monotonic))
    served = _operations(
        config,
        database,
        clock,
        directory=directory,
        messages=messages,
        waking=waking,
        warden=warden,
        master=master,
        known=known,
        audit=audit,
        access=access,
        buckets=buckets,
        pager=Pager(master.paging, models),
        snapshots=snapshots,
        links=links,
    )
    keys = KnownKeys(_lookup(access, messages), clock.monotonic, sessions=_sessions(access))
    endpoint = Endpoint(
        warden.guarded(served),
        models=models,
        lookup=keys.find,
        sessions=keys.find_session,
        used=_noting(access),
        clock=clock,
        errors=aws.ERRORS,
        parked=gateway.PARKED,
        watch=aws.CallWatch(trail, reports=config.audit_node_reports),
        bounds=_bounds(config),
        replays=replays,
        limits=_LIMITS,
    )
    downloads = gateway.Downloads(url, by_host=not config.public_url)
    application = Application(endpoint, downloads, aws.SnapshotDownloads(snapshots, links), database)
    writer = reports.Writer(database, clock, buckets, known)
    return House(application, database, clock, waking, root, writer, trail, audit, access)


async def _root(config: Config, access: Access) -> AccessKey | None:
    """The root key that was made now, if one was; its credentials are written down."""
    await access.service.check_master_key()
    return await access.service.ensure_root(
        config.account_id,
        key_id=config.root_access_key_id,
        secret=config.root_secret_access_key,
        keep=lambda key: write_credentials(config.data_dir / "credentials", key, region=config.region),
    )


def _audit(config: Config, database: Database, clock: Clock, master: MasterKey) -> tuple[Trail, AuditService]:
    """What writes the audit trail, and what seals, answers and proves it."""
    anchor = Anchor(config.data_dir / "audit.head")
    service = AuditService(database, clock, key=master.audit, anchor=anchor, first=config.account_id)
    return Trail(database, clock, key=master.audit), service


def _operations(
    config: Config,
    database: Database,
    clock: Clock,
    *,
    directory: nodes.Service,
    messages: gateway.Messages,
    waking: commands.Waking,
    warden: aws.Warden,
    master: MasterKey,
    known: inventory.Service,
    audit: AuditService,
    access: Access,
    buckets: Buckets,
    pager: Pager,
    snapshots: patching.Snapshots,
    links: aws.SnapshotLinks,
) -> dict[str, Handler]:
    """What this process serves, by its roles."""
    served: dict[str, Handler] = {}
    if "api" in config.roles:
        services = aws.Services(
            database=database,
            clock=clock,
            pager=pager,
            waking=waking,
            warden=warden,
            directory=directory,
            documents=documents.Service(database, clock, config.quotas),
            commands=commands.Service(database, clock),
            compliance=compliance.Service(database, clock, config.quotas),
            inventory=known,
            quotas=config.quotas,
            parameters=parameters.Service(database, clock, config.quotas, master),
            baselines=patching.Baselines(database, clock, config.quotas),
            catalogue=patching.Catalogue(database, clock),
            groups=patching.Groups(database),
            snapshots=snapshots,
            snapshot_links=links,
            verdicts=patching.Verdicts(database, clock, stale_after=config.stale_after_seconds),
            settings=settings.Service(database, clock),
            maintenance=windows.Service(database, clock, config.quotas),
            executions=windows.Executions(database, clock),
            syncs=reports.Syncs(database, clock, config.quotas, buckets),
            patch_reports=reports.PatchReports(
                database, clock, compliance.Service(database, clock, config.quotas), buckets
            ),
            audit=audit,
            access=access,
            online_seconds=config.online_seconds,
        )
        served.update(aws.operations(services))
    if "gateway" in config.roles:
        operations = patching.Operations(database, clock, finished=compliance.refresh)
        daily = config.quotas.node_bytes_per_day
        exchange = gateway.Exchange(database, operations, monotonic=clock.monotonic, daily_bytes=daily)
        served.update(gateway.operations(messages, exchange))
    return served


def _s3(config: Config) -> S3 | None:
    """The S3-compatible service that buckets are in, if they are in one."""
    if not config.s3_endpoint:
        return None
    return S3(config.s3_endpoint, config.s3_access_key_id, config.s3_secret_access_key)


def _lookup(access: Access, messages: gateway.Messages) -> Callable[[str], Awaitable[Credential | None]]:
    """Whose an access key or a node's is."""

    async def lookup(access_key_id: str) -> Credential | None:
        if access_key_id.startswith("mi-"):
            node = await messages.credential(access_key_id)
            if node is None or not await access.tenants.active(node.account):
                return None
            who = Principal(node.account, node.principal, "node", access_key_id, access_key_id)
            return dataclasses.replace(node, identity=who)
        key = await access.service.key(access_key_id)
        if key is None:
            return None
        kind = "root" if key.principal == root_arn(key.account) else "user"
        who = Principal(key.account, key.principal, kind, key.owner or key.account, key.id)
        return Credential(key.id, key.secret, key.account, key.principal, identity=who)

    return lookup


def _sessions(access: Access) -> SessionLookup:
    """Whose a session's key is."""

    async def find(access_key_id: str, token: str) -> Credential | None:
        try:
            found = await access.sessions.find(access_key_id, token)
        except SessionExpired:
            raise expired_token() from None
        if found is None:
            return None
        who, secret = found
        until = None if who.session is None else who.session.expires_at
        return Credential(access_key_id, secret, who.account, who.arn, identity=who, expires_at=until)

    return find


def _noting(access: Access) -> Callable[[Claim], None]:
    """Notes which access keys are used; nodes and sessions have none that anybody could ask about."""

    def note(claim: Claim) -> None:
        if claim.credential.kind == "user" and claim.credential.expires_at is None:
            access.keys.note(claim.credential.access_key_id, claim.service, claim.region)

    return note


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
    _make_private(config)
    with _held(config):
        signatures = config.data_dir / f"signatures.{config.port}"
        replays = recalled(signatures, window=config.clock_skew_seconds, now=SystemClock().now())
        house = await build(config, port=port, replays=replays)
        await house.clock.sleep(max(0.0, replays.since - house.clock.now()))
        sock.listen(_BACKLOG)  # before anyone is told the address: whoever comes early waits in the backlog
        async with repeating(_jobs(config, house), house.clock):
            _announce(config, house, certificate, port)
            doorstep = Doorstep.sized(config.connections, Proxies(config.trusted_proxies))
            await _Server(_settings(house.application, certificate, doorstep), house.waking).serve(sockets=[sock])
        await _close(house)
        keep(signatures, replays)


async def _close(house: House) -> None:
    """Write and seal what the audit trail waits for, and let go of the database."""
    with contextlib.suppress(InfraError):
        await house.access.keys.write_uses()
        await house.trail.flush(everything=True)
        head = await house.audit.seal()
        _log.info("audit", head=None if head is None else str(head))
    await house.database.close()


def _bounds(config: Config) -> Bounds:
    """How often who may ask."""
    rates = (config.user_requests_per_second, config.node_requests_per_second, config.stranger_requests_per_second)
    users, known, strangers = (Rate(one, 10 * one) for one in rates)
    return Bounds(users, known, strangers, config.clock_skew_seconds, Proxies(config.trusted_proxies))


def _settings(application: Application, certificate: Certificate | None, doorstep: Doorstep) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        loop="none",
        http=doorstep.protocol(),
        ws="none",
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


def _jobs(config: Config, house: House) -> list[Job]:
    """What this process does beside answering, by its roles."""
    always = [
        Job("refusals", SEAL_SECONDS, house.trail.flush),
        Job("key uses", NOTE_SECONDS, house.access.keys.write_uses),
    ]
    if "worker" not in config.roles:
        return always
    database, clock = house.database, house.clock
    return [
        *always,
        Job("seal", SEAL_SECONDS, house.audit.seal),
        Job("sweep", gateway.SWEEP_SECONDS, lambda: gateway.sweep(database, clock)),
        Job("parameters", parameters.SWEEP_SECONDS, lambda: parameters.delete_expired(database, clock)),
        Job("syncs", reports.STEP_SECONDS, house.writer.run_due),
        Job(
            "windows",
            windows.TEND_SECONDS,
            lambda: windows.tend(database, clock, house.waking.wake, aws.rights_of_task),
        ),
    ]


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


def local_url(config: Config, port: int) -> str:
    """The URL under which the server can be reached: where it listens, by the machine's name if that is everywhere."""
    scheme = "http" if _plain_http(config) else "https"
    host = socket.gethostname() if config.host in {"0.0.0.0", "::"} else config.host  # noqa: S104 - not bound here
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{port}"


def _plain_http(config: Config) -> bool:
    return config.tls_cert is None and (config.loopback or config.insecure_http)


def _certificate(config: Config) -> Certificate | None:
    """The certificate to serve with: the one given, one of our own off loopback, none on it (design D11)."""
    if config.tls_cert and config.tls_key:
        return Certificate.given(config.tls_cert, config.tls_key)
    if _plain_http(config):
        return None
    _make_private(config)
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
    _make_private(config)
    with (config.data_dir / "server.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            msg = f"another server serves {config.data_dir}: stop it, or choose another directory with --data-dir"
            raise ConfigError(msg) from None
        yield


def _make_private(config: Config) -> None:
    """The data directory, for its owner only: it holds the master key."""
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if config.data_dir.stat().st_uid == os.geteuid():
        config.data_dir.chmod(0o700)


async def _plain(send: Send, status: int, body: bytes, *, kind: str = "text/plain; charset=utf-8") -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
