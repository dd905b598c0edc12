# SPDX-License-Identifier: Apache-2.0
"""
Storms: many made-up requests to everything that is served, drawn from the models by a seed, over a house of one's own.

    storm = Storm(house, node, pools, random.Random(seed))
    await storm.blow(1500)                     # raises AssertionError with the request that was not answered as promised

Two in three requests keep every constraint of the model; the others are spoilt in one place or more, or are no requests at
all. Between them the jobs of a worker take their steps. Values are often things that exist: *pools* names some to begin with, by member or shape, and whatever an answer or a
served request names is remembered. What is promised of every call: never a 500, an answer botocore reads by its model, a code
that the operation declares, one log line, and nothing written where the answer is a refusal.
"""

from __future__ import annotations

import base64
import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from botocore.model import ServiceModel
from botocore.parsers import create_parser

from patchwright.server import app
from patchwright.server.config import load
from patchwright.server.wire import ANONYMOUS, ANY, AUDIENCE, NODE, Credential
from server.gateway.house import House
from server.wire.client import MODELS, Answer
from server.wire.made_up import DEEPEST, Impossible, Maker

NASTY: tuple[Any, ...] = (
    *(
        "",
        " ",
        "\0",
        "\u2028",
        "é",
        "🦊",
        "a\nb",
        "\x1b[31m",
        "../../etc/passwd",
        "'; DROP TABLE node; --",
        "${jndi:ldap://x}",
    ),
    *(
        "{{ Operation }}",
        "{{ssm:x}}",
        "%s%n",
        "%",
        "*",
        "null",
        "-1",
        "0",
        "9" * 40,
        "x" * 300,
        "x" * 70_000,
        "a/" * 40,
        "{}",
    ),
    *(
        "2026-11-20T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "arn:aws:ssm:::x",
        "/",
        "//",
        "a.b.c",
    ),
    *(None, True, False, 0, -1, 1, 2**31, 2**63, -(2**70), 1e300, -0.5, [], {}, [[]], [None], {"": None}, [""], [{}]),
)
# Codes of no model that any operation may refuse with (spec §0.4).
COMMON = frozenset(
    {
        "AccessDeniedException",
        "IncompleteSignatureException",
        "RequestEntityTooLargeException",
        "SerializationException",
        "ThrottlingException",
        "UnrecognizedClientException",
        "UnsupportedOperationException",
        "ValidationException",
    }
)
# Codes that an operation refuses with though its model does not declare them: what AWS answers in practice (spec §0.4, §1.19),
# and what a node is told that was deregistered.
BEYOND = {
    "DeleteInventory": {"IdempotentParameterMismatch"},
    "DeletePatchBaseline": {"DoesNotExistException"},
    "DeregisterPatchBaselineForPatchGroup": {"DoesNotExistException"},
    "GetDeployablePatchSnapshotForInstance": {"InvalidInstanceId"},
}
KEPT = 40  # values remembered under one name
LONGEST = 2048  # characters of a value that is remembered
_PARSER = create_parser("json")


MOMENTS = (-62135596800, -1, 0, 1.5, 1_795_147_200, 4e9, 253402300799)  # the first, the last, and some between


class Wild(Maker):
    """Makes values at the very edge of what the model allows as well: longest texts and lists, first and last moments."""

    def _timestamp(self, shape: Mapping[str, Any], depth: int) -> float:
        return self.chance.choice(MOMENTS) if self.chance.random() < 0.3 else super()._timestamp(shape, depth)

    def _string(self, shape: Mapping[str, Any], depth: int) -> str:
        longest = shape.get("max", 4000)
        if self.chance.random() < 0.03 and longest < 20_000 and "pattern" not in shape and "enum" not in shape:
            return self.chance.choice("xé🦊/") * longest
        return super()._string(shape, depth)

    def _list(self, shape: Mapping[str, Any], depth: int) -> list[Any]:
        if self.chance.random() < 0.02 and depth < DEEPEST:
            return [
                self.value(shape["member"]["shape"], depth=depth + 3) for _ in range(min(shape.get("max", 50), 200))
            ]
        return super()._list(shape, depth)


