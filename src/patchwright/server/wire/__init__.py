# SPDX-License-Identifier: Apache-2.0
"""
The AWS wire: endpoint, protocol, signatures, errors, paging. The only package that knows botocore.

    models = load_models(strict=False)                 service models: botocore's and ours; strict in tests
    Endpoint(operations, models=, lookup=, clock=,     a plain ASGI application: JSON 1.0 and 1.1, REST-JSON, Query
             errors=, audience=, limits=, log=)
        operations   {"AmazonSSM.SendCommand": handler, "iam.CreateUser": …}, by the key of the service in SOURCES;
                     async handler(caller: Caller, request: dict) -> dict, the same whatever the service speaks
        lookup       async lookup(access_key_id) -> Credential | None; KnownKeys(lookup, monotonic).find remembers for a moment
        sessions     async sessions(access_key_id, token) -> Credential | None; KnownKeys(…, sessions=).find_session likewise
        used         used(claim): a request was signed by who it says
        errors       {RoomError: "AwsErrorCode"}; the most specific class wins
        audience     {"AmazonSSM.X" or "AmazonSSM": USER | NODE | ANY | ANONYMOUS}; default AUDIENCE
        watch        a Watch, told of what is served and what is refused
        bounds       Bounds(users, nodes, strangers, clock_skew, proxies): how often who may ask, from where, how late
        limits       Limits(body, bulk, inflated, anonymous, seconds, by_target)
    await endpoint.identify(scope, service=, target=)  who signed a GET that becomes a channel or a stream; or NotAdmitted
    raise ApiError(code, message, status=, members=)   or validation(text), access_denied(text), serialization(text)
    pager = Pager(key, models)                         pager.cursor(caller, request); pager.token(caller, request, cursor)
    Verifier(lookup, now)                              SigV4 for what is not `POST /` (channels): claim(), then verify()
    Doorstep(connections, …).protocol(), WebSocket     what uvicorn speaks: uvicorn.Config(http=…, ws=…), within these bounds
    recalled(path, window=, now=), keep(path, replays) which signatures were used, over a restart
    Certificate.given(chain, key), .self_made(…)       what TLS shows, and its pin
    signing_key(secret, date, region, service)         for callers that sign themselves

Requests reach handlers as plain dicts: members by name, absent where null, timestamps as epoch seconds (float), blobs as
bytes, validated against the model. Answers go back the same way; None is left out.
"""

from __future__ import annotations

from .body import Disconnected, read_body
from .caller import Caller, Handler
from .certificate import Certificate
from .endpoint import Endpoint, NotAdmitted
from .errors import (
    ApiError,
    WireMismatch,
    access_denied,
    expired_token,
    serialization,
    throttled,
    unrecognized_client,
    validation,
)
from .gate import Bounds
from .http import Doorstep, Protocol, WebSocket
from .known_keys import KnownKeys
from .paging import Pager
from .proxies import Proxies
from .rates import Rate, Rates
from .replays import Replays, keep, recalled
from .routing import Limits, raw_path
from .services import ANONYMOUS, ANY, AUDIENCE, NODE, USER, Models, Service, load_models
from .sigv4 import (
    Claim,
    Credential,
    Lookup,
    SessionLookup,
    Verifier,
    fold_headers,
    signed_key,
    signed_service,
    signing_key,
)
from .watch import Refusal, Watch

__all__ = [
    "ANONYMOUS",
    "ANY",
    "AUDIENCE",
    "NODE",
    "USER",
    "ApiError",
    "Bounds",
    "Caller",
    "Certificate",
    "Claim",
    "Credential",
    "Disconnected",
    "Doorstep",
    "Endpoint",
    "Handler",
    "KnownKeys",
    "Limits",
    "Lookup",
    "Models",
    "NotAdmitted",
    "Pager",
    "Protocol",
    "Proxies",
    "Rate",
    "Rates",
    "Refusal",
    "Replays",
    "Service",
    "SessionLookup",
    "Verifier",
    "Watch",
    "WebSocket",
    "WireMismatch",
    "access_denied",
    "expired_token",
    "fold_headers",
    "keep",
    "load_models",
    "raw_path",
    "read_body",
    "recalled",
    "serialization",
    "signed_key",
    "signed_service",
    "signing_key",
    "throttled",
    "unrecognized_client",
    "validation",
]
