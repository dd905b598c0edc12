# SPDX-License-Identifier: Apache-2.0
"""Settings: from the command line, else the environment, else the defaults; what cannot be used is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from patchwright.server.config import SETTINGS, ConfigError, load

HOME = {"XDG_STATE_HOME": "/state"}


def test_the_defaults_need_nothing():
    """Loopback, SQLite in the XDG state home, all roles, account 1, us-east-1 (design §5)."""
    config = load({}, HOME)

    assert config.data_dir == Path("/state/patchwright")
    assert (config.host, config.port) == ("127.0.0.1", 8473)
    assert config.database == "sqlite:///patchwright.db"
    assert config.roles == {"api", "gateway", "worker"}
    assert (config.account_id, config.region) == ("000000000001", "us-east-1")
    assert config.loopback
    assert not config.insecure_http


def test_a_relative_or_missing_xdg_home_falls_back_to_the_users_own():
    """As the XDG specification says."""
    for environment in ({}, {"XDG_STATE_HOME": "relative"}, {"XDG_STATE_HOME": ""}):
        assert load({}, environment).data_dir == Path.home() / ".local/state/patchwright"


def test_the_command_line_wins_over_the_environment():
    """And an empty text counts as not given, on either."""
    environment = {**HOME, "PATCHWRIGHT_LISTEN": "127.0.0.1:1", "PATCHWRIGHT_REGION": "eu-west-1"}

    assert load({"listen": "127.0.0.1:2"}, environment).port == 2
    assert load({"listen": ""}, environment).port == 1
    assert load({}, {**environment, "PATCHWRIGHT_LISTEN": ""}).port == 8473
    assert load({}, environment).region == "eu-west-1"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_setting_has_a_variable_and_secrets_have_no_flag(setting):
    """What stands on a command line, everyone on the machine can read."""
    assert setting.variable == "PATCHWRIGHT_" + setting.name.upper()
    assert setting.help
    if "secret" in setting.name:
        assert setting.flag == ""


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("[::]", False),
        ("192.0.2.1", False),
        ("127.example.org", False),
        ("127.0.0.1.example.org", False),
        ("localhost.example.org", False),
        ("[::ffff:192.0.2.1]", False),
    ],
)
def test_loopback_is_what_only_this_machine_can_reach(host, loopback):
    """A name that merely starts like it is not: TLS would be left out for it."""
    assert load({"listen": f"{host}:8473"}, HOME).loopback is loopback


@pytest.mark.parametrize(
    "text", ["8473", ":8473", "host", "host:", "host:http", "host:65536", "host:-1", "host:٣", "[::1]"]
)
def test_an_address_is_host_and_port(text):
    """Anything else is refused with what is wrong."""
    with pytest.raises(ConfigError, match="HOST:PORT"):
        load({"listen": text}, HOME)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"tls_cert": "/a"}, "go together"),
        ({"tls_key": "/a"}, "go together"),
        ({"roles": "api"}, "SQLite"),
        ({"roles": "gateway,worker"}, "SQLite"),
        ({"roles": "api,boss"}, "boss"),
        ({"roles": ","}, "nothing"),
        ({"database": "mysql://localhost/x"}, "sqlite.*postgresql"),
        ({"database": "patchwright.db"}, "sqlite.*postgresql"),
        ({"root_access_key_id": "AKIA1"}, "go together"),
        ({"control_channel": "yes"}, "CONTROL_CHANNEL.*on or off"),
        ({"trusted_proxies": "proxy.example.org"}, "TRUSTED_PROXIES.*192.0.2.0/24"),
        ({"trusted_proxies": "10.0.0.1/8"}, "TRUSTED_PROXIES"),
        ({"connections": "-1"}, "CONNECTIONS takes a whole number"),
        ({"connections": "many"}, "CONNECTIONS takes a whole number"),
        ({"clock_skew_minutes": "0"}, "CLOCK_SKEW_MINUTES takes a number above 0"),
        ({"node_requests_per_second": "0"}, "NODE_REQUESTS_PER_SECOND takes a number above 0"),
        ({"root_secret_access_key": "x"}, "go together"),
        ({"root_access_key_id": "mi-0123456789abcdef0", "root_secret_access_key": "x"}, "ROOT_ACCESS_KEY_ID"),
        ({"root_access_key_id": "AK/IA", "root_secret_access_key": "x"}, "ROOT_ACCESS_KEY_ID"),
        ({"root_access_key_id": "AK IA", "root_secret_access_key": "x"}, "ROOT_ACCESS_KEY_ID"),
        ({"root_access_key_id": "AKIA1", "root_secret_access_key": "two\nlines"}, "ROOT_SECRET_ACCESS_KEY"),
        ({"account_id": "1"}, "12 digits"),
        ({"account_id": "٣" * 12}, "12 digits"),
        ({"region": "us east"}, "REGION"),
        ({"public_url": "patchwright.example.org"}, "public-url"),
        ({"public_url": "https://x/$(reboot)"}, "public-url"),
        ({"public_url": "https://x'; reboot; '"}, "public-url"),
        ({"public_url": "https://x/path"}, "public-url"),
        ({"stale_after_hours": "0"}, "STALE_AFTER_HOURS"),
        ({"stale_after_hours": "nan"}, "STALE_AFTER_HOURS"),
        ({"online_minutes": "-3"}, "ONLINE_MINUTES"),
        ({"online_minutes": "soon"}, "ONLINE_MINUTES"),
        ({"s3_endpoint": "https://s3.example.org"}, "go together"),
        ({"s3_access_key_id": "x", "s3_secret_access_key": "y"}, "go together"),
        ({"s3_endpoint": "s3.example.org", "s3_access_key_id": "x", "s3_secret_access_key": "y"}, "S3_ENDPOINT"),
        ({"s3_endpoint": "https://x", "s3_access_key_id": "a b", "s3_secret_access_key": "y"}, "S3_ACCESS_KEY_ID"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(options, match):
    """Before anything is opened, and with what to set instead."""
    with pytest.raises(ConfigError, match=match):
        load(options, HOME)


def test_proxies_are_addresses_and_networks():
    """Several, of both kinds; spaces do not matter."""
    found = load({"trusted_proxies": "10.0.0.0/8, 192.0.2.7,2001:db8::/32 ,"}, HOME).trusted_proxies
    assert [str(one) for one in found] == ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]
    assert load({}, HOME).trusted_proxies == ()


def test_roles_are_split_on_postgresql_only():
    """One SQLite file has one process (design D8)."""
    assert load({"roles": " worker , api", "database": "postgresql://localhost/x"}, HOME).roles == {"api", "worker"}


@pytest.mark.parametrize(
    "url", ["https://patchwright.example.org", "http://192.0.2.1:8473", "https://[2001:db8::1]:8473", "https://x:1/"]
)
def test_a_public_url_is_scheme_host_and_port(url):
    """A slash at the end is cut."""
    assert load({"public_url": url}, HOME).public_url == url.rstrip("/")


def test_secrets_do_not_show():
    """Neither the root secret nor the one of the object store nor the password in a database URL is in the repr."""
    config = load(
        {
            "root_access_key_id": "AKIA1",
            "root_secret_access_key": "very-secret",
            "database": "postgresql://user:hidden@localhost/x",
            "s3_endpoint": "https://s3.example.org",
            "s3_access_key_id": "AKIA2",
            "s3_secret_access_key": "concealed",
        },
        HOME,
    )

    assert "concealed" not in repr(config)
    assert "very-secret" not in repr(config)
    assert "hidden" not in repr(config)
    assert "AKIA1" in repr(config)


def test_buckets_lie_in_the_data_directory_unless_told_otherwise(tmp_path):
    """A relative path is made absolute, so that a later change of directory changes nothing."""
    assert load({"data_dir": str(tmp_path)}, HOME).bucket_dir == tmp_path / "buckets"
    assert load({"bucket_dir": "/srv/buckets"}, HOME).bucket_dir == Path("/srv/buckets")
    assert load({"bucket_dir": "here"}, HOME).bucket_dir.is_absolute()
    assert load({"data_dir": str(tmp_path)}, HOME).blob_dir == tmp_path / "blobs"
    assert load({"blob_dir": "/srv/blobs"}, HOME).blob_dir == Path("/srv/blobs")


def test_buckets_are_named_for_accounts():
    """One, several or all; nothing else is taken, and no name twice."""
    one, two = "000000000001", "000000000002"
    given = {"buckets": f"logs={one}, lists={one}+{two},all=*,"}
    assert load(given, HOME).buckets == {
        "logs": frozenset({one}), "lists": frozenset({one, two}), "all": frozenset({"*"})
    }  # fmt: skip
    assert load({}, HOME).buckets == {}
    for wrong in ("logs", "logs=", "logs=1", f"={one}", f"Logs={one}", f"logs={one}+", f"logs={one},logs={two}"):
        with pytest.raises(ConfigError, match="PATCHWRIGHT_BUCKETS"):
            load({"buckets": wrong}, HOME)


def test_the_audit_trail_is_kept_for_ever_unless_days_are_set():
    """A whole number of them."""
    assert load({}, HOME).audit_days == 0
    assert load({"audit_days": "400"}, HOME).audit_days == 400
    with pytest.raises(ConfigError, match="PATCHWRIGHT_AUDIT_DAYS"):
        load({"audit_days": "-1"}, HOME)
