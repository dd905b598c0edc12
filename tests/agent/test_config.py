# SPDX-License-Identifier: Apache-2.0
"""Settings within bounds, and an identity that is whole or none."""

from __future__ import annotations

import json

import pytest

from patchwright.agent.config import (
    PATHS,
    TABLE,
    BadSetting,
    Identity,
    NotEnrolled,
    Settings,
    inherited_environment,
    load_identity,
    load_settings,
    save_identity,
)
from patchwright.agent.disk import Disk
from patchwright.core.protocol import LONG_POLL_SECONDS

IDENTITY = Identity("mi-1", "hidden", "eu-central-1", "1", "https://a", insecure_http=True)


def test_the_table_has_every_setting_and_its_default_fits():
    """Each setting has a row in one of the tables, and each default lies within its bounds."""
    assert sorted([*TABLE, *PATHS]) == sorted(Settings._fields)
    assert all(getattr(Settings(), name).startswith("/") for name in PATHS)
    assert [n for n, row in TABLE.items() if not row.minimum <= getattr(Settings(), n) <= row.maximum] == []


def test_a_poll_outlasts_the_servers_hold():
    """The agent does not give a poll up before the server answers it."""
    assert Settings().poll_seconds > LONG_POLL_SECONDS + 5


def test_the_environment_wins_over_the_file(tmp_path):
    """agent.json, and above it PATCHWRIGHT_AGENT_…."""
    (tmp_path / "agent.json").write_text('{"lock_wait_seconds": 5, "keep_days": 8}')

    settings = load_settings(tmp_path, {"PATCHWRIGHT_AGENT_LOCK_WAIT_SECONDS": "7.5"})
    assert (settings.lock_wait_seconds, settings.keep_days) == (7.5, 8)
    assert settings.poll_seconds == Settings().poll_seconds


@pytest.mark.parametrize(
    "text",
    [
        '{"no_such": 1}',
        '{"keep_days": 6}',
        '{"keep_days": "many"}',
        '{"keep_days": true}',
        '{"poll_seconds": null}',
        '{"poll_seconds": NaN}',
        '{"custom_inventory_dir": "etc"}',
        '{"custom_inventory_dir": 7}',
        '{"custom_inventory_dir": "/\\u0000"}',
        "[]",
        "{",
    ],
)
def test_a_setting_that_makes_no_sense_is_named(tmp_path, text):
    """Unknown, out of bounds, or no number: BadSetting."""
    (tmp_path / "agent.json").write_text(text)

    with pytest.raises(BadSetting):
        load_settings(tmp_path, {})


def test_the_identity_is_read_back(tmp_path):
    """What enrolment wrote, and no secret in its representation."""
    save_identity(Disk(tmp_path), IDENTITY)

    assert load_identity(tmp_path) == IDENTITY
    assert "hidden" not in repr(IDENTITY)


@pytest.mark.parametrize(
    "text", ["", "{}", json.dumps({**IDENTITY._asdict(), "secret": 1}), json.dumps({**IDENTITY._asdict(), "pin": None})]
)
def test_a_damaged_identity_says_what_to_do(tmp_path, text):
    """Damage is told apart from never having enrolled."""
    (tmp_path / "identity.json").write_text(text)
    with pytest.raises(NotEnrolled, match="--force"):
        load_identity(tmp_path)
    (tmp_path / "identity.json").unlink()
    with pytest.raises(NotEnrolled, match="run `enroll` first"):
        load_identity(tmp_path)


def test_children_are_told_our_variables_but_no_code():
    """What is ours goes on to the processes we start; the activation code and the rest do not."""
    given = {"PATCHWRIGHT_BOOT_ID_FILE": "/x", "PATCHWRIGHT_ACTIVATION_CODE": "hidden", "LD_PRELOAD": "/evil.so"}

    assert inherited_environment(given) == {"PATCHWRIGHT_BOOT_ID_FILE": "/x"}
