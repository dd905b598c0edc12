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
    RETENTION_SECONDS,
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
    Retention,
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
    Blobs,
    Bucket,
    BucketBlobs,
    BucketOwners,
    Buckets,
    Clock,
    Database,
    DirectoryBlobs,
    InfraError,
    Job,
    OwnedBuckets,
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


@dataclass(frozen=True)
class Rooms:
    """What the rooms offer, wired: of each service there is one, whoever uses it."""

    config: Config
    database: Database
    clock: Clock
    master: MasterKey
    url: str
    models: Models
    trail: Trail
    audit: AuditService
    access: Access
    authorities: Authorities
    warden: aws.Warden
    waking: commands.Waking
    directory: nodes.Service
    known: inventory.Service
    snapshots: patching.Snapshots
    buckets: Buckets
    owners: BucketOwners
    blobs: Blobs
    sent: commands.Service
    printed: outputs.Service
    news: events.News
    snapshot_links: aws.SnapshotLinks
    output_links: aws.OutputLinks
    feeds: windows.Feeds


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
        calendar: aws.CalendarDownloads,
        buckets: aws.BucketFront,
        stream: aws.EventStream,
    ) -> None:
        self._endpoint = endpoint
        self._channels = channels
        self._stream = stream
        self._buckets = buckets
        self._downloads = (downloads, snapshots, printed, calendar)
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
    rooms = await _rooms(config, clock or SystemClock(), port=port, strict=strict)
    root = await _root(config, rooms.access)
    downloads = gateway.Downloads(rooms.url, by_host=not config.public_url)
    edges = _edges(rooms, downloads)
    served = _operations(rooms, edges)
    keys = KnownKeys(_lookup(rooms.access, edges.registration), rooms.clock.monotonic, sessions=_sessions(rooms.access))
    endpoint = Endpoint(
        rooms.warden.guarded(served),
        models=rooms.models,
        lookup=keys.find,
        sessions=keys.find_session,
        used=_noting(rooms.access),
        clock=rooms.clock,
        errors=aws.ERRORS,
        parked=gateway.PARKED | aws.PARKED,
        watch=aws.CallWatch(rooms.trail, reports=config.audit_node_reports),
        bounds=_bounds(config),
        replays=replays,
        limits=_LIMITS,
    )
    database, buckets, printed = rooms.database, rooms.buckets, rooms.printed
    return House(
        _application(rooms, endpoint, downloads, edges),
        database,
        rooms.clock,
        rooms.waking,
        edges.channels.switchboard,
        root,
        reports.Writer(database, rooms.clock, buckets, rooms.known),
        outputs.Tender(database, rooms.clock, service=printed, sent=rooms.sent, buckets=buckets, blobs=rooms.blobs),
        rooms.trail,
        rooms.audit,
        rooms.access,
        rooms.news,
    )


async def _rooms(config: Config, clock: Clock, *, port: int, strict: bool) -> Rooms:
    """The rooms over the database that the settings name."""
    master = MasterKey.load(config.data_dir / "master.key")
    opened = await open_database(config.database, data_dir=config.data_dir, clock=clock)
    trail, audit = _audit(config, opened, clock, master)
    database = Audited(opened)
    url = config.public_url or local_url(config, port or config.port)
    authorities = Authorities(database, clock.monotonic)
    sent = commands.Service(database, clock, most_waiting=config.quotas.pending_invocations)
    waking = commands.Waking()
    opened_buckets = open_buckets(config.bucket_dir, _s3(config), clock)
    owners = _owners(config)
    blobs = _blobs(config, opened_buckets)
    return Rooms(
        config=config,
        database=database,
        clock=clock,
        master=master,
        url=url,
        models=load_models(strict=strict),
        trail=trail,
        audit=audit,
        access=open_access(database, clock, master, config.quotas, first=config.account_id, holder=nodes.holder),
        authorities=authorities,
        warden=aws.Warden(database, clock, authorities),
        waking=waking,
        directory=nodes.Service(database, clock),
        known=inventory.Service(database, clock, config.quotas, online_seconds=config.online_seconds),
        snapshots=patching.Snapshots(database, clock),
        buckets=OwnedBuckets(opened_buckets, owners),
        owners=owners,
        blobs=blobs,
        sent=sent,
        printed=outputs.Service(database, clock, config.quotas, blobs=blobs, sent=sent, serving=lambda: waking.open),
        news=events.open_news(database, clock, master, config.quotas, networks=config.webhook_networks),
        snapshot_links=aws.SnapshotLinks(url, master.links, clock),
        output_links=aws.OutputLinks(url, master.links, clock, buckets=config.s3_endpoint or url),
        feeds=windows.Feeds(database, clock, config.quotas),
    )


