# SPDX-License-Identifier: Apache-2.0
"""The node program as one file, run as a node runs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.simulator import Simulator
from agent.stage import Stage
from agent.test_transport import certificate
from patchwright import __version__
from patchwright.agent.program import own_program
from patchwright.server.gateway.zipapp import build

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "patchwright"
IDLE_PSS_LIMIT_KIB = 10 * 1024  # design D12; measured 7.3 MB where the C library is shared, 9.7 MB where nothing is
OLD_PYTHONS = ("python3.8", "python3.9", "python3.10")


@pytest.fixture(scope="session")
def zipapp(tmp_path_factory) -> Path:
    """The zipapp, built from the source."""
    path = tmp_path_factory.mktemp("zipapp") / "patchwright-agent.pyz"
    path.write_bytes(build(PACKAGE))
    return path


def run(zipapp: Path, *words: str, python: str = sys.executable, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the zipapp with nothing but the standard library."""
    return subprocess.run(
        [python, "-I", "-S", str(zipapp), *words],
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
        env={**os.environ, **env},
    )


def test_the_zipapp_says_its_version(zipapp):
    """The one file runs with the standard library alone."""
    result = run(zipapp, "version")

    assert (result.returncode, result.stdout) == (0, f"{__version__}\n")


def older_python(name: str) -> str:
    """An older interpreter by name, or skip."""
    candidates = [shutil.which(name), *(Path.home() / ".pyenv" / "versions").glob(f"{name[6:]}.*/bin/python3")]
    for path in map(str, filter(None, candidates)):
        if subprocess.run([path, "-V"], capture_output=True).returncode == 0:
            return path
    pytest.skip(f"{name} is not on this machine")


@pytest.mark.parametrize("name", OLD_PYTHONS)
def test_every_module_imports_on_older_pythons(zipapp, name):
    """Every module of the zipapp imports on the oldest Python a node may have, where one is at hand."""
    python = older_python(name)
    sources = [path.relative_to(PACKAGE) for part in ("core", "agent") for path in (PACKAGE / part).rglob("*.py")]
    names = [".".join(["patchwright", *path.with_suffix("").parts]).replace(".__init__", "") for path in sources]
    script = "import sys, importlib; sys.path.insert(0, sys.argv[1])\nfor name in sys.argv[2:]: importlib.import_module(name)"
    result = subprocess.run(
        [python, "-I", "-c", script, str(zipapp), *names], capture_output=True, text=True, timeout=60
    )

    assert result.stderr == ""
    assert run(zipapp, "version", python=python).stdout == f"{__version__}\n"


def test_an_install_works_on_the_oldest_python(real_stage):
    """The whole exchange, with every process under Python 3.8."""
    real_stage.python = older_python("python3.8")
    command = real_stage.send("Install")

    assert real_stage.once() == 0, real_stage.logs()
    assert real_stage.simulator.final(command)["documentStatus"] == "Success"
    assert real_stage.installed == {"openssl": "3.0.2-1", "zlib1g": "1.2-2"}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "usage"),
        (("dance",), 2, "invalid choice"),
        (("run", "--state-dir", "/nowhere"), 1, "not enrolled"),
        (("enroll", "--server", "https://a", "--activation-id", "x"), 2, "activation-code"),
        (("enroll", "--server", "https://a", "--activation-id", "x", "--pin", "a", "--ca", "b"), 2, "not allowed"),
    ],
)
def test_wrong_words_have_the_right_exit_code(zipapp, words, code, said):
    """2 for usage, 1 for what is refused, each with a sentence and no traceback."""
    result = run(zipapp, *words)

    assert result.returncode == code
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_a_bad_setting_is_named(zipapp, tmp_path):
    """A setting out of bounds ends the start with its name."""
    (tmp_path / "identity.json").write_text(
        '{"instance_id": "mi-1", "secret": "s", "region": "r", "account": "a", "server": "https://a"}'
    )
    result = run(zipapp, "run", "--state-dir", str(tmp_path), PATCHWRIGHT_AGENT_KEEP_DAYS="1")

    assert result.returncode == 1
    assert "keep_days is '1'" in result.stderr


def test_the_program_can_start_itself_again():
    """From the source tree the words lead to the agent's own file, isolated."""
    program = own_program()

    assert program[:2] == (sys.executable, "-I")
    result = subprocess.run([*program, "version"], capture_output=True, text=True, cwd="/", timeout=60)
    assert result.stdout == f"{__version__}\n"


def test_the_waiting_agent_is_small_and_imports_little(zipapp, tmp_path):
    """Polling over TLS it stays below its limit, and what only commands need is not loaded."""
    path, key, pin = certificate(tmp_path)
    simulator = Simulator(certificate=(path, key))
    simulator.hold = 5.0
    stage = Stage(tmp_path / "node", simulator)
    (stage.state_dir / "identity.json").write_text(json.dumps({**stage.identity, "pin": pin}))
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    with subprocess.Popen(
        [python, "-I", "-S", str(zipapp), "run", "--state-dir", str(stage.state_dir)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, **stage.environment},
    ) as agent:
        try:
            stage.wait_for(lambda: simulator.count("GetMessages"), "the agent polled")
            rollup = Path(f"/proc/{agent.pid}/smaps_rollup").read_text()
        finally:
            agent.kill()
            simulator.close()
    pss = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    print(f"idle: {pss} KiB PSS")
    assert pss < IDLE_PSS_LIMIT_KIB


def test_waiting_loads_nothing_that_commands_need(zipapp):
    """The modules of the waiting agent: no core beyond errors, frames and signing, no subprocess, no http, no email, no dataclasses."""
    script = "import sys; sys.path.insert(0, sys.argv[1]); import patchwright.agent.loop; print(*sorted(sys.modules))"
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script, str(zipapp)], capture_output=True, text=True, timeout=60
    )
    loaded = set(result.stdout.split())

    assert {name for name in loaded if name.startswith("patchwright.core.")} == {
        "patchwright.core.errors",
        "patchwright.core.frames",
        "patchwright.core.signing",
    }
    assert not loaded & {"subprocess", "http", "http.client", "email", "dataclasses", "inspect", "shutil", "calendar"}


def test_sigterm_ends_the_agent_at_once(real_stage):
    """systemd's stop: exit code 0, without waiting for the poll."""
    agent = real_stage.start()
    real_stage.simulator.hold = 60.0
    real_stage.wait_for(lambda: real_stage.simulator.count("GetMessages"), "the agent polled")
    begun = time.monotonic()
    agent.terminate()

    assert agent.wait(50) == 0
    assert time.monotonic() - begun < 30
