# SPDX-License-Identifier: Apache-2.0
"""One table of settings: defaults, environment, command line and documentation come from it."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from patchwright.core.errors import PatchwrightError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
ROLES = ("api", "gateway", "worker")
_LARGEST_QUOTA = 10**9
_ACCOUNT = re.compile(r"[0-9]{12}\Z")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_REGION = re.compile(r"[a-z0-9-]{1,32}\Z")  # what a signature may be scoped to
_KEY_ID = re.compile(r"(?!mi-)[A-Za-z0-9_-]{0,128}\Z")
_S3_KEY_ID = re.compile(r"[\x21-\x7e]{0,128}\Z")
_PUBLIC_URL = re.compile(r"(https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?)?\Z")


class ConfigError(PatchwrightError):
    """A setting that cannot be used, and what to set instead."""


@dataclass(frozen=True)
class Setting:
    """
    One setting.

    *flag* is its option of `patchwright server`, empty where it has none (secrets never stand on a command line);
    *variable* its environment variable.
    """

    name: str
    default: str
    help: str
    flag: str = ""

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "PATCHWRIGHT_" + self.name.upper()


SETTINGS = (
    Setting(
        "data_dir", "", "Where database, keys and credentials are kept; default: the XDG state home.", "--data-dir"
    ),
    Setting("listen", "127.0.0.1:8473", "Address and port; off loopback TLS is needed.", "--listen"),
    Setting("public_url", "", "The URL under which clients and agents reach the server.", "--public-url"),
    Setting("tls_cert", "", "PEM file of the server's certificate chain.", "--tls-cert"),
    Setting("tls_key", "", "PEM file of the certificate's private key.", "--tls-key"),
    Setting("database", "sqlite:///patchwright.db", "sqlite:///FILE or postgresql://…", "--database"),
    Setting("roles", ",".join(ROLES), "Which roles this process takes: api, gateway, worker.", "--roles"),
    Setting("insecure_http", "", "1: serve plain HTTP off loopback (test networks only).", "--insecure-http"),
    Setting("region", "us-east-1", "The region of the root credentials file."),
    Setting("account_id", "000000000001", "The account id, 12 digits."),
    Setting("root_access_key_id", "", "Sets the root access key instead of making one."),
    Setting("root_secret_access_key", "", "The secret that belongs to root_access_key_id."),
    Setting("stale_after_hours", "48", "From which age on a node's facts cannot tell that it is compliant."),
    Setting("bucket_dir", "", "Where buckets are directories; default: buckets in the data directory."),
    Setting(
        "buckets",
        "",
        "NAME=ACCOUNT, several separated by commas: for whom a bucket is; ACCOUNT+ACCOUNT for some, * for all. Others are"
        " the account's whose id their name ends with, or the first account's.",
    ),
    Setting("blob_dir", "", "Where output is kept; default: blobs in the data directory. Processes share one."),
    Setting("blob_bucket", "", "A bucket where output is kept instead, for processes on several machines."),
    Setting("s3_endpoint", "", "The URL of an S3-compatible service to write buckets to instead."),
    Setting("s3_access_key_id", "", "The access key for it."),
    Setting("s3_secret_access_key", "", "The secret that belongs to s3_access_key_id."),
    Setting("service_domain", "", "Buckets are found as BUCKET.s3.REGION.DOMAIN too, beside their paths."),
    Setting("online_minutes", "11", "A node that was not heard of for longer shows ConnectionLost."),
    Setting("node_key_days", "0", "After how many days amazon-ssm-agent is asked to make a new key; 0: never."),
    Setting("audit_node_reports", "", "1: the audit trail has every report of every node as well."),
    Setting("audit_days", "0", "For how many days the audit trail is kept; 0: for ever."),
    Setting("clock_skew_minutes", "15", "How far a signature's time may be from the server's, to either side."),
    Setting("user_requests_per_second", "1000", "Requests with one access key; ten times as many at once."),
    Setting("node_requests_per_second", "50", "Requests of one node; ten times as many at once."),
    Setting("stranger_requests_per_second", "500", "Unproved requests from one address; ten times as many at once."),
    Setting("connections", "0", "Connections at a time, half of them from one address; 0: as open files allow."),
    Setting("control_channel", "on", "off: nodes poll for messages and hold no WebSocket open.", "--control-channel"),
    Setting("trusted_proxies", "", "Networks of proxies whose X-Forwarded-For is believed, separated by commas."),
    Setting("webhook_networks", "", "Networks that webhooks may reach although they are not public, also over http."),
)


def quota(default: int, what: str) -> int:
    """A field of Quotas: at most *default* of *what*, unless the environment says otherwise."""
    made: int = field(default=default, metadata={"help": what})
    return made


@dataclass(frozen=True)
class Quotas:
    """
    How much there may be of something (spec §1.20): AWS's figures where they protect, wider ones where they only sell.

    Each is set by its environment variable, `PATCHWRIGHT_QUOTA_` and its name in capitals.
    """

    calendar_feeds: int = quota(100, "Calendar feeds of an account and region.")
    compliance_bytes: int = quota(2_097_152, "Bytes of the items of one PutComplianceItems, as JSON.")
    compliance_custom_types: int = quota(10, "Custom compliance types of an account and region.")
    compliance_item_bytes: int = quota(32_768, "Bytes of one compliance item, as JSON.")
    document_shares: int = quota(1_000, "Accounts that one document is shared with.")
    document_versions: int = quota(1_000, "Versions of one document.")
    documents: int = quota(10_000, "Documents of an account and region.")
    event_streams: int = quota(50, "Event streams of an account that one process holds open.")
    event_subscriptions: int = quota(300, "Subscriptions to events of an account and region.")
    inventory_custom_types: int = quota(20, "Custom inventory types of an account and region.")
    inventory_item_bytes: int = quota(1_048_576, "Bytes of one inventory item, as JSON.")
    inventory_node_bytes: int = quota(5_242_880, "Bytes of all inventory items of one node, as JSON.")
    inventory_put_bytes: int = quota(1_048_576, "Bytes of the items of one PutInventory, as JSON.")
    node_bytes_per_day: int = quota(268_435_456, "Bytes of facts kept for one node in a day, by each process.")
    output_bytes: int = quota(67_108_864, "Bytes kept of what one step prints to one stream.")
    output_bytes_per_day: int = quota(1_000_000_000, "Bytes of output kept for one node in a day, by each process.")
    parameters_advanced: int = quota(100_000, "Parameters of the advanced tier of an account and region.")
    parameters_standard: int = quota(100_000, "Parameters of the standard tier of an account and region.")
    maintenance_windows: int = quota(1_000, "Maintenance windows of an account and region.")
    open_windows: int = quota(100, "Maintenance windows of an account and region that are open at once; others wait.")
    patch_baselines: int = quota(10_000, "Patch baselines of an account and region.")
    patch_groups_per_baseline: int = quota(25, "Patch groups that one baseline is registered for.")
    pending_invocations: int = quota(
        0, "Invocations that wait in an account and region when a command is sent; 0: any number."
    )
    policies_per_resource: int = quota(20, "Resource policies of one parameter or document.")
    resource_data_syncs: int = quota(5, "Resource data syncs of an account and region.")
    public_documents: int = quota(5, "Documents of an account and region that are shared with everybody.")
    policies: int = quota(1_500, "Managed policies of an account, made by it.")
    roles: int = quota(1_000, "Roles of an account.")
    targets_per_window: int = quota(100, "Targets registered with one maintenance window.")
    tasks_per_window: int = quota(20, "Tasks registered with one maintenance window.")
    user_groups: int = quota(300, "Groups of users of an account.")
    users: int = quota(5_000, "Users of an account.")


@dataclass(frozen=True)
class Config:
    """The settings in force. Secrets do not show in its repr."""

    data_dir: Path
    host: str
    port: int
    public_url: str
    tls_cert: Path | None
    tls_key: Path | None
    database: str
    roles: frozenset[str]
    insecure_http: bool
    region: str
    account_id: str
    root_access_key_id: str
    root_secret_access_key: str
    bucket_dir: Path
    buckets: Mapping[str, frozenset[str]]
    blob_dir: Path
    blob_bucket: str
    s3_endpoint: str
    s3_access_key_id: str
    s3_secret_access_key: str
    service_domain: str
    stale_after_seconds: float
    online_seconds: float
    node_key_days: int
    audit_node_reports: bool
    audit_days: int
    clock_skew_seconds: float
    user_requests_per_second: float
    node_requests_per_second: float
    stranger_requests_per_second: float
    connections: int
    control_channel: bool
    trusted_proxies: tuple[Network, ...]
    webhook_networks: tuple[Network, ...]
    quotas: Quotas

    def __repr__(self) -> str:
        hidden = {"root_secret_access_key", "s3_secret_access_key", "database"}  # a database URL may hold a password
        shown = (f"{item.name}={getattr(self, item.name)!r}" for item in fields(self) if item.name not in hidden)
        return f"Config({', '.join(shown)})"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def load(options: Mapping[str, str], environment: Mapping[str, str] = os.environ) -> Config:
    """
    The settings from the command line, else the environment, else the defaults.

    Args:
        options: What the command line gave, by setting name; an empty text counts as not given.
        environment: The process's environment.

    Raises:
        ConfigError: A value that cannot be used, or settings that contradict each other.
    """
    given = {
        setting.name: options.get(setting.name) or environment.get(setting.variable) or setting.default
        for setting in SETTINGS
    }
    host, port = _address(given["listen"])
    data_dir = Path(given["data_dir"]).absolute() if given["data_dir"] else _state_home(environment) / "patchwright"
    config = Config(
        data_dir=data_dir,
        host=host,
        port=port,
        public_url=given["public_url"].rstrip("/"),
        tls_cert=Path(given["tls_cert"]) if given["tls_cert"] else None,
        tls_key=Path(given["tls_key"]) if given["tls_key"] else None,
        database=given["database"],
        roles=_roles(given["roles"]),
        insecure_http=given["insecure_http"] not in {"", "0"},
        region=given["region"],
        account_id=given["account_id"],
        root_access_key_id=given["root_access_key_id"],
        root_secret_access_key=given["root_secret_access_key"],
        bucket_dir=Path(given["bucket_dir"]).absolute() if given["bucket_dir"] else data_dir / "buckets",
        buckets=_bucket_accounts(given["buckets"]),
        blob_dir=Path(given["blob_dir"]).absolute() if given["blob_dir"] else data_dir / "blobs",
        blob_bucket=given["blob_bucket"],
        s3_endpoint=given["s3_endpoint"].rstrip("/"),
        s3_access_key_id=given["s3_access_key_id"],
        s3_secret_access_key=given["s3_secret_access_key"],
        service_domain=given["service_domain"].strip("."),
        stale_after_seconds=_number("stale_after_hours", given) * 3600,
        online_seconds=_number("online_minutes", given) * 60,
        node_key_days=_count("node_key_days", given),
        audit_node_reports=given["audit_node_reports"] not in {"", "0"},
        audit_days=_count("audit_days", given),
        clock_skew_seconds=_number("clock_skew_minutes", given) * 60,
        user_requests_per_second=_number("user_requests_per_second", given),
        node_requests_per_second=_number("node_requests_per_second", given),
        stranger_requests_per_second=_number("stranger_requests_per_second", given),
        connections=_count("connections", given),
        control_channel=_switch("control_channel", given),
        trusted_proxies=_networks("trusted_proxies", given),
        webhook_networks=_networks("webhook_networks", given),
        quotas=_quotas(environment),
    )
    _check(config)
    return config


def _check(config: Config) -> None:
    if (config.tls_cert is None) != (config.tls_key is None):
        msg = "--tls-cert and --tls-key go together"
        raise ConfigError(msg)
    if not config.database.startswith(("sqlite:", "postgresql:", "postgres:")):
        msg = "--database takes sqlite:///FILE or postgresql://…"
        raise ConfigError(msg)
    if config.database.startswith("sqlite:") and config.roles != frozenset(ROLES):
        msg = "on SQLite one process takes all roles; to split them, use --database postgresql://…"
        raise ConfigError(msg)
    if bool(config.root_access_key_id) != bool(config.root_secret_access_key):
        msg = "PATCHWRIGHT_ROOT_ACCESS_KEY_ID and PATCHWRIGHT_ROOT_SECRET_ACCESS_KEY go together"
        raise ConfigError(msg)
    if len({bool(config.s3_endpoint), bool(config.s3_access_key_id), bool(config.s3_secret_access_key)}) > 1:
        msg = "PATCHWRIGHT_S3_ENDPOINT, PATCHWRIGHT_S3_ACCESS_KEY_ID and PATCHWRIGHT_S3_SECRET_ACCESS_KEY go together"
        raise ConfigError(msg)
    for setting, value, form, wanted in (
        ("PATCHWRIGHT_ACCOUNT_ID", config.account_id, _ACCOUNT, "12 digits"),
        ("PATCHWRIGHT_REGION", config.region, _REGION, "a region's name such as us-east-1"),
        ("PATCHWRIGHT_ROOT_ACCESS_KEY_ID", config.root_access_key_id, _KEY_ID, "letters and digits, and no node's id"),
        ("--public-url", config.public_url, _PUBLIC_URL, "https://HOST or https://HOST:PORT"),
        ("PATCHWRIGHT_S3_ENDPOINT", config.s3_endpoint, _PUBLIC_URL, "https://HOST or https://HOST:PORT"),
        ("PATCHWRIGHT_S3_ACCESS_KEY_ID", config.s3_access_key_id, _S3_KEY_ID, "an access key's id"),
    ):
        if not form.match(value):
            msg = f"{setting} takes {wanted}, not {value!r}"
            raise ConfigError(msg)
    if not config.root_secret_access_key.isprintable():
        msg = "PATCHWRIGHT_ROOT_SECRET_ACCESS_KEY takes one line of printable characters"
        raise ConfigError(msg)


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        msg = f"--listen takes HOST:PORT, not {text!r}"
        raise ConfigError(msg)
    return host, int(port)


def _roles(text: str) -> frozenset[str]:
    roles = frozenset(part.strip() for part in text.split(",") if part.strip())
    unknown = sorted(roles - set(ROLES))
    if unknown or not roles:
        msg = f"--roles takes {', '.join(ROLES)}; {', '.join(unknown) or 'nothing'} is none of them"
        raise ConfigError(msg)
    return roles


def _number(name: str, given: Mapping[str, str]) -> float:
    try:
        value = float(given[name])
    except ValueError:
        value = -1.0
    if not 0 < value < 1e6:
        msg = f"PATCHWRIGHT_{name.upper()} takes a number above 0, not {given[name]!r}"
        raise ConfigError(msg)
    return value


def _count(name: str, given: Mapping[str, str]) -> int:
    text = given[name]
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        msg = f"PATCHWRIGHT_{name.upper()} takes a whole number, not {text!r}"
        raise ConfigError(msg)
    return int(text)


def _switch(name: str, given: Mapping[str, str]) -> bool:
    if given[name] not in {"on", "off"}:
        msg = f"PATCHWRIGHT_{name.upper()} is {given[name]!r}; it is on or off"
        raise ConfigError(msg)
    return given[name] == "on"


def _bucket_accounts(text: str) -> Mapping[str, frozenset[str]]:
    """The accounts of each bucket that is named; `*` stands for all of them."""
    found: dict[str, frozenset[str]] = {}
    for part in filter(None, (one.strip() for one in text.split(","))):
        name, _, accounts = part.partition("=")
        whose = frozenset(accounts.split("+"))
        if not _BUCKET.match(name) or name in found or not all(one == "*" or _ACCOUNT.match(one) for one in whose):
            msg = (
                f"PATCHWRIGHT_BUCKETS takes NAME=ACCOUNT, NAME=ACCOUNT+ACCOUNT or NAME=*, each name once, not {part!r}"
            )
            raise ConfigError(msg)
        found[name] = whose
    return found


def _networks(name: str, given: Mapping[str, str]) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in given[name].split(",") if part.strip())
    except ValueError as error:
        msg = f"PATCHWRIGHT_{name.upper()} takes addresses and networks such as 192.0.2.0/24: {error}"
        raise ConfigError(msg) from None


def _quotas(environment: Mapping[str, str]) -> Quotas:
    given = {}
    for one in fields(Quotas):
        variable = f"PATCHWRIGHT_QUOTA_{one.name.upper()}"
        text = environment.get(variable, "")
        if text and not (text.isascii() and text.isdigit() and int(text) <= _LARGEST_QUOTA):
            msg = f"{variable} takes a whole number from 0 to {_LARGEST_QUOTA}, not {text!r}"
            raise ConfigError(msg)
        if text:
            given[one.name] = int(text)
    return Quotas(**given)


def _state_home(environment: Mapping[str, str]) -> Path:
    home = environment.get("XDG_STATE_HOME", "")
    return Path(home) if home.startswith("/") else Path.home() / ".local" / "state"
