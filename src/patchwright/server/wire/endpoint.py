# SPDX-License-Identifier: Apache-2.0
"""The one door clients knock at, whichever protocol their service speaks. A plain ASGI application."""

from __future__ import annotations

import asyncio
import math
import traceback
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import structlog

from patchwright.core.errors import PatchwrightError
from patchwright.server.accounts import Signed
from patchwright.server.infra import Clock, RequestIds

from .body import Disconnected, Receive, inflate, read_body
from .caller import Caller, Handler
from .errors import ApiError, WireMismatch, access_denied, invalid_signature, serialization
from .gate import Bounds, Gate
from .protocol import NOTHING, Asked, Dialect, Operation, Reply
from .replays import Replays, sdk_call
from .routing import Limits, Route, Router, check_address, raw_path
from .services import ANONYMOUS, ANY, AUDIENCE, Models
from .shapes import Shapes
from .sigv4 import UNSIGNED, Claim, Lookup, SessionLookup, Verifier, fold_headers, no_sessions, signed_key
from .watch import Refusal, Unwatched, Watch

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_NO_SERVICE = Dialect({"metadata": {}, "shapes": {}}, Shapes({}))  # answers where no service is found
_BODILESS = frozenset({204, 304})
_OFFLOAD_HASH = 1024 * 1024  # bytes from which hashing, and
_OFFLOAD_INFLATE = 64 * 1024  # bytes from which inflating or reading would hold up the event loop
_CLIENT_GONE = 499  # in the log only
_LONGEST_TARGET = 128
_LONGEST_CALL = 200


@dataclass(slots=True)
class _Call:
    """What the log line of a request says."""

    request_id: str
    started: float
    target: str = ""
    account: str = ""
    principal: str = ""
    status: int = _CLIENT_GONE
    error: str | None = "Cancelled"
    unexpected: BaseException | None = None
    dialect: Dialect = _NO_SERVICE
    source_ip: str = ""
    secure: bool = False
    key_id: str = ""
    caller: Caller | None = None
    request: Mapping[str, Any] | None = None
    claimed: str = ""  # the account of the key, before anything is proved


