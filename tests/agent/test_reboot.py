# SPDX-License-Identifier: Apache-2.0
"""Restarting, and knowing which boot this is. Nothing here restarts anything: the shell writes down what it is asked."""

from __future__ import annotations

from pathlib import Path

from patchwright.agent import reboot
from patchwright.agent.shell import Result, Shell


class Recorder(Shell):
    """A shell that runs nothing."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def run(self, argv, **options):
        """Write it down."""
        self.asked.append(tuple(argv))
        return Result(tuple(argv), 0, "", "")


def test_the_boot_id_is_the_kernels(monkeypatch):
    """Without a file of our own it is what the kernel says."""
    monkeypatch.delenv("PATCHWRIGHT_BOOT_ID_FILE", raising=False)

    assert reboot.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_a_container_may_give_its_boot_id_in_a_file(monkeypatch, tmp_path):
    """Containers share their host's kernel, so the variable names where theirs is."""
    (tmp_path / "boot").write_text("mine\n")
    monkeypatch.setenv("PATCHWRIGHT_BOOT_ID_FILE", str(tmp_path / "boot"))

    assert reboot.boot_id() == "mine"


def test_systemd_is_asked_where_it_runs(monkeypatch, tmp_path):
    """systemctl with systemd, shutdown without."""
    shell = Recorder()
    monkeypatch.setattr(reboot, "SYSTEMD", tmp_path / "absent")
    reboot.request(shell)
    monkeypatch.setattr(reboot, "SYSTEMD", tmp_path)
    reboot.request(shell)

    assert shell.asked == [("shutdown", "-r", "now"), ("systemctl", "reboot")]
