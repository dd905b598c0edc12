# SPDX-License-Identifier: Apache-2.0
"""
A server on a socket for clients that nobody here wrote. They get an endpoint, keys and a region, and nothing else.

    with place.listening(tmp_path) as server:
        subprocess.run(["aws", "ssm", "describe-patch-baselines"], env=place.environment(server))
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from structlog.testing import capture_logs

from patchwright.server import app
from patchwright.server.accounts import MasterKey
from server.aws.served import Server
from server.wire.client import MODELS

ACCOUNT = "123456789012"
REGION = "us-east-1"


@contextlib.contextmanager
def listening(directory: Path, *, account: str = ACCOUNT) -> Iterator[Server]:
    """A server over a new SQLite database in *directory*; every answer is held to the models."""
    place = directory / "data"
    place.mkdir()
    key = directory / "master.key"
    MasterKey.load(key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "load_models", lambda *, strict: MODELS if strict else None)
        server = Server(place, f"sqlite:///{place}/patchwright.db", account, key)
    # Its lines are kept, not printed: what a client writes is read. A fault of ours is none of a client's.
    with capture_logs() as lines:
        try:
            yield server
        finally:
            server.close()
    faults = [line for line in lines if line["log_level"] in {"error", "critical"}]
    assert not faults, faults


def keys(server: Server, region: str = REGION) -> dict[str, str]:
    """What a client is told."""
    root = server.house.root
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": root.access_key_id,
        "AWS_SECRET_ACCESS_KEY": root.secret,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
    }


def environment(server: Server, region: str = REGION, **more: str) -> dict[str, str]:
    """The environment of a client's process: the caller's own AWS and proxy configuration does not reach it."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(("AWS_", "TF_"))}
    apart = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_PAGER": "",
        "no_proxy": "127.0.0.1,localhost",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    return {**kept, **apart, **keys(server, region), **more}


def client(server: Server, region: str = REGION) -> Any:
    """An ssm client of boto3, which asks what another client left."""
    root = server.house.root
    return boto3.client(
        "ssm",
        endpoint_url=server.url,
        region_name=region,
        aws_access_key_id=root.access_key_id,
        aws_secret_access_key=root.secret,
        config=Config(retries={"total_max_attempts": 1}, read_timeout=30),
    )