class NotAdmitted(PatchwrightError):
    """Whoever asks is refused; *reply* is what it is told: status, headers, body."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"refused with {reply[0]}")
        self.reply = reply


class Endpoint:
    """
    Serves *operations*, by target (`"AmazonSSM.SendCommand"`), to callers who sign with keys that *lookup* knows.

    Requests with a session token are signed with keys that *sessions* knows; *used* learns of every claim that is proved.
    *errors* maps the rooms' errors to AWS's codes; the most specific class wins, the message is the error's own.
    *audience* says who may call what: "user", "node", "any" or "anonymous", by target or by prefix. *parked* are targets
    whose handlers wait for something to happen: they are cancelled when the client goes away. *watch* is told of what is
    served and of what is refused. *log* is a
    structlog logger: one line per request, never a body or a secret. *bounds* say how often may be asked, and how far clocks
    may be off; *replays* knows which signatures were used. Raises WireMismatch for an operation without model.
    """

    def __init__(
        self,
        operations: Mapping[str, Handler],
        *,
        models: Models,
        lookup: Lookup,
        sessions: SessionLookup = no_sessions,
        used: Callable[[Claim], None] | None = None,
        clock: Clock,
        errors: Mapping[type[Exception], str] = MappingProxyType({}),
        audience: Mapping[str, str] = AUDIENCE,
        limits: Limits | None = None,
        parked: Collection[str] = (),
        watch: Watch | None = None,
        bounds: Bounds | None = None,
        replays: Replays | None = None,
        log: Any = None,
    ) -> None:
        bounds = bounds or Bounds()
        self._limits = limits or Limits()
        self._models = models
        self._router = Router(operations, models, audience=audience, limits=self._limits)
        self._verifier = Verifier(lookup, clock.now, sessions=sessions, window=bounds.clock_skew)
        self._gate = Gate(bounds, clock, replays=replays)
        self._proxies = bounds.proxies
        self._used = used
        self._clock = clock
        self._errors = errors
        self._parked = frozenset(parked)
        self._watch = watch or Unwatched()
        self._log = structlog.get_logger("patchwright.wire") if log is None else log
        self._request_ids = RequestIds()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request (ASGI, scope type `http`)."""
        if scope["type"] != "http":
            raise NotImplementedError(f"the endpoint does not speak {scope['type']}")
        call = _Call(self._request_ids.next(), self._clock.monotonic())
        try:
            reply = await self._answer(scope, receive, call)
            call.status, call.error = reply[0], None
            await _respond(send, call, reply)
        except Disconnected:
            call.status, call.error = _CLIENT_GONE, "Disconnected"
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, the client gets an answer and the log a line
            await _respond(send, call, self._refuse(error, call))
        finally:
            self._write_line(call)

    async def identify(
        self,
        scope: MutableMapping[str, Any],
        *,
        service: str,
        target: str,
        status: int = 200,
        content: Callable[[], Awaitable[bytes]] | None = None,
        check: Callable[[Caller], Awaitable[None]] | None = None,
    ) -> Caller:
        """
        Who signed a request that leads to no operation, and goes on as something else: a channel, a stream of events, an object.

        *content* reads its body, if it has one; it is asked for that once it is known who signed the headers.
        *target* and *status* are what the log says of it; *service*, one of the models, is what it is signed for, and how a
        refusal looks. *check* may refuse who it is, by raising as a handler does. Raises NotAdmitted.
        """
        call = _Call(self._request_ids.next(), self._clock.monotonic(), target=target)
        try:
            found = self._models.service(service)
            call.dialect = _NO_SERVICE if found is None else found.dialect
            signed_for = service if found is None else found.signing_name
            caller = await self._identified(scope, call, signed_for, content)
            if check is not None:
                await check(caller)
        except Exception as error:
            raise NotAdmitted(_head(call, self._refuse(error, call))) from error
        else:
            call.status, call.error = status, None
            return caller
        finally:
            self._write_line(call)

    def refusal(self, error: Exception, caller: Caller, request: Mapping[str, Any]) -> ApiError:
        """
        What *caller*, whom `identify` gave, is told where what he goes on to ask for ended with *error*; the trail is told of it,
        and the log.
        """
        call = _Call(caller.request_id, self._clock.monotonic(), target=caller.target)
        call.source_ip, call.key_id, call.caller, call.request = caller.source_ip, caller.access_key_id, caller, request
        call.account, call.principal = caller.account, caller.principal
        refusal = self._refusal(error, call)
        call.status, call.error = refusal.status, refusal.code
        self._note(call)
        self._write_line(call)
        return refusal

    async def _identified(
        self,
        scope: MutableMapping[str, Any],
        call: _Call,
        service: str,
        content: Callable[[], Awaitable[bytes]] | None,
    ) -> Caller:
        headers = fold_headers(scope["headers"])
        call.source_ip, call.key_id = self._proxies.source(scope, headers), signed_key(headers)
        call.secure = self._proxies.secure(scope, headers)
        claim = await self._verifier.claim(headers, service=service)
        call.claimed = claim.credential.account
        body = b""
        if content is not None:
            if headers.get(b"x-amz-content-sha256") == UNSIGNED and not call.secure:
                raise invalid_signature("A payload that is not signed is accepted over TLS alone.")
            await self._verify(claim, headers, None, scope, located=True)
            body = await content()
        await self._verify(claim, headers, body, scope, located=True)
        if self._used is not None:
            self._used(claim)
        caller = call.caller = _caller(claim, call)
        await self._gate.admit(claim, headers, source=call.source_ip, target=call.target)
        return caller

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive, call: _Call) -> Reply:
        headers = fold_headers(scope["headers"])
        call.source_ip, call.key_id = self._proxies.source(scope, headers), signed_key(headers)
        call.secure = self._proxies.secure(scope, headers)
        route, labels = self._route(scope, headers, call)
        claim = None
        if route.audience != ANONYMOUS:
            _refuse_presigned(scope, headers)
            claim = await self._verifier.claim(headers, service=route.service.signing_name)
            call.claimed = claim.credential.account
        else:
            self._gate.stranger(call.source_ip)
        body = await read_body(receive, headers, limit=route.limit, seconds=self._limits.seconds)
        public_key = ""
        if claim is not None:
            public_key = await self._verify(claim, headers, body, scope, located=labels is not None)
            if self._used is not None:
                self._used(claim)
        operation = route.operation
        if operation is None:
            route, operation = self._router.by_form(route.service, body)
            call.target = operation.target
        caller = call.caller = _caller(claim, call, public_key, sdk_call(headers))
        if claim is not None:
            await self._gate.admit(claim, headers, source=call.source_ip, target=call.target)
        _check_audience(route, caller)
        if route.handler is None:
            raise ApiError("UnsupportedOperationException", f"Patchwright does not serve {call.target} yet.")
        asked = None if labels is None else _asked(labels, headers, claim, scope)
        request = call.request = await _read(operation, await self._content(route, headers, body), asked)
        with self._watch.during(caller, request):
            answer = route.handler(caller, request)
            if call.target in self._parked:
                answer = _while_connected(answer, receive)
            answered = await answer
        return operation.answer(answered, call.request_id)

    def _route(
        self, scope: MutableMapping[str, Any], headers: Mapping[bytes, bytes], call: _Call
    ) -> tuple[Route, Mapping[str, str] | None]:
        """Where the request leads, and the labels in its path (None: it is JSON's, and has none)."""
        target = headers.get(b"x-amz-target")
        service = self._router.service_of(headers) if target is None else None
        if service is not None:
            call.target, call.dialect = service.key, service.dialect
            route, labels = self._router.by_path(service, scope)
            if route.operation is not None:
                call.target = route.operation.target
            return route, labels
        call.target = "" if target is None else target[:_LONGEST_TARGET].decode("latin-1")
        check_address(scope)
        route = self._router.by_target(call.target)
        call.dialect = route.service.dialect
        return route, None

    async def _verify(
        self,
        claim: Claim,
        headers: Mapping[bytes, bytes],
        body: bytes | None,
        scope: MutableMapping[str, Any],
        *,
        located: bool,
    ) -> str:
        query = scope.get("query_string", b"").decode("latin-1")
        # What has no place of its own is `POST /`, which is checked already.
        method, path = (scope.get("method", "GET"), raw_path(scope)) if located else ("POST", "/")
        if body is None or len(body) < _OFFLOAD_HASH:
            return self._verifier.verify(claim, headers, body, method=method, path=path, query=query)
        verify = self._verifier.verify
        return await asyncio.to_thread(verify, claim, headers, body, method=method, path=path, query=query)

    async def _content(self, route: Route, headers: Mapping[bytes, bytes], body: bytes) -> bytes:
        encoding = headers.get(b"content-encoding", b"identity").lower()
        if encoding == b"identity":
            return body
        if encoding != b"gzip" or not route.service.accepts_gzip or route.audience == ANONYMOUS:
            raise serialization("This Content-Encoding is not accepted here.")
        if len(body) < _OFFLOAD_INFLATE:
            return inflate(body, limit=route.inflated)
        return await asyncio.to_thread(inflate, body, limit=route.inflated)

    def _refuse(self, error: Exception, call: _Call) -> Reply:
        """What is sent back instead of an answer."""
        if call.caller is None:
            error = self._gate.failed(call.source_ip) or error
        refusal = self._refusal(error, call)
        try:
            reply = call.dialect.refusal(refusal, call.request_id)
        except WireMismatch as mismatch:
            refusal = self._refusal(mismatch, call)
            reply = call.dialect.refusal(refusal, call.request_id)
        if refusal.retry_after is not None:
            status, more, body = reply
            reply = status, (*more, (b"retry-after", str(math.ceil(refusal.retry_after)).encode())), body
        call.status, call.error = reply[0], refusal.code
        self._note(call)
        return reply

    def _note(self, call: _Call) -> None:
        """Tell the trail that *call* was refused."""
        self._watch.refused(
            Refusal(
                code=call.error or "",
                target=call.target,
                request_id=call.request_id,
                source_ip=call.source_ip,
                caller=call.caller,
                account=call.claimed,
                key_id=call.key_id,
                request=call.request or NOTHING,
            )
        )

    def _refusal(self, error: Exception, call: _Call) -> ApiError:
        """What the client is told about *error*."""
        if isinstance(error, ApiError):
            return error
        for kind in type(error).__mro__:
            code = self._errors.get(kind)
            if code is not None:
                return ApiError(code, str(error))
        call.unexpected = error
        return ApiError("InternalServerError", f"The server failed to answer. The request id is {call.request_id}.")

    def _write_line(self, call: _Call) -> None:
        line = {
            "request_id": call.request_id,
            "target": call.target,
            "account": call.account,
            "principal": call.principal,
            "status": call.status,
            "error": call.error,
            "ms": round((self._clock.monotonic() - call.started) * 1000, 3),
        }
        if call.unexpected is None:
            self._log.info("call", **line)
        else:
            # Formatted here: a renderer that shows local variables would show bodies.
            self._log.error("call", **line, traceback="".join(traceback.format_exception(call.unexpected)))