class Pool(Mapping[str, Sequence[Any]]):
    """What exists, by name: half the time what was known to begin with, else what was learned."""

    def __init__(self, given: Mapping[str, Sequence[Any]], chance: random.Random) -> None:
        self._given = dict(given)
        self._learned: dict[str, list[Any]] = {}
        self._chance = chance

    def __getitem__(self, name: str) -> Sequence[Any]:
        given, learned = self._given.get(name), self._learned.get(name)
        if given and learned:
            return given if self._chance.random() < 0.5 else learned
        return given or self._learned[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**self._given, **self._learned})

    def __len__(self) -> int:
        return len({**self._given, **self._learned})

    def learn(self, name: str, value: Any) -> None:
        """Remember *value*; of many, some."""
        known = self._learned.setdefault(name, [])
        if value not in known:
            if len(known) < KEPT:
                known.append(value)
            else:
                known[self._chance.randrange(KEPT)] = value


class Storm:
    """Blows over *house*, as root and as *node*; everything drawn from *chance*. *counts* says what came of it."""

    def __init__(
        self, house: House, node: Credential, pools: Mapping[str, Sequence[Any]], chance: random.Random, *, region: str
    ) -> None:
        self.house = house
        self.node = node
        self.chance = chance
        self.region = region
        self.pools = Pool(pools, chance)
        self.fixed = {"Destination"}  # a poll for the node itself waits until something comes
        self.counts: Counter[str] = Counter()
        self.served: Counter[str] = Counter()
        self.codes: set[tuple[str, str]] = set()
        self._pages: list[tuple[str, dict[str, Any]]] = []
        self._scenes: list[dict[str, str]] = []  # texts that were named together, by shape

    async def blow(self, calls: int, targets: Sequence[str]) -> None:
        """So many calls, to every target about as often."""
        for number in range(calls):
            if number % len(targets) == 0:
                order = self.chance.sample(list(targets), len(targets))
            await self._call(order[number % len(targets)])
            if number % 200 == 199:
                await self._work()
            self.house.clock.time += self.chance.choice([0, 0, 1, 1, 60, 3600])

    async def _work(self) -> None:
        """Let every job of a worker take a step: nothing that was made up may stop one."""
        config = replace(load({}, {"XDG_STATE_HOME": "/nowhere"}), roles=frozenset({"worker"}))
        for job in app.jobs(config, self.house.wired):
            try:
                await job.step()
            except Exception as error:
                raise AssertionError(f"the job {job.name} failed") from error

    async def _call(self, target: str) -> None:
        target, request = self._next_page() if self._pages and self.chance.random() < 0.05 else (target, None)
        if request is None:
            request = self._made_up(target)
        body = request if isinstance(request, bytes) else json.dumps(request, default=_text_of).encode()
        await self.hold(target, body, request if isinstance(request, dict) else {})

    def _made_up(self, target: str) -> Any:
        shapes, shape = _input(target)
        try:
            request = Wild(shapes, self.chance, pool=self.pools).value(shape)
        except Impossible:
            request = {}
        if self._scenes and self.chance.random() < 0.5:
            request = {**request, **self._together(shapes[shape])}
        if self.chance.random() < 0.9:  # a token that was made up, or is another request's, is always refused
            request = {name: one for name, one in request.items() if name != "NextToken"}
        dice = self.chance.random()
        if dice < 0.02:
            return self.chance.randbytes(self.chance.randint(1, 60))
        for _ in range(0 if dice < 0.67 else self.chance.randint(1, 3)):
            request = self.spoilt(request)
        return request

    def _together(self, shape: Mapping[str, Any]) -> dict[str, str]:
        """Members of *shape* that belong together, as they were named together: a window and a task of it."""
        needed = {one: shape["members"][one]["shape"] for one in shape.get("required", ())}
        for scene in self.chance.sample(self._scenes, min(len(self._scenes), 12)):
            found = {member: scene[name] for member, name in needed.items() if name in scene}
            if len(found) > 1:
                return found
        return {}

    def spoilt(self, value: Any) -> Any:
        """*value*, wrong in one place: another thing there, nothing, too much, or a member nobody knows."""
        if isinstance(value, str) and value and self.chance.random() < 0.5:
            return self._misspelt(value)
        if not isinstance(value, dict | list) or not value or self.chance.random() < 0.15:
            return self.chance.choice(NASTY)
        if isinstance(value, list):
            place = self.chance.randrange(len(value))
            if self.chance.random() < 0.1:
                return value * 60
            return [self.spoilt(one) if number == place else one for number, one in enumerate(value)]
        name = self.chance.choice(sorted(value))
        dice = self.chance.random()
        if dice < 0.1:
            return {key: one for key, one in value.items() if key != name}
        if dice < 0.2:
            return {**value, self.chance.choice(["Unknown", "", name.lower(), name + "s"]): self.chance.choice(NASTY)}
        return {**value, name: self.spoilt(value[name])}

    def _misspelt(self, text: str) -> str:
        """*text* with a letter that is gone, doubled or another; a text that is JSON, wrong in one place inside."""
        if text[0] == "{" and self.chance.random() < 0.8:
            try:
                return json.dumps(self.spoilt(json.loads(text)))
            except ValueError:
                pass  # it was spoilt before
        place = self.chance.randrange(len(text))
        letter = self.chance.choice(["", text[place] * 2, self.chance.choice("0*?/#L,-. é{}\\\"'")])
        return text[:place] + letter + text[place + 1 :]

    def _next_page(self) -> tuple[str, dict[str, Any]]:
        return self._pages.pop(self.chance.randrange(len(self._pages)))

    def _signer(self, target: str) -> Credential | None:
        audience = AUDIENCE.get(target) or AUDIENCE[target.partition(".")[0]]
        node = audience == NODE or (audience == ANY and self.chance.random() < 0.4)
        return self.node if node or audience == ANONYMOUS else None

    async def hold(self, target: str, body: bytes, request: Mapping[str, Any]) -> Answer:
        """Call, and hold answer, log and database to what is promised."""
        house, key = self.house, self._signer(target)
        units = house.wired.database.counters.units
        answer = await house.call(target, body, key=key, region=self.region)
        told = (target, body[:4000])
        (line,) = house.lines
        assert line["request_id"] == answer.headers["x-amzn-requestid"], told
        assert answer.status in {200, 400, 413}, (*told, line.get("traceback", line))
        assert (line["status"], line["error"]) == (answer.status, None if answer.status == 200 else answer.code), told
        parsed = self._parsed(target, answer)
        self.counts["calls"] += 1
        if answer.status == 200:
            self.served[target] += 1
            self._learn(target, request, parsed)
        else:
            self.codes.add((target.partition(".")[2], answer.code))
            assert not target.startswith("AmazonSSM.") or answer.code in _codes(target), (answer.code, *told)
            if key is self.node and answer.code == "UnrecognizedClientException":  # it was deregistered
                self.node = await house.enrol(region=self.region, tags={"Patch Group": "web"})
                self.pools.learn("InstanceId", self.node.instance_id)
            if house.wired.database.counters.units != units:
                await self._hold_unwritten(target, body, key)
        return answer

    async def _hold_unwritten(self, target: str, body: bytes, key: Credential | None) -> None:
        """A refusal that ran a unit of work wrote nothing with it, nor will it when asked again."""
        self.counts["refusals that ran a unit"] += 1
        before = await self.house.dump()
        answer = await self.house.call(target, body, key=key, region=self.region)
        if answer.status != 200:
            assert await self.house.dump() == before, (target, body[:4000])

    def _parsed(self, target: str, answer: Answer) -> dict[str, Any]:
        """Read *answer* as botocore does."""
        response = {"status_code": answer.status, "headers": answer.headers, "body": answer.body}
        parsed: dict[str, Any] = _PARSER.parse(response, _model(target).output_shape)
        if answer.status != 200:
            assert parsed["Error"]["Code"] == answer.code
            assert parsed["Error"]["Message"]
        assert parsed["ResponseMetadata"]["RequestId"] == answer.headers["x-amzn-requestid"]
        return parsed

    def _learn(self, target: str, request: Mapping[str, Any], parsed: Mapping[str, Any]) -> None:
        """Remember what is named: it exists. And what has another page, to ask for it."""
        described = MODELS.operation(target)
        model = _service(target)["operations"][described.name]
        for side, value in (("input", request), ("output", parsed)):
            if side in model:
                self._remember(_service(target)["shapes"], model[side]["shape"], "", value)
        self._keep_scenes(target, request, parsed)
        if parsed.get("NextToken") and len(self._pages) < KEPT:
            self._pages.append((target, {**request, "NextToken": parsed["NextToken"]}))

    def _keep_scenes(self, target: str, request: Mapping[str, Any], parsed: Mapping[str, Any]) -> None:
        """What the request and the answer name at their top, and with each of the things they list."""
        shapes, model = _service(target)["shapes"], _service(target)["operations"][target.partition(".")[2]]
        top: dict[str, str] = {}
        listed: list[dict[str, str]] = []
        for side, value in (("input", request), ("output", parsed)):
            for member, reference in shapes[model[side]["shape"]]["members"].items() if side in model else ():
                shape, one = shapes[reference["shape"]], value.get(member)
                if isinstance(one, str):
                    top[reference["shape"]] = one
                elif isinstance(one, list) and one:
                    listed += [_texts(shapes, shape["member"]["shape"], item) for item in one[:3]]
        for scene in [{**top, **item} for item in listed] or [top]:
            if len(scene) > 1:
                place = self.chance.randrange(4 * KEPT)
                self._scenes[place : place + 1] = [scene]

    def _remember(self, shapes: Mapping[str, Any], name: str, member: str, value: Any) -> None:
        shape = shapes[name]
        if shape["type"] == "structure" and isinstance(value, dict) and not shape.get("document"):
            for key, one in value.items():
                if key in shape["members"]:
                    self._remember(shapes, shape["members"][key]["shape"], key, one)
        elif shape["type"] == "list" and isinstance(value, list):
            for one in value[:5]:
                self._remember(shapes, shape["member"]["shape"], "", one)
        elif shape["type"] == "string" and isinstance(value, str) and "enum" not in shape and len(value) < LONGEST:
            for key in sorted({name, member} - {""} - self.fixed):
                self.pools.learn(key, value)


