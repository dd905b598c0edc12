# SPDX-License-Identifier: Apache-2.0
"""How the server is reached and who asks: one table of settings, and where credentials are looked for."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from patchwright.cli.errors import BadSetting, NoCredentials

DEFAULT_ENDPOINT = "http://127.0.0.1:8473"
DEFAULT_REGION = "us-east-1"
_PIN = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Setting:
    """One setting of every command that asks the server. *variables* are looked at in order, after the option."""

    name: str
    metavar: str
    variables: tuple[str, ...]
    help: str

    @property
    def flag(self) -> str:
        """The option that sets it."""
        return "--" + self.name.replace("_", "-")


SETTINGS = (
    Setting(
        "endpoint_url",
        "URL",
        ("PATCHWRIGHT_ENDPOINT_URL", "AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL"),
        f"Where the server is. Default: {DEFAULT_ENDPOINT}.",
    ),
    Setting(
        "region",
        "REGION",
        ("AWS_REGION", "AWS_DEFAULT_REGION"),
        f"Which region's resources. Default: what the credentials file says, else {DEFAULT_REGION}.",
    ),
    Setting("profile", "NAME", ("AWS_PROFILE",), "Which profile of the credentials file. Default: default."),
    Setting(
        "ca_file",
        "FILE",
        ("PATCHWRIGHT_CA_FILE", "AWS_CA_BUNDLE"),
        "PEM file of the authority that signed the server's certificate.",
    ),
    Setting(
        "pin", "sha256:HEX", ("PATCHWRIGHT_PIN",), "Trust the certificate with this hash alone; the server prints it."
    ),
)


@dataclass(frozen=True)
class Credentials:
    """An access key, with the *token* of a session if it is one's, and where it comes from. No secret shows in the repr."""

    key_id: str
    secret: str = field(repr=False)
    source: str
    region: str = ""
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Config:
    """The settings in force. *endpoint* is scheme, host and port alone; *ca_file* and *pin* are empty where not given."""

    endpoint: str
    region: str
    credentials: Credentials
    ca_file: str
    pin: str


def load(options: Mapping[str, str | None], environment: Mapping[str, str], *, home: Path) -> Config:
    """
    The settings from the command line, else the environment, else the defaults.

    Args:
        options: What the command line gave, by setting name.
        environment: The process's environment.
        home: The user's home directory.

    Raises:
        BadSetting: A value that cannot be used.
        NoCredentials: There is nothing to sign with.
    """
    given = {setting.name: options.get(setting.name) or _first(setting.variables, environment) for setting in SETTINGS}
    endpoint = _endpoint(given["endpoint_url"] or DEFAULT_ENDPOINT)
    if given["pin"] and not _PIN.fullmatch(given["pin"]):
        msg = "--pin takes sha256: and 64 hexadecimal digits in lower case, as the server printed them"
        raise BadSetting(msg)
    if endpoint.startswith("http:") and (options.get("pin") or options.get("ca_file")):
        msg = f"--pin and --ca-file need an https:// endpoint, and {endpoint} is none"
        raise BadSetting(msg)
    credentials = find_credentials(given["profile"], environment, home=home)
    region = given["region"] or credentials.region or DEFAULT_REGION
    return Config(endpoint, region, credentials, given["ca_file"], given["pin"])


def find_credentials(profile: str, environment: Mapping[str, str], *, home: Path) -> Credentials:
    """
    The access key to sign with: from AWS_ACCESS_KEY_ID, else from the first credentials file that has the profile.

    The files: AWS_SHARED_CREDENTIALS_FILE alone where it is set, else the one in the server's data directory on this
    machine, then `~/.aws/credentials`. Raises NoCredentials.
    """
    key_id, secret = environment.get("AWS_ACCESS_KEY_ID", ""), environment.get("AWS_SECRET_ACCESS_KEY", "")
    if key_id and secret:
        source = "the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        return Credentials(key_id, secret, source, token=environment.get("AWS_SESSION_TOKEN", ""))
    wanted, looked = profile or "default", []
    for path in _files(environment, home):
        found = _read(path, wanted)
        if isinstance(found, Credentials):
            return found
        looked.append(f"{path} ({found})")
    msg = (
        f"no credentials to sign with: {'; '.join(looked)}. Set AWS_SHARED_CREDENTIALS_FILE to the file `credentials`"
        " in the server's data directory, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )
    raise NoCredentials(msg)


def _files(environment: Mapping[str, str], home: Path) -> Iterator[Path]:
    named = environment.get("AWS_SHARED_CREDENTIALS_FILE", "")
    if named:
        yield Path(named).expanduser()
        return
    state = environment.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else home / ".local" / "state"
    yield Path(environment.get("PATCHWRIGHT_DATA_DIR") or base / "patchwright") / "credentials"
    yield home / ".aws" / "credentials"


def _read(path: Path, profile: str) -> Credentials | str:
    """The credentials of *profile* in *path*, or why there are none."""
    parser = configparser.RawConfigParser(default_section="")
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return error.strerror or str(error)
    except (configparser.Error, UnicodeDecodeError):
        return "is no credentials file"
    if not parser.has_section(profile):
        return f"has no profile {profile}"
    section = parser[profile]
    key_id, secret = section.get("aws_access_key_id", ""), section.get("aws_secret_access_key", "")
    if not (key_id and secret):
        return f"has no key in the profile {profile}"
    token = section.get("aws_session_token", "")
    return Credentials(key_id, secret, f"{path}, profile {profile}", section.get("region", ""), token)


def _endpoint(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username is not None:
        msg = f"--endpoint-url takes a URL such as {DEFAULT_ENDPOINT} or https://patch.example:8473, not {text!r}"
        raise BadSetting(msg)
    return f"{parts.scheme}://{parts.netloc}"


def _first(variables: tuple[str, ...], environment: Mapping[str, str]) -> str:
    return next((environment[name] for name in variables if environment.get(name)), "")