async def _read(operation: Operation, content: bytes, asked: Asked | None) -> dict[str, Any]:
    if len(content) < _OFFLOAD_INFLATE:
        return operation.read(content, asked)
    operation.input.prepare()
    return await asyncio.to_thread(operation.read, content, asked)


def _asked(
    labels: Mapping[str, str], headers: Mapping[bytes, bytes], claim: Claim | None, scope: Mapping[str, Any]
) -> Asked:
    signed = () if claim is None else claim.signed_headers
    return Asked(labels, scope.get("query_string", b"").decode("latin-1"), headers, signed)


def _refuse_presigned(scope: Mapping[str, Any], headers: Mapping[bytes, bytes]) -> None:
    if b"authorization" not in headers and b"x-amz-signature" in scope.get("query_string", b"").lower():
        raise ApiError(
            "MissingAuthenticationTokenException",
            "Presigned requests are not accepted here; send an Authorization header.",
        )


def _caller(claim: Claim | None, call: _Call, public_key: str = "", sdk_call: bytes = b"") -> Caller:
    """Who calls, now that it is proved; noted for the log as well."""
    if claim is None:
        return Caller("", "", "anonymous", "anonymous", None, call.request_id, call.source_ip, call.target)
    owner = claim.credential
    call.account, call.principal = owner.account, owner.principal
    return Caller(
        account=owner.account,
        region=claim.region,
        principal=owner.principal,
        kind=owner.kind,
        instance_id=owner.instance_id,
        request_id=call.request_id,
        secure=call.secure,
        source_ip=call.source_ip,
        target=call.target,
        access_key_id=owner.access_key_id,
        identity=owner.identity,
        public_key=public_key,
        signed=Signed(f"{claim.number:016x}", sdk_call.decode("latin-1")[:_LONGEST_CALL], call.source_ip),
    )


def _check_audience(route: Route, caller: Caller) -> None:
    if route.audience not in {ANY, caller.kind}:
        raise access_denied(
            f"{caller.principal} is not authorized to perform {caller.target}: it is for {route.audience}s."
        )


async def _while_connected(answer: Awaitable[dict[str, Any]], receive: Receive) -> dict[str, Any]:
    """What *answer* comes to; it is cancelled, and Disconnected raised, if the client goes away before that."""
    work, gone = asyncio.ensure_future(answer), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise Disconnected
        return work.result()
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _head(call: _Call, reply: Reply) -> Reply:
    """*reply* with the headers that every answer has."""
    status, more, body = reply
    kind = (b"content-type", call.dialect.content_type)
    return status, (kind, (b"x-amzn-requestid", call.request_id.encode()), *more), body


async def _respond(send: Send, call: _Call, reply: Reply) -> None:
    status, more, body = _head(call, reply)
    headers = [*more]
    if status not in _BODILESS:
        headers.append((b"content-length", str(len(body)).encode()))
    if status == 405:
        headers.append((b"allow", b"POST"))
    if status in {408, 413}:
        headers.append((b"connection", b"close"))  # the rest of the body is not worth reading
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