def _texts(shapes: Mapping[str, Any], name: str, value: Any) -> dict[str, str]:
    """The texts of *value*, by shape."""
    if isinstance(value, str):
        return {name: value}
    if not isinstance(value, dict):
        return {}
    members = shapes[name].get("members", {})
    return {members[key]["shape"]: one for key, one in value.items() if key in members and isinstance(one, str)}


def _service(target: str) -> Mapping[str, Any]:
    service = MODELS.service(target.partition(".")[0])
    assert service is not None
    return service.model


def _codes(target: str) -> set[str]:
    """What an operation may refuse with."""
    declared = {shape.name for shape in _model(target).error_shapes}
    return declared | BEYOND.get(target.partition(".")[2], set()) | COMMON


def _input(target: str) -> tuple[Mapping[str, Any], str]:
    model = _service(target)
    shape: str = model["operations"][target.partition(".")[2]]["input"]["shape"]
    return model["shapes"], shape


_MODELS: dict[str, ServiceModel] = {}


def _model(target: str) -> Any:
    prefix, _, name = target.partition(".")
    if prefix not in _MODELS:
        _MODELS[prefix] = ServiceModel(_service(target), prefix)
    return _MODELS[prefix].operation_model(name)


def _text_of(value: Any) -> str:
    """A blob, as JSON has it."""
    return base64.b64encode(value).decode()
