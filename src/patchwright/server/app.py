# SPDX-License-Identifier: Apache-2.0
"""
The composition root: config → services → edges. The only place that wires the house; `serving` runs it.
"""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from patchwright.server import (
    aws,
    commands,
    compliance,
    documents,
    events,
    gateway,
    inventory,
    nodes,
    outputs,
    parameters,
    patching,
    reports,
    settings,
    windows,
)
from patchwright.server.accounts import (
    NODE_PRINCIPAL,
    NOTE_SECONDS,
    SEAL_SECONDS,
    SIGNATURE_SECONDS,
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
    forget_signatures,
    open_access,
    root_arn,
    write_credentials,
)
from patchwright.server.config import Config
from patchwright.server.infra import (
    S3,
    Buckets,
    Clock,
    Database,
    DirectoryBlobs,
    InfraError,
    Job,
    SystemClock,
    open_buckets,
    open_database,
)
from patchwright.server.wire import (
    Bounds,
    Claim,
    Credential,
    Endpoint,
    Handler,
    KnownKeys,
    Limits,
    Models,
    Pager,
    Proxies,
    Rate,
    Replays,
    SessionLookup,
    expired_token,
    load_models,
)

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_log = structlog.get_logger("patchwright.server")
_LIMITS = Limits(  # ten thousand items at once; an inventory and what it is wrapped in
    by_target={"AmazonSSM.PutComplianceItems": 4 * 1024 * 1024, "AmazonSSM.PutInventory": 2 * 1024 * 1024}
)


@dataclass
class House:
    """A server that is wired and ready to answer."""

    application: Application
    database: Database
    clock: Clock
    waking: commands.Waking
    switchboard: gateway.Switchboard
    root: AccessKey | None
    writer: reports.Writer
    tender: outputs.Tender
    trail: Trail
    audit: AuditService
    access: Access
    news: events.News


