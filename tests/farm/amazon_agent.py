# SPDX-License-Identifier: Apache-2.0
"""
amazon-ssm-agent, played: a program that behaves towards a server as the real one does (docs/reference/spec/agent-protocol.md).

    agent = AmazonAgent(url, home)                      what it keeps lies in *home*; a second one there is the same agent
    agent.register(activation_id, code)
    agent.start()                                       session, first short ping, full ping
    agent.poll()                                        one GetMessages; documents are carried out before it returns
    agent.attend(stop)                                  polls until *stop* is set; documents run beside the polls
    agent.resume()                                      after a reboot it asked for (`agent.wants_reboot`)

Its oddities are kept: a final reply without the steps where there is more than one, the first reply before the
acknowledgement, no acknowledgement of what it cannot read, a stray InProgress for what comes twice, and with *disorder* the
final reply before that of the last step. Scripts are run by *run*, so that they can run inside a node of the farm.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from . import amazon_documents as documents
from . import amazon_wire as wire
from .amazon_documents import EXIT_SUCCESS, CannotRead
from .amazon_wire import KeyPair, Line, Refused, Session

VERSION = "3.3.0.0"
VISIBILITY_SECONDS = 10
REBOOT, KILLED = 194, 137
_OUTPUT, _SHORT = 24_000, 2_500


class Run(Protocol):
    """Runs a script; gives its exit code and what it printed. It ends at once when *cancelled* is set."""

    def __call__(
        self, script: str, environment: Mapping[str, str], *, seconds: float, cancelled: threading.Event
    ) -> tuple[int, str, str]: ...


class Upstream(Protocol):
    """The way a command came, which is the way its replies go."""

    def reply(self, message_id: str, content: str, reply_id: str) -> None:
        """Send one reply."""

    def acknowledge(self, message_id: str, status: int) -> None:
        """Say that the message is taken (200), or why not (spec agent-protocol §7.1)."""


def shell(
    script: str, environment: Mapping[str, str], *, seconds: float, cancelled: threading.Event
) -> tuple[int, str, str]:
    """Run *script* with this machine's sh, in a process group of its own."""
    process = subprocess.Popen(
        ["sh", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **environment},
        start_new_session=True,
        text=True,
        errors="replace",
    )
    ended = threading.Event()

    def watch() -> None:
        end = time.monotonic() + seconds
        while not ended.wait(0.02):
            if cancelled.is_set() or time.monotonic() > end:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, err = process.communicate()
    ended.set()
    watcher.join()
    code = process.returncode
    return (KILLED if code < 0 else code), out, err


@dataclass
class _Job:
    """A document that is being carried out. *results* by plugin id, as they were reported."""

    message_id: str
    payload: Mapping[str, Any]
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def command_id(self) -> str:
        return self.message_id.split(".")[-2]


