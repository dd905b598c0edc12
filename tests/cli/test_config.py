# SPDX-License-Identifier: Apache-2.0
"""Where the server is and who asks: options, then variables, then files, then defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from patchwright.cli.config import SETTINGS, Config, find_credentials, load
from patchwright.cli.errors import BadSetting, NoCredentials

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAMADE", "AWS_SECRET_ACCESS_KEY": "hidden"}
PIN = "sha256:" + "0" * 64


def loaded(home: Path, options: dict[str, str] | None = None, **environment: str) -> Config:
    """The settings of a process that has keys in its environment."""
    return load(options or {}, {**KEYS, **environment}, home=home)


def write_keys(path: Path, key_id: str, *, profile: str = "default", region: str = "") -> None:
    """A credentials file with one profile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    more = f"region = {region}\n" if region else ""
    path.write_text(f"[{profile}]\naws_access_key_id = {key_id}\naws_secret_access_key = hidden\n{more}")


def test_the_default_is_the_server_of_this_machine(tmp_path):
    """Without any setting, the server is where `patchwright server` listens by default."""
    config = loaded(tmp_path)

    assert ("http://127.0.0.1:8473", "us-east-1") == (config.endpoint, config.region)


def test_an_option_wins_over_variables_and_the_nearest_variable_over_others(tmp_path):
    """--endpoint-url, PATCHWRIGHT_ENDPOINT_URL, AWS_ENDPOINT_URL_SSM, AWS_ENDPOINT_URL, in this order."""
    variables = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SSM", "PATCHWRIGHT_ENDPOINT_URL")
    environment: dict[str, str] = {}
    seen = []
    for name in variables:
        environment[name] = f"http://{name.lower().replace('_', '-')}:1"
        seen.append(loaded(tmp_path, **environment).endpoint)
    seen.append(loaded(tmp_path, {"endpoint_url": "https://option/"}, **environment).endpoint)

    assert [*environment.values(), "https://option"] == seen


@pytest.mark.parametrize(
    "url", ["ftp://x", "127.0.0.1:8473", "http://", "http://h:99999", "http://h/path", "http://u@h", "http://h?q=1"]
)
def test_an_endpoint_that_is_no_plain_url_is_a_usage_error(tmp_path, url):
    """Scheme, host and port, nothing else: a path or a user would silently be lost."""
    with pytest.raises(BadSetting, match="--endpoint-url takes a URL"):
        loaded(tmp_path, {"endpoint_url": url})


@pytest.mark.parametrize("pin", ["sha256:00", "0" * 64, "sha256:" + "A" * 64])
def test_a_pin_in_another_form_is_a_usage_error(tmp_path, pin):
    """A pin that could never match is refused before anything is sent."""
    with pytest.raises(BadSetting, match="--pin takes sha256"):
        loaded(tmp_path, {"endpoint_url": "https://h", "pin": pin})


def test_a_pin_needs_tls(tmp_path):
    """A pin on plain HTTP would promise what nobody checks."""
    with pytest.raises(BadSetting, match="need an https"):
        loaded(tmp_path, {"endpoint_url": "http://h", "pin": PIN})


def test_keys_in_the_environment_come_first(tmp_path):
    """AWS_ACCESS_KEY_ID and its secret, both, win over every file."""
    write_keys(tmp_path / ".aws" / "credentials", "AKIAFILE")

    assert "AKIAMADE" == find_credentials("", KEYS, home=tmp_path).key_id
    assert "AKIAFILE" == find_credentials("", {"AWS_ACCESS_KEY_ID": "AKIAMADE"}, home=tmp_path).key_id


def test_the_servers_own_file_comes_before_that_of_aws(tmp_path):
    """On the server's machine nothing has to be set: its data directory is looked at first, wherever it is."""
    write_keys(tmp_path / ".aws" / "credentials", "AKIAAWS")
    write_keys(tmp_path / ".local" / "state" / "patchwright" / "credentials", "AKIAHOME")
    write_keys(tmp_path / "xdg" / "patchwright" / "credentials", "AKIAXDG")
    write_keys(tmp_path / "data" / "credentials", "AKIADATA")
    environments: list[dict[str, str]] = [
        {},
        {"XDG_STATE_HOME": str(tmp_path / "xdg")},
        {"XDG_STATE_HOME": str(tmp_path / "xdg"), "PATCHWRIGHT_DATA_DIR": str(tmp_path / "data")},
        {"PATCHWRIGHT_DATA_DIR": str(tmp_path / "gone")},
    ]

    found = [find_credentials("", environment, home=tmp_path).key_id for environment in environments]

    assert ["AKIAHOME", "AKIAXDG", "AKIADATA", "AKIAAWS"] == found


def test_a_profile_is_taken_from_the_first_file_that_has_it(tmp_path):
    """AWS_PROFILE may name what only the later file knows; a file that is named is the only one."""
    write_keys(tmp_path / ".local" / "state" / "patchwright" / "credentials", "AKIAHOME")
    write_keys(tmp_path / ".aws" / "credentials", "AKIAWORK", profile="work", region="eu-west-1")
    named = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / ".aws" / "credentials")}

    found = find_credentials("work", {}, home=tmp_path)

    assert ("AKIAWORK", "eu-west-1") == (found.key_id, found.region)
    with pytest.raises(NoCredentials, match="has no profile default"):
        find_credentials("", named, home=tmp_path)


def test_the_region_of_the_file_counts_unless_another_is_said(tmp_path):
    """--region, AWS_REGION, AWS_DEFAULT_REGION, the file, us-east-1."""
    write_keys(tmp_path / ".aws" / "credentials", "AKIAFILE", region="eu-west-1")

    def region(options: dict[str, str], **environment: str) -> str:
        return load(options, environment, home=tmp_path).region

    assert "eu-west-1" == region({})
    assert "eu-west-2" == region({}, AWS_DEFAULT_REGION="eu-west-2")
    assert "eu-west-3" == region({}, AWS_DEFAULT_REGION="eu-west-2", AWS_REGION="eu-west-3")
    assert "eu-west-4" == region({"region": "eu-west-4"}, AWS_REGION="eu-west-3")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not an ini file", "is no credentials file"),
        ("[default]\naws_access_key_id = A\n", "has no key"),
        (b"\xff\xfe", "is no credentials file"),
    ],
)
def test_without_credentials_every_place_is_named(tmp_path, text, why):
    """The message says where it was looked, why nothing was found there, and what to set."""
    path = tmp_path / ".aws" / "credentials"
    path.parent.mkdir()
    path.write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(NoCredentials) as caught:
        find_credentials("", {}, home=tmp_path)

    assert f"{path} ({why}" in str(caught.value)
    assert "does not exist" in str(caught.value)
    assert "AWS_SHARED_CREDENTIALS_FILE" in str(caught.value)


def test_the_secret_does_not_show(tmp_path):
    """Neither settings nor credentials show the secret."""
    assert "hidden" not in repr(loaded(tmp_path))


def test_every_setting_has_a_help_text_and_a_variable():
    """Options, their help and their variables come from one table."""
    assert all(setting.help and setting.variables for setting in SETTINGS)
