# SPDX-License-Identifier: Apache-2.0
"""What comes before a request: connections, heads, and bytes that are no body, over real sockets."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time

import pytest
import uvicorn

from patchwright.server.wire import Proxies
from patchwright.server.wire.http import Doorstep

HOST = b"Host: patchwright.test\r\n"
PLAIN = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"


async def echo(scope, receive, send):
    """Answers with the size of the body and the number of headers."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message.get("body", b""))
        more = message.get("more_body", False)
    body = f"{size} {len(scope['headers'])}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def deaf(_scope, _receive, send):
    """Answers without reading the body, as for a request that is refused by its head."""
    await send({"type": "http.response.start", "status": 400, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@contextlib.contextmanager
def served(doorstep, app=echo):
    """Where *app* listens behind *doorstep*."""
    listener = socket.create_server(("127.0.0.1", 0))
    settings = uvicorn.Config(app, lifespan="off", log_config=None, http=doorstep.protocol(), ws="none", loop="uvloop")
    server = uvicorn.Server(settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        thread.join(timeout=30)
    assert not thread.is_alive()


def connect(address):
    sock = socket.create_connection(address, timeout=10)
    sock.settimeout(10)
    return sock


def said(sock, *parts):
    """What comes back when *parts* were sent, up to a whole answer or the end."""
    with contextlib.suppress(OSError):
        for part in parts:
            sock.sendall(part)
    found = b""
    with contextlib.suppress(OSError):
        while piece := sock.recv(65536):
            found += piece
            head, gap, body = found.partition(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            if gap and length and len(body) >= int(length):
                break
    return found


def status(answer):
    return int(answer.split(b" ", 2)[1]) if answer else 0


def ended(sock, seconds=10.0):
    """Whether the other end closes within *seconds*."""
    sock.settimeout(seconds)
    try:
        while sock.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def test_a_request_and_the_next_one_are_served():
    """The bounds are not felt by who stays within them; pipelined requests and bodies in chunks work."""
    with served(Doorstep()) as address, connect(address) as sock:
        for _ in range(3):
            assert said(sock, PLAIN).endswith(b"0 1")
        chunked = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        assert said(sock, chunked, b"3\r\nabc\r\n", b"2\r\nde\r\n0\r\nX-Late: 1\r\n\r\n").endswith(b"5 2")
        sock.sendall(PLAIN * 3)
        got = b""
        while got.count(b"0 1") < 3:
            got += sock.recv(65536)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n" + HOST + b"X-Long: " + b"x" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + HOST + b"".join(b"X-%d: 1\r\n" % number for number in range(200)) + b"\r\n",
        b"GET /" + b"x" * 60_000 + b" HTTP/1.1\r\n" + HOST + b"X-Long: " + b"x" * 6_000 + b"\r\n\r\n",
    ],
    ids=["a long header", "two hundred headers", "a long path"],
)
def test_a_head_that_is_too_large_is_refused(head):
    """431, and the connection ends; the application never hears of it."""
    with served(Doorstep()) as address:
        with connect(address) as sock:
            answer = said(sock, head)
            assert (status(answer), answer.rpartition(b"\r\n")[2]) == (
                431,
                b"The head of the request is larger than allowed.",
            )
            assert ended(sock)
        with connect(address) as sock:
            assert status(said(sock, PLAIN)) == 200


def test_a_head_without_end_is_cut_off():
    """Megabytes of headers are not gathered."""
    with served(Doorstep()) as address, connect(address) as sock:
        answer = said(sock, b"GET / HTTP/1.1\r\n" + HOST, *[b"X-More: " + b"y" * 8000 + b"\r\n"] * 2000)
        assert status(answer) in {0, 431}  # the answer may be lost where the client writes on
        assert ended(sock)


@pytest.mark.parametrize(
    "filler", [b"1;" + b"e" * 60_000, b"0\r\nX-Trailer: " + b"t" * 60_000], ids=["chunk", "trailer"]
)
def test_what_comes_beside_a_body_is_bounded(filler):
    """Extensions of chunks, and trailers that never end."""
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    with served(Doorstep()) as address, connect(address) as sock:
        sock.sendall(head + filler)
        with pytest.raises(OSError):  # reset or broken pipe, as the kernel has it
            sock.sendall(b"z" * 100_000_000)


@pytest.mark.parametrize("app", [echo, deaf])
@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["nothing", "half a head", "a body", "a body in chunks"],
)
def test_who_sends_a_byte_now_and_then_is_not_waited_for(begin, app):
    """A connection that never sends, and ones that trickle, end after their time, answered or not."""
    with served(Doorstep(head_seconds=0.4, seconds=0.6, look_seconds=0.1), app) as address, connect(address) as sock:
        sock.sendall(begin)
        drop = b"1\r\nx\r\n" if b"chunked" in begin else b"x"
        since = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - since < 15:
                if begin:
                    sock.sendall(drop)
                if ended(sock, 0.05):
                    break
        assert time.monotonic() - since < 8


def test_only_so_many_connections_are_taken_and_one_address_has_its_share():
    """One too many is closed at once; where one ends, another is let in."""
    with served(Doorstep(connections=8, from_one_address=5)) as address, contextlib.ExitStack() as stack:
        kept = [stack.enter_context(connect(address)) for _ in range(5)]
        assert [status(said(one, PLAIN)) for one in kept] == [200] * 5
        assert said(stack.enter_context(connect(address)), PLAIN) == b""
        kept[0].close()
        until = time.monotonic() + 10
        while (answer := said(stack.enter_context(connect(address)), PLAIN)) == b"" and time.monotonic() < until:
            pass
        assert status(answer) == 200
        assert [status(said(one, PLAIN)) for one in kept[1:]] == [200] * 4


def test_a_trusted_proxy_may_have_all_connections():
    """All its clients come from its address."""
    proxies = Proxies([ipaddress.ip_network("127.0.0.0/8")])
    doorstep = Doorstep(connections=8, from_one_address=2, proxies=proxies)
    with served(doorstep) as address, contextlib.ExitStack() as stack:
        assert [status(said(stack.enter_context(connect(address)), PLAIN)) for _ in range(8)] == [200] * 8
        assert said(stack.enter_context(connect(address)), PLAIN) == b""
    assert not doorstep.by_address


def test_connections_are_counted_by_open_files():
    """Half of all for one address; a number that is set wins."""
    assert Doorstep.sized(10, Proxies()).from_one_address == 5
    assert Doorstep.sized(0, Proxies()).connections >= 256


def test_garbage_is_answered_with_400_and_ends_the_connection():
    """Whatever is not HTTP."""
    with served(Doorstep()) as address:
        for garbage in (b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"\0" * 100, b"POST / HTTP/9.9\r\n\r\n"):
            with connect(address) as sock:
                assert status(said(sock, garbage)) == 400
                assert ended(sock)