class AmazonAgent:
    """One agent. Errors of the server come as Refused, those of the network as they are."""

    def __init__(
        self,
        url: str,
        home: Path,
        *,
        run: Run = shell,
        context: ssl.SSLContext | None = None,
        region: str = "us-east-1",
        disorder: bool = False,
        now: Callable[[], float] = time.time,
        described: Mapping[str, str] | None = None,
    ) -> None:
        self.context = context
        self.line = Line(url, context=context)
        self.home = home
        self.region = region
        self.disorder = disorder
        self.now = now
        self.described = dict(described or {})
        self.session: Session | None = None
        self.running: dict[str, _Job] = {}
        self.wants_reboot = False
        self.errors: list[Exception] = []
        self.unsent: list[
            tuple[str, str, str]
        ] = []  # replies that got no answer; the real one sends them every 5 minutes
        self._run = run
        self._issued = 0.0
        self._threads: list[threading.Thread] = []
        (home / "documents").mkdir(parents=True, exist_ok=True)
        (home / "idempotency").mkdir(exist_ok=True)
        self._known: dict[str, str] = {}
        with suppress(FileNotFoundError):
            self._known = json.loads((home / "registration").read_text())

    # ------------------------------------------------------------------------------------------------ identity

    @property
    def instance_id(self) -> str:
        """`mi-…`, once it is registered."""
        return self._known["instanceID"]

    @property
    def key(self) -> KeyPair:
        """What it signs with."""
        return KeyPair.load(self._known["privateKey"])

    @property
    def fingerprint(self) -> str:
        """What it calls the machine it is on; *home* copied to another machine would get another."""
        path = self.home / "fingerprint"
        if not path.exists():
            path.write_text(str(uuid.uuid4()))
        return path.read_text()

    def register(self, activation_id: str, code: str, *, key: KeyPair | None = None) -> str:
        """`amazon-ssm-agent -register`; returns the instance id."""
        key = key or KeyPair.fresh()
        members = {
            "ActivationCode": code,
            "ActivationId": activation_id,
            "Fingerprint": self.fingerprint,
            "PublicKey": key.public,
            "PublicKeyType": "Rsa",
        }
        answer = self.line.send(*wire.registration_request(self.line.host, members))
        self._keep(answer["InstanceId"], key)
        return self.instance_id

    def refresh(self) -> Session:
        """RequestManagedInstanceRoleToken; and another key, where the server asks for one."""
        answer = self.asymmetric("RequestManagedInstanceRoleToken", {"Fingerprint": self.fingerprint})
        self.session = Session(
            answer["AccessKeyId"],
            answer["SecretAccessKey"],
            answer["SessionToken"],
            float(answer["TokenExpirationDate"]),
            answer["UpdateKeyPair"],
        )
        self._issued = self.now()
        if self.session.update_key_pair:
            self.rotate()
        return self.session

    def rotate(self) -> None:
        """Another key: told under the old one, tried, and kept if it works."""
        before, fresh = self.key, KeyPair.fresh()
        self.asymmetric("UpdateManagedInstancePublicKey", {"NewPublicKey": fresh.public, "NewPublicKeyType": "Rsa"})
        self._keep(self.instance_id, fresh)
        try:
            self.asymmetric("RequestManagedInstanceRoleToken", {"Fingerprint": self.fingerprint})
        except (Refused, OSError):
            self._keep(self.instance_id, before)
            raise

    def asymmetric(self, operation: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """A call that is signed with the node's own key."""
        headers, body = wire.asymmetric_request(
            self.line.host, operation, members,
            instance_id=self.instance_id, key=self.key, region=self.region, now=self.now(),
        )  # fmt: skip
        return self.line.send(headers, body)

    def call(self, target: str, members: Mapping[str, Any]) -> dict[str, Any]:
        """Any other call. A session is used for half its time; what is too much is asked again, as its SDK does three times."""
        session = self.session
        if session is None or self.now() > (self._issued + session.expires_at) / 2:
            session = self.refresh()
        for pause in (0.6, 1.2, 2.4, 0.0):
            headers, body = wire.session_request(
                self.line.host, target, members, session=session, region=self.region, now=self.now()
            )
            try:
                return self.line.send(headers, body)
            except Refused as refused:
                if refused.code != "ThrottlingException" or not pause:
                    raise
            time.sleep(pause)
        raise AssertionError

    # ------------------------------------------------------------------------------------------------ presence

    def start(self) -> None:
        """What the agent says when it starts, in its order."""
        self.refresh()
        short = {
            "AgentName": "amazon-ssm-agent",
            "AgentVersion": VERSION,
            "InstanceId": self.instance_id,
            "PlatformType": "Linux",
        }
        self.call("AmazonSSM.UpdateInstanceInformation", short)
        self.ping()

    def ping(self, channel: str = "") -> None:
        """UpdateInstanceInformation in full; *channel* is SSMConnectionChannel."""
        self.call(
            "AmazonSSM.UpdateInstanceInformation",
            {
                "AgentName": "amazon-ssm-agent",
                "AgentStatus": "Active",
                "AgentVersion": VERSION,
                "AvailabilityZone": "",
                "AvailabilityZoneId": "",
                "ComputerName": "proto-node",
                "IPAddress": "127.0.0.1",
                "InstanceId": self.instance_id,
                "PlatformName": "Debian GNU/Linux",
                "PlatformType": "Linux",
                "PlatformVersion": "12",
                "SSMConnectionChannel": channel,
                **self.described,
            },
        )

    def associations(self) -> list[dict[str, Any]]:
        """ListInstanceAssociations, as every ten minutes."""
        members = {"InstanceId": self.instance_id, "MaxResults": 20}
        found: list[dict[str, Any]] = self.call("AmazonSSM.ListInstanceAssociations", members)["Associations"]
        return found

    # ------------------------------------------------------------------------------------------------ messages

    def poll(self, *, beside: bool = False) -> int:
        """One GetMessages, and what it brings; *beside*: documents run in threads of their own. How many messages it brought."""
        answer = self.call(
            f"{wire.MESSAGES}.GetMessages",
            {
                "Destination": self.instance_id,
                "MessagesRequestId": str(uuid.uuid4()),
                "VisibilityTimeoutInSeconds": VISIBILITY_SECONDS,
            },
        )
        for message in answer["Messages"]:
            assert {"CreatedDate", "Destination", "MessageId", "Payload", "Topic"} <= message.keys()
            self.take(message["MessageId"], message["Topic"], message["Payload"], _Polling(self), beside=beside)
        return len(answer["Messages"])

    def attend(self, stop: threading.Event) -> None:
        """Poll until *stop* is set; then wait for what runs."""
        while not stop.is_set():
            try:
                self.poll(beside=True)
            except (Refused, OSError) as error:
                self.errors.append(error)
                stop.wait(0.2)
        self.join()

    def join(self) -> None:
        """Wait for every document."""
        for thread in self._threads:
            thread.join()

    def take(self, message_id: str, topic: str, content: str, upstream: Upstream, *, beside: bool = False) -> None:
        """A message, however it came."""
        if topic.startswith("aws.ssm.cancelCommand"):
            self._cancel(message_id, content, upstream)
        elif not topic.startswith("aws.ssm.sendCommand"):
            self.fail_message(message_id, "NoHandlerExists")
        elif (self.home / "idempotency" / message_id.split(".")[-2]).exists():
            upstream.reply(message_id, self._content("InProgress", {}), str(uuid.uuid4()))
            upstream.acknowledge(message_id, 51405)
        else:
            self._submit(message_id, content, upstream, beside=beside)

    def fail_message(self, message_id: str, why: str) -> None:
        """FailMessage."""
        self.call(f"{wire.MESSAGES}.FailMessage", {"FailureType": why, "MessageId": message_id})

    def resume(self, upstream: Upstream | None = None) -> None:
        """What a start after a reboot does: steps with a final status are passed over, the one that asked for it runs again."""
        self.wants_reboot = False
        for path in sorted((self.home / "documents").glob("*")):
            kept = json.loads(path.read_text())
            job = _Job(kept["message_id"], kept["payload"], kept["results"])
            self._carry_out(job, upstream or _Polling(self))

    # ------------------------------------------------------------------------------------------------ documents

    def _submit(self, message_id: str, content: str, upstream: Upstream, *, beside: bool) -> None:
        try:
            payload = json.loads(content)
            documents.steps(payload["DocumentContent"])
        except (ValueError, KeyError, TypeError, CannotRead) as error:
            trace = f"failed to parse message: {error}"
            upstream.reply(message_id, self._content("Failed", {}, trace=trace), str(uuid.uuid4()))
            return  # and no acknowledgement
        job = _Job(message_id, payload)
        self._store(job)
        (self.home / "idempotency" / job.command_id).touch()
        self._reply(job, upstream, "InProgress", {})
        upstream.acknowledge(message_id, 200)
        if not beside:
            self._carry_out(job, upstream)
            return
        thread = threading.Thread(target=self._carry_out, args=(job, upstream), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _cancel(self, message_id: str, content: str, upstream: Upstream) -> None:
        try:
            target = json.loads(content)["CancelMessageId"]
        except (ValueError, KeyError, TypeError):
            self.fail_message(message_id, "InternalHandlerException")
            return
        upstream.acknowledge(message_id, 200)
        job = self.running.get(target.split(".")[-2])
        if job is not None:
            job.cancelled.set()

    def _carry_out(self, job: _Job, upstream: Upstream) -> None:
        self.running[job.command_id] = job
        document, values = job.payload["DocumentContent"], job.payload.get("Parameters") or {}
        steps, ends = documents.steps(document), False
        last: list[Callable[[], None]] = []
        for step in steps:
            before = job.results.get(step["name"])
            if before is None or before["status"] == "SuccessAndReboot":
                skipped = ends and not (step["inputs"].get("finallyStep") and step is steps[-1])
                skipped = skipped or not documents.applies(step, documents.Values(document, values))
                job.results[step["name"]] = self._step(job, step, before, is_skipped=skipped)
                self._store(job)
            result = job.results[step["name"]]
            ends = ends or documents.ends(step, result)
            shown = dict(result, status="InProgress") if result["status"] == "SuccessAndReboot" else result
            is_last = step is steps[-1] or result["status"] == "SuccessAndReboot"
            if before is None or before is not result:
                report = _later(self._reply, job, upstream, "InProgress", {step["name"]: shown})
                last.append(report) if is_last and self.disorder else report()
            if result["status"] == "SuccessAndReboot" or job.cancelled.is_set():
                break
        status = documents.aggregate(job.results.values())
        self._reply(job, upstream, status, job.results if len(steps) == 1 else {})
        for report in last:
            report()
        del self.running[job.command_id]
        if status == "SuccessAndReboot":
            self.wants_reboot = True  # `/sbin/shutdown -r +1`, once nothing else runs
        else:
            (self.home / "documents" / job.command_id).unlink()

    def _step(
        self, job: _Job, step: Mapping[str, Any], before: Mapping[str, Any] | None, *, is_skipped: bool
    ) -> dict[str, Any]:
        started, inputs = self.now(), step["inputs"]
        if is_skipped:
            return self._result(step, "Skipped", (0, "", ""), started=started)
        values = documents.Values(job.payload["DocumentContent"], job.payload.get("Parameters") or {})
        if step["action"] == "aws:runDocument":
            code, out, err = self._inner_document(job, values.filled(inputs["documentPath"]))
        elif step["action"] == "aws:runShellScript":
            code, out, err = self._script(job, inputs, values)
        else:
            return self._result(step, "Failed", (1, "", f"Unsupported plugin {step['action']}"), started=started)
        if before is not None:
            out, err = before["standardOutput"] + out, before["standardError"] + err
        status = {0: "Success", REBOOT: "SuccessAndReboot", EXIT_SUCCESS: "Success"}.get(code, "Failed")
        if code == KILLED:
            status = "Cancelled" if job.cancelled.is_set() else "TimedOut"
        if status == "Failed" and inputs.get("onFailure") == "successAndExit":
            status = "Success"
        return self._result(step, status, (code, out, err), started=started)

    def _script(self, job: _Job, inputs: Mapping[str, Any], values: documents.Values) -> tuple[int, str, str]:
        script = "\n".join(values.filled(inputs["runCommand"]))
        seconds = min(max(float(values.filled(inputs.get("timeoutSeconds") or "3600")), 5), 172_800)
        return self._run(script, self._environment(job), seconds=seconds, cancelled=job.cancelled)

    def _inner_document(self, job: _Job, path: str) -> tuple[int, str, str]:
        """A document of scripts within a document (aws:runDocument): its code is that of the last script that failed."""
        name, _, version = path.rpartition("/")[2].partition(":")
        members = {"Name": name, **({"DocumentVersion": version} if version else {})}
        document = json.loads(self.call("AmazonSSM.GetDocument", members)["Content"])
        values, code, told = documents.Values(document, {}), 0, ("", "")
        for step in documents.steps(document):
            if documents.applies(step, values):
                ended, out, err = self._script(job, step["inputs"], values)
                code, told = ended or code, (told[0] + out, told[1] + err)
        return code, *told

    def _environment(self, job: _Job) -> dict[str, str]:
        return {
            "SSM_COMMAND_ID": job.command_id,
            "AWS_SSM_REGION_NAME": self.region,
            "AWS_SSM_INSTANCE_ID": self.instance_id,
            "AWS_SSM_PLATFORM_NAME": "Debian GNU/Linux",
            "AWS_SSM_PLATFORM_VERSION": "12",
            "AWS_SHARED_CREDENTIALS_FILE": str(self.share_credentials()),
        }

    def share_credentials(self) -> Path:
        """Write the session where scripts find it (Profile.ShareCreds); returns the file."""
        session = self.session or self.refresh()
        path = self.home / "credentials"
        path.write_text(
            f"[default]\naws_access_key_id = {session.key_id}\naws_secret_access_key = {session.secret}\n"
            f"aws_session_token = {session.token}\n"
        )
        path.chmod(0o600)
        return path

    def _result(
        self, step: Mapping[str, Any], status: str, ended: tuple[int, str, str], *, started: float
    ) -> dict[str, Any]:
        code, out, err = ended
        return {
            "status": status,
            "code": code or (1 if status == "Failed" else 0),
            "name": step["action"],
            "output": _shown(out, err),
            "startDateTime": wire.iso(started),
            "endDateTime": wire.iso(self.now()),
            "outputS3BucketName": "",
            "outputS3KeyPrefix": "",
            "stepName": "" if step["name"] == step["action"] else step["name"],
            "standardOutput": _cut(out, _OUTPUT, "--output truncated--"),
            "standardError": _cut(err, _OUTPUT, "--output truncated--"),
        }

    # ------------------------------------------------------------------------------------------------ replies

    def _reply(self, job: _Job, upstream: Upstream, status: str, runtime: Mapping[str, Any]) -> None:
        content, reply_id = self._content(status, runtime), str(uuid.uuid4())
        try:
            upstream.reply(job.message_id, content, reply_id)
        except (Refused, OSError) as error:
            self.errors.append(error)
            self.unsent.append((job.message_id, content, reply_id))

    def resend(self) -> None:
        """What the agent does every five minutes for two hours: replies that got no answer, under the ids they had."""
        unsent, self.unsent = self.unsent, []
        for reply in unsent:
            _Polling(self).reply(*reply)

    def _content(self, status: str, runtime: Mapping[str, Mapping[str, Any]], *, trace: str = "") -> str:
        counts: dict[str, int] = {}
        for one in runtime.values():
            counts[one["status"]] = counts.get(one["status"], 0) + 1
        about = {"lang": "en-US", "name": "amazon-ssm-agent", "os": "linux", "osver": "1", "ver": VERSION}
        additional = {
            "agent": about,
            "dateTime": wire.iso(self.now()),
            "runId": "",
            "runtimeStatusCounts": counts,
            "ableToOpenMGSConnection": False,
        }
        return json.dumps(
            {
                "additionalInfo": additional,
                "documentStatus": status,
                "documentTraceOutput": trace,
                "runtimeStatus": runtime,
            },
            separators=(",", ":"),
        )

    def _store(self, job: _Job) -> None:
        kept = {"message_id": job.message_id, "payload": job.payload, "results": job.results}
        (self.home / "documents" / job.command_id).write_text(json.dumps(kept))

    def _keep(self, instance_id: str, key: KeyPair) -> None:
        self._known = {"instanceID": instance_id, "region": self.region, "privateKey": key.text}
        (self.home / "registration").write_text(json.dumps(self._known))


class _Polling:
    """Replies by SendReply, acknowledges by AcknowledgeMessage."""

    def __init__(self, agent: AmazonAgent) -> None:
        self._agent = agent

    def reply(self, message_id: str, content: str, reply_id: str) -> None:
        """SendReply."""
        members = {"MessageId": message_id, "Payload": content, "ReplyId": reply_id}
        self._agent.call(f"{wire.MESSAGES}.SendReply", members)

    def acknowledge(self, message_id: str, status: int) -> None:
        """AcknowledgeMessage, whatever *status*: there is no other way to say it here."""
        self._agent.call(f"{wire.MESSAGES}.AcknowledgeMessage", {"MessageId": message_id})


def _later(call: Callable[..., None], *args: Any) -> Callable[[], None]:
    return lambda: call(*args)


def _shown(out: str, err: str) -> str:
    shown = _cut(out, _SHORT, "---Output truncated---")
    return shown + (f"\n----------ERROR-------\n{_cut(err, _SHORT, '---Error truncated----')}" if err else "")


def _cut(text: str, most: int, mark: str) -> str:
    return text if len(text) <= most else text[: most - len(mark)] + mark