class Application:
    """One ASGI application: the API at `/`, downloads, health and metrics beside it."""

    def __init__(
        self,
        endpoint: Endpoint,
        downloads: gateway.Downloads,
        snapshots: aws.SnapshotDownloads,
        database: Database,
        *,
        channels: gateway.ChannelDoor,
        printed: aws.OutputDownloads,
        buckets: aws.BucketFront,
        stream: aws.EventStream,
    ) -> None:
        self._endpoint = endpoint
        self._channels = channels
        self._stream = stream
        self._buckets = buckets
        self._downloads = (downloads, snapshots, printed)
        self._database = database

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request, or serve one WebSocket to its end."""
        if scope["type"] == "websocket":
            await self._channels(scope, receive, send)
            return
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        path, reading = scope["path"], scope["method"] in {"GET", "HEAD"}
        if self._buckets.serves(scope):  # first: a bucket may have any name
            await self._buckets(scope, receive, send)
        elif reading and path == "/healthz":
            status, text = await self._health()
            await _plain(send, status, text)
        elif reading and path == "/metrics":
            await _plain(send, 200, generate_latest(), kind=CONTENT_TYPE_LATEST)
        elif reading and (download := next((one for one in self._downloads if one.serves(path)), None)):
            await download(scope, send)
        elif reading and self._stream.serves(path):
            await self._stream(scope, receive, send)
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
    make_private(config)
    clock = clock or SystemClock()
    master = MasterKey.load(config.data_dir / "master.key")
    opened = await open_database(config.database, data_dir=config.data_dir, clock=clock)
    trail, audit = _audit(config, opened, clock, master)
    database = Audited(opened)
    access = open_access(database, clock, master, config.quotas, first=config.account_id, holder=nodes.holder)
    root = await _root(config, access)
    directory, waking = nodes.Service(database, clock), commands.Waking()
    url = config.public_url or local_url(config, port or config.port)
    downloads = gateway.Downloads(url, by_host=not config.public_url)
    rendering = gateway.Rendering(downloads.script)
    messages = gateway.Messages(database, clock, directory=directory, waking=waking, rendering=rendering)
    registration = gateway.Registration(
        database, clock, master, directory=directory, sessions=access.sessions, key_days=config.node_key_days
    )
    models = load_models(strict=strict)
    links, snapshots = aws.SnapshotLinks(url, master.links, clock), patching.Snapshots(database, clock)
    buckets = open_buckets(config.bucket_dir, _s3(config), clock)
    sent, blobs = commands.Service(database, clock), DirectoryBlobs(config.blob_dir)
    printed = outputs.Service(database, clock, config.quotas, blobs=blobs, sent=sent)
    known = inventory.Service(database, clock, config.quotas, online_seconds=config.online_seconds)
    channels = gateway.Channels(
        database,
        clock,
        master,
        messages=messages,
        rendering=rendering,
        waking=waking,
        active=access.tenants.active,
        served=config.control_channel,
        rate=_bounds(config).nodes,
    )
    said = aws.OutputLinks(url, master.links, clock, buckets=config.s3_endpoint or url)
    authorities = Authorities(database, clock.monotonic)
    warden = aws.Warden(database, clock, authorities)
    news = events.open_news(database, clock, master, config.quotas, networks=config.webhook_networks)
    served = _operations(
        config,
        database,
        clock,
        directory=directory,
        messages=messages,
        registration=registration,
        channels=channels,
        waking=waking,
        warden=warden,
        master=master,
        known=known,
        sent=sent,
        printed=printed,
        said=said,
        audit=audit,
        access=access,
        news=news,
        buckets=buckets,
        pager=Pager(master.paging, models),
        snapshots=snapshots,
        links=links,
        models=models,
    )
    if "gateway" in config.roles:
        served.update(gateway.program(downloads))
    keys = KnownKeys(_lookup(access, registration), clock.monotonic, sessions=_sessions(access))
    endpoint = Endpoint(
        warden.guarded(served),
        models=models,
        lookup=keys.find,
        sessions=keys.find_session,
        used=_noting(access),
        clock=clock,
        errors=aws.ERRORS,
        parked=gateway.PARKED | aws.PARKED,
        watch=aws.CallWatch(trail, reports=config.audit_node_reports),
        bounds=_bounds(config),
        replays=replays,
        limits=_LIMITS,
    )
    objects = aws.Objects(database, sent=sent, printed=printed, buckets=buckets)
    by_bucket = aws.Warden(database, clock, authorities, aws.BUCKET_RULES).guarded(objects.operations())
    application = Application(
        endpoint,
        downloads,
        aws.SnapshotDownloads(snapshots, links),
        database,
        channels=channels.door(endpoint.identify),
        printed=aws.OutputDownloads(printed, said),
        buckets=aws.BucketFront(endpoint, by_bucket, domain=config.service_domain, largest=config.quotas.output_bytes),
        stream=_stream(config, news, clock, endpoint=endpoint, warden=warden, waking=waking),
    )
    writer = reports.Writer(database, clock, buckets, known)
    tender = outputs.Tender(database, clock, service=printed, sent=sent, buckets=buckets, blobs=blobs)
    return House(
        application, database, clock, waking, channels.switchboard, root, writer, tender, trail, audit, access, news
    )


def _stream(
    config: Config,
    news: events.News,
    clock: Clock,
    *,
    endpoint: Endpoint,
    warden: aws.Warden,
    waking: commands.Waking,
) -> aws.EventStream:
    """Events as they come, for as long as this process serves."""
    return aws.EventStream(
        news.feed,
        clock,
        identify=endpoint.identify,
        warden=warden,
        most=config.quotas.event_streams,
        serving=lambda: waking.open,
    )


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
    shared = not config.database.startswith("sqlite:")  # then one process serves it
    return Trail(database, clock, key=master.audit, shared=shared), service


def _operations(
    config: Config,
    database: Database,
    clock: Clock,
    *,
    directory: nodes.Service,
    messages: gateway.Messages,
    registration: gateway.Registration,
    channels: gateway.Channels,
    waking: commands.Waking,
    warden: aws.Warden,
    master: MasterKey,
    known: inventory.Service,
    sent: commands.Service,
    printed: outputs.Service,
    said: aws.OutputLinks,
    audit: AuditService,
    access: Access,
    news: events.News,
    buckets: Buckets,
    pager: Pager,
    snapshots: patching.Snapshots,
    links: aws.SnapshotLinks,
    models: Models,
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
            commands=sent,
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
            outputs=printed,
            output_links=said,
            syncs=reports.Syncs(database, clock, config.quotas, buckets),
            patch_reports=reports.PatchReports(
                database, clock, compliance.Service(database, clock, config.quotas), buckets
            ),
            audit=audit,
            subscriptions=news.subscriptions,
            access=access,
            online_seconds=config.online_seconds,
        )
        served.update(aws.operations(services))
    if "gateway" in config.roles:
        operations = patching.Operations(database, clock, finished=compliance.refresh)
        daily = config.quotas.node_bytes_per_day
        exchange = gateway.Exchange(
            database, operations, monotonic=clock.monotonic, daily_bytes=daily, baselines=aws.BaselineFiles(models).read
        )
        daily = config.quotas.output_bytes_per_day
        streams = gateway.Outputs(printed, monotonic=clock.monotonic, daily_bytes=daily)
        served.update(gateway.operations(gateway.Edges(messages, exchange, streams, registration, channels)))
    return served


def _s3(config: Config) -> S3 | None:
    """The S3-compatible service that buckets are in, if they are in one."""
    if not config.s3_endpoint:
        return None
    return S3(config.s3_endpoint, config.s3_access_key_id, config.s3_secret_access_key)


def _lookup(access: Access, registration: gateway.Registration) -> Callable[[str], Awaitable[Credential | None]]:
    """Whose an access key or a node's is."""

    async def lookup(access_key_id: str) -> Credential | None:
        if access_key_id.startswith("mi-"):
            node = await registration.credential(access_key_id)
            return node if node is not None and await access.tenants.active(node.account) else None
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
        session = who.session
        until, region = (None, "") if session is None else (session.expires_at, session.region)
        credential = Credential(access_key_id, secret, who.account, who.arn, identity=who, expires_at=until)
        if who.kind != NODE_PRINCIPAL:
            return credential
        return dataclasses.replace(credential, kind="node", region=region, instance_id=who.id)

    return find


