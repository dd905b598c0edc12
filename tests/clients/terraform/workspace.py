# SPDX-License-Identifier: Apache-2.0
"""
Terraform with its AWS provider, as it is installed here, in a folder of its own.

    terraform = Workspace(tmp_path, server, region, variables)
    terraform.apply(); assert terraform.plan() == []
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MODULES = Path(__file__).parent / "modules"
PROVIDER = "registry.terraform.io/hashicorp/aws"
PLUGINS = "PATCHWRIGHT_TERRAFORM_PLUGINS"
SECONDS = 240


def missing() -> str:
    """Why Terraform cannot run here; empty where it can."""
    if shutil.which("terraform") is None:
        return "terraform is not installed"
    if plugins() is None:
        return f"no folder holds {PROVIDER}; {PLUGINS} can name one"
    return ""


def plugins() -> Path | None:
    """A folder that holds the provider: the one that is named, or one of Terraform's and the system's usual ones."""
    data = os.environ.get("XDG_DATA_DIRS", "/usr/local/share:/usr/share").split(":")
    named = os.environ.get(PLUGINS)
    usual = [
        Path.home() / ".terraform.d" / "plugins",
        Path.home() / ".local" / "share" / "terraform" / "plugins",
        *(Path(name) / "terraform" / "plugins" for name in data if name),
        *sorted(Path("/opt").glob("*")),
    ]
    candidates = [Path(named)] if named else usual
    return next((path for path in candidates if (path / PROVIDER).is_dir()), None)


class Workspace:
    """A folder with the configuration, its state, and Terraform run in it."""

    def __init__(
        self, folder: Path, environment: Mapping[str, str], variables: Mapping[str, str], *, modules: Path = MODULES
    ) -> None:
        self.folder = folder
        self._environment = {
            **environment,
            **{f"TF_VAR_{name}": value for name, value in variables.items()},
            "TF_CLI_CONFIG_FILE": os.devnull,
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
        }
        folder.mkdir()
        for path in modules.glob("*.tf"):
            shutil.copy(path, folder)
        self.run("init", "-input=false", f"-plugin-dir={plugins()}")

    def run(self, *words: str, good: Iterable[int] = (0,)) -> subprocess.CompletedProcess[str]:
        """Run Terraform; what it complained of is the assertion's message."""
        done = subprocess.run(
            ["terraform", *words, *([] if words[0] == "show" else ["-no-color"])],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode in good, f"terraform {' '.join(words)}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
        return done

    def apply(self, turn: str = "one") -> None:
        """Make it so."""
        self.run("apply", "-auto-approve", "-input=false", f"-var=turn={turn}")

    def destroy(self, turn: str = "one") -> None:
        """Take everything away."""
        self.run("destroy", "-auto-approve", "-refresh=false", "-input=false", f"-var=turn={turn}")

    def plan(self, turn: str = "one") -> list[dict[str, Any]]:
        """What Terraform would change or import now; nothing, where it says that nothing differs."""
        done = self.run("plan", "-input=false", "-detailed-exitcode", "-out=plan", f"-var=turn={turn}", good=(0, 2))
        if done.returncode == 0:
            return []
        changes = json.loads(self.run("show", "-json", "plan").stdout).get("resource_changes", [])
        found = [
            one
            for one in changes
            if one["mode"] == "managed" and (one["change"]["actions"] != ["no-op"] or "importing" in one["change"])
        ]
        assert found, done.stdout
        return found

    def resources(self) -> dict[str, dict[str, Any]]:
        """The attributes of what it manages, by address."""
        managed = [one for one in self._state()["resources"] if one["mode"] == "managed"]
        return {f"{one['type']}.{one['name']}": one["instances"][0]["attributes"] for one in managed}

    def outputs(self) -> dict[str, Any]:
        """What the configuration tells."""
        return {name: one["value"] for name, one in self._state()["outputs"].items()}

    def _state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "terraform.tfstate").read_text())
        return found
