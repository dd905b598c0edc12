# SPDX-License-Identifier: Apache-2.0
"""The story that `bin/demo` tells, chapter by chapter. Every claim it makes is checked as it is made."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
import types
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo import apt, kernel, mounts, proof, stage
from demo.api import Api, ApiRefused
from demo.place import NoPlace, Place
from demo.tell import Teller
from demo.twin import Ended, Twin, TwinFailed, make_room, survey

AGENT = "/var/lib/patchwright-demo/patchwright-agent.pyz"
AGENT_STATE = "/var/lib/patchwright-demo/state"
EXIT_INTERRUPTED = 130
LOGS = ("/var/log/dpkg.log", "/var/log/apt/history.log", "/var/log/apt/term.log")
SHOWN_NAMES = 12
FAILURES = (apt.AptFailed, stage.StageFailed, ApiRefused, TwinFailed, NoPlace, TimeoutError, OSError)


@dataclass(frozen=True)
class Options:
    """The words of the command line."""

    once: bool = False
    keep: bool = False
    compare: bool = False


@dataclass(frozen=True)
class Scanned:
    """What the scan of this machine found missing, by id; the machine before; and the question to apt what it says."""

    missing: dict[str, dict[str, Any]]
    before: proof.Before
    question: apt.Question


class Demo:
    """One telling. *place* is its folder; `end` stops what it has started."""

    def __init__(self, options: Options, tell: Teller, place: Place) -> None:
        self._options = options
        self._tell = tell
        self._place = place
        self._ending = contextlib.ExitStack()
        self._archive = place.folder / "patchwright-agent.pyz"

    def end(self) -> None:
        """Stop the twin and the server."""
        self._ending.close()

    def run(self) -> None:
        """Tell it all. Raises one of FAILURES where it cannot go on."""
        tell = self._tell
        if self._place.swept:
            tell.say(f"Took away what {len(self._place.swept)} demo(s) that were killed had left behind.")
        tell.chapter("A server")
        server = stage.Server(self._place.folder)
        self._ending.callback(server.stop)
        self._archive.write_bytes(server.api.download("/agent/patchwright-agent.pyz"))
        tell.say(f"It serves the AWS API at {server.api.url}, with SQLite in a private folder, for this demo alone.")
        scanned = self._scan(server)
        left_out = self._patch(server, scanned) if scanned else "there is nothing to compare a twin with"
        self._close(server, left_out)

    def _scan(self, server: stage.Server) -> Scanned | None:
        tell = self._tell
        tell.chapter("This machine: what it misses, and why")
        before = proof.Before()
        if not Path("/var/lib/dpkg/status").exists() or sys.platform != "linux":
            tell.say(
                "LEFT OUT: this system has no dpkg, and machines with another package manager cannot be scanned yet."
            )
            return None
        before.watch(proof.package_database, proof.boot, proof.services, proof.identity)
        shown = self._scan_as_node(server.api) if os.geteuid() == 0 else self._scan_offline()
        question = apt.Question()
        missing = {one["KBId"]: one for one in shown["Patches"] if one["State"] == "Missing"}
        rows = [
            (one["KBId"], f"{one['Installed']} → {one['Version']}", one["Severity"], one["Reason"])
            for one in missing.values()
        ]
        tell.table(("missing", "installed → approved", "priority", "why"), rows)
        before.watch(proof.package_lists, proof.packaged_files(missing))
        return Scanned(missing, before, question)

    def _scan_as_node(self, api: Api) -> dict[str, Any]:
        self._tell.say("It is enrolled for scanning only: its agent sees it read-only, and fetches apt's lists anew.")
        machine = stage.ThisMachine(self._place.folder, self._archive)
        machine.enroll(api)
        scan = machine.scan(api)
        if not scan.succeeded:
            raise stage.StageFailed(f"the scan failed: {scan.output[-500:]}")
        shown: dict[str, Any] = stage.verdict(api, machine.node)["LiveVerdict"]
        self._tell.say(
            f"{machine.node} was scanned in {scan.seconds:.1f} s against {shown['BaselineName']}: {_counts(shown)}."
        )
        return shown

    def _scan_offline(self) -> dict[str, Any]:
        self._tell.say(
            "LEFT OUT: enrolling it. An operation fetches apt's lists anew, which only root may. Instead this is "
            "`patchwright scan`, which needs no server, by the lists that are there."
        )
        shown: dict[str, Any] = stage.scan_offline()["LiveVerdict"]
        self._tell.say(f"Scanned against {shown['BaselineName']}: {_counts(shown)}.")
        return shown

    def _compare_with_apt(self, scanned: Scanned) -> None:
        theirs, elsewhere = scanned.question.answer()
        missing = set(scanned.missing)
        only_apt, only_ours = sorted(set(theirs) - missing), sorted(missing - set(theirs))
        self._tell.lines(
            f"apt itself (apt-get -s dist-upgrade): {len(theirs)} from the security archive, {elsewhere} from elsewhere\n"
            f"Patchwright:                          {len(missing)} missing\n"
            f"only apt names:                       {_names(only_apt)}\n"
            f"only Patchwright names:               {_names(only_ours)}"
        )
        self._tell.check(
            not only_apt and not only_ours, "the missing patches are, name by name, apt's security updates"
        )

    def _patch(self, server: stage.Server, scanned: Scanned) -> str:
        """The twin's chapters; answers what was left out and why, empty for nothing."""
        tell = self._tell
        tell.chapter("A throw-away twin of this machine")
        try:
            layers = survey()
            twins = self._place.folder / "twins"
            twins.mkdir()
            if make_room(twins, layers):
                self._ending.callback(kernel.unmount, twins)
        except mounts.Unisolated as refusal:
            reasons = "\n".join(f"* {reason}" for reason in refusal.reasons)
            tell.say("LEFT OUT: installing. A twin that is not kept apart from this machine is none, and here")
            tell.lines(reasons)
            self._compare_with_apt(scanned)
            return "; ".join(refusal.reasons)
        with apt.hold():
            files = {AGENT: self._archive.read_bytes()}
            one = Twin(twins / "patched", layers, hidden=self._place.base, files=files)
            self._ending.callback(one.stop)
            if self._options.keep:
                self._ending.callback(self._keep_logs, one)
            self._show_twin(one, layers)
            log = self._place.folder / "twin.log"
            node, install = self._install(server, one, log, scanned)
            self._restart(server, one, log, node=node, wanted=set(scanned.missing))
            self._prove(scanned)
            if self._options.compare:
                self._measure_apt(layers, scanned, install)
        return ""

    def _show_twin(self, one: Twin, layers: list[mounts.Layer]) -> None:
        tell = self._tell
        loaders = one.leave_out_boot_loaders()
        over = ", ".join(layer.target for layer in layers if layer.how is mounts.How.OVERLAY)
        copied = ", ".join(layer.target for layer in layers if layer.how is mounts.How.COPY)
        tell.say(
            f"It reads this machine's files ({over}) and keeps what it writes to itself"
            + (f"; {copied} it has as a copy" if copied else "")
            + ". It has its own processes, mounts, host name, boot id, /run, /tmp and /dev; it starts no services, and cannot "
            "set the clock, mount, reboot, load modules or change the network."
        )
        if loaders:
            tell.say(f"Left out in it, for it has no disk to start from: {loaders}.")
        seen = _isolation(one.run(["/bin/sh", "-c", _PROBE]))
        tell.check(
            not seen, "tried from inside: " + (seen or "clock, mounts, modules, devices and processes are out of reach")
        )

    def _install(self, server: stage.Server, one: Twin, log: Path, scanned: Scanned) -> tuple[str, stage.Operation]:
        tell, api, wanted = self._tell, server.api, set(scanned.missing)
        tell.chapter("The twin installs what is missing, for real")
        python = stage.node_python()
        words = stage.activation(api, "twin of this machine")
        ended = one.run([python, AGENT, *words, "--state-dir", AGENT_STATE])
        node = stage.enrolled(ended.output)
        one.start([python, AGENT, "run", "--state-dir", AGENT_STATE], log)
        tell.say(
            f"{node} ({one.hostname}) is enrolled, and is sent AWS-RunPatchBaseline, Install, RebootOption NoReboot."
        )
        sent = stage.Sent(api, node, "Install", RebootOption="NoReboot")
        tell.say("Meanwhile, what apt itself says about this machine:")
        self._compare_with_apt(scanned)
        install = sent.follow(tell, one, log)
        if not install.succeeded:
            tell.lines(install.output[-4000:])
        found = stage.states(api, node)
        pending = {name for name in wanted if found.get(name) == "InstalledPendingReboot"}
        tell.check(install.succeeded, f"Install: {install.invocation['StatusDetails']} after {install.seconds:.1f} s")
        self._check_states("InstalledPendingReboot", wanted, pending, found)
        return node, install

    def _restart(self, server: stage.Server, one: Twin, log: Path, *, node: str, wanted: set[str]) -> None:
        tell, api = self._tell, server.api
        tell.chapter("The twin restarts, and is scanned")
        old, since = one.boot_id, time.time()
        one.stop()
        one.start([stage.node_python(), AGENT, "run", "--state-dir", AGENT_STATE], log)
        tell.say(f"Every process of it was killed; boot id {old[:8]}… → {one.boot_id[:8]}….")
        stage.wait_until_heard_of(tell, api, node, since=since)
        scan = stage.Sent(api, node, "Scan").follow(tell, one, log)
        found = stage.states(api, node)
        tell.check(scan.succeeded, f"Scan: {scan.invocation['StatusDetails']} after {scan.seconds:.1f} s")
        self._check_states("Installed", wanted, {name for name in wanted if found.get(name) == "Installed"}, found)
        still = sorted(name for name, state in found.items() if state == "Missing")
        tell.check(not still, f"{len(still)} Missing" + (f": {_names(still)}" if still else ""))

    def _keep_logs(self, one: Twin) -> None:
        for name in (f"{AGENT_STATE}/worker.log", *LOGS):
            if one.written(name).is_file():
                shutil.copy(one.written(name), self._place.folder)

    def _check_states(self, state: str, wanted: set[str], reached: set[str], found: dict[str, str]) -> None:
        others = [f"{name} is {found.get(name, 'not reported')}" for name in sorted(wanted - reached)]
        text = f"{len(reached)} of {len(wanted)} are {state}" + (f"; {_names(others)}" if others else "")
        self._tell.check(not others, text)

    def _prove(self, scanned: Scanned) -> None:
        self._tell.chapter("This machine did not change")
        for finding in scanned.before.compare():
            self._tell.check(finding.same, finding.text)

    def _measure_apt(self, layers: list[mounts.Layer], scanned: Scanned, install: stage.Operation) -> None:
        tell = self._tell
        tell.chapter("The same by apt alone, in another twin")
        with contextlib.ExitStack() as ending:
            plain = Twin(self._place.folder / "twins/apt", layers, hidden=self._place.base)
            ending.callback(plain.stop)
            plain.leave_out_boot_loaders()
            versions = [f"{key.rpartition('.')[0]}={one['Version']}" for key, one in scanned.missing.items()]
            options = ["-q", "-y", "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
            begun = tell.seconds
            ended = plain.run(["apt-get", *options, "install", *versions], timeout=stage.INSTALL_SECONDS)
            alone = tell.seconds - begun
            tell.check(ended.code == 0, f"apt-get install of the same {len(versions)} packages: {alone:.1f} s")
        tell.lines(
            f"apt-get alone:                          {alone:7.1f} s\n"
            f"Install through the API:                {install.seconds:7.1f} s   {install.seconds - alone:+.1f} s\n"
            f"the whole demo, up to here without apt: {begun:7.1f} s   {begun - alone:+.1f} s"
        )

    def _close(self, server: stage.Server, left_out: str) -> None:
        tell = self._tell
        tell.chapter("Go on from here")
        if left_out:
            tell.say(f"Left out: installing in a twin, because {left_out}.")
        if self._options.once:
            tell.say("Without --once the server stays, and the twin with its agent. A server of your own:")
            tell.lines(".venv/bin/patchwright server\n.venv/bin/patchwright scan   # no server needed")
        else:
            self._show_ways(server)
        if tell.failures:
            tell.say(f"{len(tell.failures)} check(s) FAILED: " + "; ".join(tell.failures))
        else:
            tell.say(f"Every check held. {tell.seconds:.1f} s in all.")
        if not self._options.once:
            tell.say("The server stays until Ctrl-C; then everything here is taken away.")
            signal.pause()

    def _show_ways(self, server: stage.Server) -> None:
        nodes = server.api.every("DescribeInstanceInformation", "InstanceInformationList")
        last = nodes[-1]["InstanceId"] if nodes else "mi-…"
        twin = next((one["InstanceId"] for one in nodes if one.get("Name", "").startswith("twin")), last)
        self._tell.say("The API, as any AWS client sees it:")
        self._tell.lines(
            f"export AWS_SHARED_CREDENTIALS_FILE={server.credentials} AWS_ENDPOINT_URL={server.api.url} AWS_REGION=us-east-1\n"
            f"aws ssm describe-instance-patches --instance-id {twin}\n"
            f"aws ssm send-command --document-name AWS-RunPatchBaseline --instance-ids {twin} --parameters Operation=Scan\n"
            f"python3 -c 'import boto3; print(boto3.client(\"ssm\").describe_instance_information())'"
        )
        self._tell.say("The same by our own command line:")
        self._tell.lines(
            f".venv/bin/patchwright node list\n"
            f".venv/bin/patchwright node show {twin}\n"
            f".venv/bin/patchwright patch {twin} --operation Scan"
        )
        self._tell.say("This machine's own agent has ended: it was enrolled for that one scan.")


# Each line names what could be reached; nothing is printed where nothing can. Every attempt is harmless if it succeeds.
_PROBE = """
date -s "$(date)" >/dev/null 2>&1 && echo "the clock can be set"
mount -t tmpfs none /mnt 2>/dev/null && echo "file systems can be mounted"
mknod /tmp/device c 1 3 2>/dev/null && echo "device files can be made"
( : >/proc/sys/kernel/hostname ) 2>/dev/null && echo "kernel settings can be changed"
( : >/proc/sysrq-trigger ) 2>/dev/null && echo "the kernel takes requests"
[ -e /run/dbus ] || [ -e /run/systemd ] && echo "the machine's sockets can be seen"
for one in /proc/[0-9]*; do [ "${one#/proc/}" -lt 100 ] || echo "process ${one#/proc/} can be seen"; done
true
"""


def _isolation(ended: Ended) -> str:
    return ", ".join(ended.output.splitlines()) if ended.code == 0 else f"the probe ended with {ended.code}"


def _counts(shown: dict[str, Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in shown["Counts"].items() if count and name[0].isupper())


def _names(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else ""
    return (", ".join(names[:SHOWN_NAMES]) + more) or "none"


def tell_story(options: Options) -> int:
    """Tell it; answers the exit code: 0 where every check held, 1 where one did not, 130 where it was interrupted."""
    tell = Teller()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        place = Place()
    except NoPlace as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    demo = Demo(options, tell, place)
    try:
        demo.run()
    except FAILURES as error:
        tell.check(False, f"{error}")
    except KeyboardInterrupt:
        print()
        return 0 if not options.once and not tell.failures else EXIT_INTERRUPTED
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        demo.end()
        place.close(keep=options.keep)
        if options.keep:
            print(f"Kept: {place.folder}")
    return 1 if tell.failures else 0


def _interrupt(_number: int, _frame: types.FrameType | None) -> None:
    raise KeyboardInterrupt