def _noting(access: Access) -> Callable[[Claim], None]:
    """Notes which access keys are used; nodes and sessions have none that anybody could ask about."""

    def note(claim: Claim) -> None:
        if claim.credential.kind == "user" and claim.credential.expires_at is None:
            access.keys.note(claim.credential.access_key_id, claim.service, claim.region)

    return note


def _bounds(config: Config) -> Bounds:
    """How often who may ask."""
    rates = (config.user_requests_per_second, config.node_requests_per_second, config.stranger_requests_per_second)
    users, known, strangers = (Rate(one, 10 * one) for one in rates)
    return Bounds(users, known, strangers, config.clock_skew_seconds, Proxies(config.trusted_proxies))


def jobs(config: Config, house: House) -> list[Job]:
    """What this process does beside answering, by its roles."""
    always = [
        Job("refusals", SEAL_SECONDS, house.trail.flush),
        Job("key uses", NOTE_SECONDS, house.access.keys.write_uses),
    ]
    if "gateway" in config.roles:
        always.append(Job("channels", gateway.LOOK_SECONDS, house.switchboard.look))
    if "worker" not in config.roles:
        return always
    database, clock, window = house.database, house.clock, config.clock_skew_seconds
    return [
        *always,
        Job("seal", SEAL_SECONDS, house.audit.seal),
        Job("events", events.STEP_SECONDS, house.news.courier.run),
        Job("event history", events.TIDY_SECONDS, lambda: events.tidy(database, clock)),
        Job("signatures", SIGNATURE_SECONDS, lambda: forget_signatures(database, clock, window=window)),
        Job("sweep", gateway.SWEEP_SECONDS, lambda: gateway.sweep(database, clock)),
        Job(
            "commands",
            commands.TEND_SECONDS,
            lambda: commands.tend(database, clock, house.waking.wake, aws.rights_of_task),
        ),
        Job("history", commands.FORGET_SECONDS, lambda: commands.forget(database, clock)),
        Job("parameters", parameters.SWEEP_SECONDS, lambda: parameters.delete_expired(database, clock)),
        Job("outputs", outputs.TEND_SECONDS, house.tender.tend),
        Job("old outputs", outputs.COLLECT_SECONDS, house.tender.collect),
        Job("syncs", reports.STEP_SECONDS, house.writer.run_due),
        Job(
            "windows",
            windows.TEND_SECONDS,
            lambda: windows.tend(database, clock, house.waking.wake, aws.rights_of_task),
        ),
    ]


def local_url(config: Config, port: int) -> str:
    """The URL under which the server can be reached: where it listens, by the machine's name if that is everywhere."""
    scheme = "http" if plain_http(config) else "https"
    host = socket.gethostname() if config.host in {"0.0.0.0", "::"} else config.host  # noqa: S104 - not bound here
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{port}"


def plain_http(config: Config) -> bool:
    """Whether the server speaks without TLS: on loopback, or where that was asked for (design D11)."""
    return config.tls_cert is None and (config.loopback or config.insecure_http)


def make_private(config: Config) -> None:
    """The data directory, for its owner only: it holds the master key."""
    config.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if config.data_dir.stat().st_uid == os.geteuid():
        config.data_dir.chmod(0o700)


async def _plain(send: Send, status: int, body: bytes, *, kind: str = "text/plain; charset=utf-8") -> None:
    headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