def _application(rooms: Rooms, endpoint: Endpoint, downloads: gateway.Downloads, edges: gateway.Edges) -> Application:
    """What answers: the API and everything beside it."""
    config, clock = rooms.config, rooms.clock
    sent, printed, charge = rooms.sent, rooms.printed, edges.outputs.charge
    objects = aws.Objects(rooms.database, clock, sent=sent, printed=printed, buckets=rooms.buckets, charge=charge)
    uploads = aws.Uploads(objects.own, printed=printed, blobs=rooms.blobs, key=rooms.master.links, charge=charge)
    by_bucket = aws.Warden(rooms.database, clock, rooms.authorities, aws.BUCKET_RULES).guarded(
        aws.owned(rooms.owners, {**objects.operations(), **uploads.operations()})
    )
    stream = aws.EventStream(
        rooms.news.feed,
        clock,
        identify=endpoint.identify,
        warden=rooms.warden,
        most=config.quotas.event_streams if "api" in config.roles else 0,
        serving=lambda: rooms.waking.open,  # for as long as this process serves
    )
    return Application(
        endpoint,
        downloads,
        aws.SnapshotDownloads(rooms.snapshots, rooms.snapshot_links),
        rooms.database,
        channels=edges.channels.door(endpoint.identify),
        printed=aws.OutputDownloads(rooms.printed, rooms.output_links),
        calendar=aws.CalendarDownloads(rooms.feeds, rooms.warden, _bounds(config), clock.monotonic),
        buckets=aws.BucketFront(endpoint, by_bucket, domain=config.service_domain, largest=config.quotas.output_bytes),
        stream=stream,
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


def _operations(rooms: Rooms, edges: gateway.Edges) -> dict[str, Handler]:
    """What this process serves, by its roles."""
    served: dict[str, Handler] = {}
    if "api" in rooms.config.roles:
        served.update(aws.operations(_services(rooms)))
        given = served["AmazonSSM.GetDocument"]
        served["AmazonSSM.GetDocument"] = gateway.InnerDocuments(rooms.database, edges.downloads.script, given)
    if "gateway" in rooms.config.roles:
        served.update(gateway.operations(edges))
    return served


def _services(rooms: Rooms) -> aws.Services:
    """What the edge of AWS's API translates to."""
    config, database, clock, quotas = rooms.config, rooms.database, rooms.clock, rooms.config.quotas
    complying = compliance.Service(database, clock, quotas)
    return aws.Services(
        database=database,
        clock=clock,
        pager=Pager(rooms.master.paging, rooms.models),
        waking=rooms.waking,
        warden=rooms.warden,
        owners=rooms.owners,
        directory=rooms.directory,
        documents=documents.Service(database, clock, quotas),
        commands=rooms.sent,
        compliance=complying,
        inventory=rooms.known,
        quotas=quotas,
        parameters=parameters.Service(database, clock, quotas, rooms.master),
        baselines=patching.Baselines(database, clock, quotas),
        catalogue=patching.Catalogue(database, clock),
        groups=patching.Groups(database),
        snapshots=rooms.snapshots,
        snapshot_links=rooms.snapshot_links,
        verdicts=patching.Verdicts(database, clock, stale_after=config.stale_after_seconds),
        settings=settings.Service(database, clock),
        maintenance=windows.Service(database, clock, quotas),
        executions=windows.Executions(database, clock, most_open=quotas.open_windows),
        forecasts=windows.Forecasts(database, clock),
        feeds=rooms.feeds,
        url=rooms.url,
        outputs=rooms.printed,
        output_links=rooms.output_links,
        syncs=reports.Syncs(database, clock, quotas, rooms.buckets),
        patch_reports=reports.PatchReports(database, clock, complying, rooms.buckets),
        audit=rooms.audit,
        subscriptions=rooms.news.subscriptions,
        access=rooms.access,
        online_seconds=config.online_seconds,
    )


def _edges(rooms: Rooms, downloads: gateway.Downloads) -> gateway.Edges:
    """What agents talk to."""
    rendering = gateway.Rendering(downloads.script)
    config, database, clock = rooms.config, rooms.database, rooms.clock
    directory, waking, active = rooms.directory, rooms.waking, rooms.access.tenants.active
    messages = gateway.Messages(database, clock, directory=directory, waking=waking, rendering=rendering)
    operations = patching.Operations(database, clock, finished=compliance.refresh)
    return gateway.Edges(
        messages,
        gateway.Exchange(
            database,
            operations,
            monotonic=clock.monotonic,
            daily_bytes=config.quotas.node_bytes_per_day,
            baselines=aws.BaselineFiles(rooms.models).read,
        ),
        gateway.Outputs(rooms.printed, monotonic=clock.monotonic, daily_bytes=config.quotas.output_bytes_per_day),
        gateway.Registration(
            database,
            clock,
            rooms.master,
            directory=directory,
            sessions=rooms.access.sessions,
            key_days=config.node_key_days,
        ),
        gateway.Channels(
            database,
            clock,
            rooms.master,
            messages=messages,
            rendering=rendering,
            waking=waking,
            active=active,
            served=config.control_channel,
            rate=_bounds(config).nodes,
        ),
        downloads,
    )


def _owners(config: Config) -> BucketOwners:
    """For whom buckets are."""
    return BucketOwners(config.buckets, first=config.account_id, reserved=config.blob_bucket)


def _blobs(config: Config, buckets: Buckets) -> Blobs:
    """Where output is kept."""
    if not config.blob_bucket:
        return DirectoryBlobs(config.blob_dir)
    return BucketBlobs(buckets, Bucket(config.blob_bucket, config.region))


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
        Job("audit history", RETENTION_SECONDS, _retention(config, house).tend),
        Job("events", events.STEP_SECONDS, house.news.courier.step),
        Job("event history", events.TIDY_SECONDS, lambda: events.tidy(database, clock)),
        Job("signatures", SIGNATURE_SECONDS, lambda: forget_signatures(database, clock, window=window)),
        Job("sweep", gateway.SWEEP_SECONDS, lambda: gateway.sweep(database, clock)),
        Job(
            "commands",
            commands.TEND_SECONDS,
            lambda: commands.tend(database, clock, house.waking.wake, aws.rights_of_task, needs=windows.needs),
        ),
        Job("history", commands.FORGET_SECONDS, lambda: commands.forget(database, clock)),
        Job("parameters", parameters.SWEEP_SECONDS, lambda: parameters.delete_expired(database, clock)),
        Job("outputs", outputs.TEND_SECONDS, house.tender.tend),
        Job("old outputs", outputs.COLLECT_SECONDS, house.tender.collect),
        Job("schedules", windows.RECOUNT_SECONDS, lambda: windows.recount(database, clock)),
        Job("syncs", reports.STEP_SECONDS, house.writer.run_due),
        Job(
            "windows",
            windows.TEND_SECONDS,
            lambda: windows.tend(
                database,
                clock,
                house.waking.wake,
                aws.rights_of_windows(_owners(config)),
                most_open=config.quotas.open_windows,
            ),
        ),
    ]


def _retention(config: Config, house: House) -> Retention:
    """What keeps the audit trail as long as it is to be kept."""
    return Retention(house.database, house.clock, trail=house.trail, service=house.audit, days=config.audit_days)


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
