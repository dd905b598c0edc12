# SPDX-License-Identifier: Apache-2.0
"""Webhooks lead where they should, and nowhere else."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl

import pytest

from patchwright.server.events import InvalidSubscription, Postman, sending
from patchwright.server.events.sending import Answer, is_public
from patchwright.server.wire import Certificate
from server.events.desk import LOOPBACK
from server.events.receiver import receiving


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.1.1", "172.16.0.1", "192.168.1.1", "169.254.169.254"),
        *("100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1"),
        *("::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::7f00:1"),
        *("2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b:1::1", "2001:0:102:304::f5ff:fffe"),
        *("fec0::1", "3fff::1"),
    ],
)
def test_an_address_that_is_not_of_the_public_network_is_not_reached(address):
    """Also where it stands for another one."""
    assert not is_public(ipaddress.ip_address(address))
    literal = f"[{address}]" if ":" in address else address
    with pytest.raises(InvalidSubscription, match="no address of the public network"):
        Postman().check(f"https://{literal}/")


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2001:4860:4860::8888"])
def test_an_address_of_the_public_network_may_be_reached(address):
    """Most webhooks lead there."""
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "example.com",
            "ftp://example.com/",
            "https://",
            "https:///path",
            "//example.com/",
            "https://example.com:0/",
        ),
        *("https://user@example.com/", "https://user:word@example.com/", "https://example.com/#part"),
        *("https://example.com:99999/", "https://example.com:x/", "https://exa mple.com/", "https://example.com/a b"),
        *(
            "https://example.com/\r\nhost: other",
            "https://ex\u00e4mple.com/",
            "https://[::1",
            "https://[fe80::1%25lo]/",
        ),
        *("https://example.com/" + "a" * 2048, "file:///etc/passwd", "gopher://example.com/", "https://exa%6dple.com/"),
    ],
)
def test_what_is_no_url_of_a_webhook_is_refused(url):
    """Nothing is stored that could not be sent to, or that would smuggle something into the request."""
    with pytest.raises(InvalidSubscription):
        Postman(LOOPBACK).check(url)


def test_without_tls_only_where_a_setting_says_so():
    """What is signed could be read on the way; in networks of one's own that may be good enough."""
    with pytest.raises(InvalidSubscription, match="https://"):
        Postman().check("http://example.com/")
    Postman(LOOPBACK).check("http://127.0.0.1/")
    Postman(LOOPBACK).check("https://example.com/")


async def test_what_a_name_means_is_looked_at_when_something_is_sent(monkeypatch):
    """A name that leads inside leads nowhere, whatever it meant when the subscription was made; nor does HTTP to the outside."""
    meant = {"inside.example": "169.254.169.254", "outside.example": "192.88.99.1"}

    def looked_up(host, port, **_):
        return [(2, 1, 6, "", (meant[host], port))]

    monkeypatch.setattr(sending.socket, "getaddrinfo", looked_up)
    postman = Postman(LOOPBACK)
    postman.check("https://inside.example/")
    answer = await postman.post("https://inside.example/", b"{}", {})
    assert answer.code == 0
    assert "no address of the public network" in answer.reason
    answer = await postman.post("http://outside.example/", b"{}", {})
    assert answer.code == 0
    assert "begins with https://" in answer.reason


async def test_of_several_addresses_the_one_that_may_be_reached_is(monkeypatch):
    """And the connection goes to the address that was looked at, by name only for TLS."""
    async with receiving() as receiver:
        asked = []

        def looked_up(host, port, **_):
            asked.append(host)
            return [(2, 1, 6, "", ("10.0.0.1", port)), (2, 1, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(sending.socket, "getaddrinfo", looked_up)
        answer = await Postman(LOOPBACK).post(f"http://hook.example:{receiver.port}/x", b"{}", {"a": "b"})
        assert answer == Answer(200, "")
        assert asked == ["hook.example"]
        assert receiver.posted[0].headers["host"] == f"hook.example:{receiver.port}"
        assert receiver.posted[0].headers["a"] == "b"


@pytest.mark.parametrize(
    ("sent", "code", "reason"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
        (b"HTTP/1.0 200\r\n\r\nbody", 200, ""),
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\n\r\n", 302, "The receiver answered 302."),
        (b"HTTP/1.1 500 No\r\n\r\n<secret>", 500, "The receiver answered 500."),
        (b"SSH-2.0-x\r\n\r\n", 0, "The answer is no HTTP."),
        (b"", 0, "The connection ended before there was an answer."),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 10_000 + b"\r\n", 0, "The head of the answer is too long."),
    ],
)
async def test_of_an_answer_the_status_counts_and_nothing_else(sent, code, reason):
    """Redirects are not followed, bodies not shown, and what is no answer is said to be none."""
    async with receiving(sent) as receiver:
        answer = await Postman(LOOPBACK).post(receiver.url, b"{}", {})
    assert (answer.code, answer.reason) == (code, reason)
    assert len(receiver.posted) == 1


async def test_when_the_receiver_wants_to_be_left_alone_is_understood():
    """Retry-After in seconds is heard, and nothing else of that name."""
    for header, seconds in (("Retry-After: 17", 17), ("retry-after:5", 5), ("Retry-After: Fri, 01 Jan", 0)):
        async with receiving(f"HTTP/1.1 429 Slow\r\n{header}\r\n\r\n".encode()) as receiver:
            assert (await Postman(LOOPBACK).post(receiver.url, b"{}", {})).retry_after == seconds


async def test_nobody_is_waited_for_longer_than_was_said(monkeypatch):
    """One that accepts and says nothing costs a moment, and no more."""
    monkeypatch.setattr(sending, "SECONDS", 0.2)
    async with receiving() as receiver:
        receiver.held = asyncio.Event()
        answer = await Postman(LOOPBACK).post(receiver.url, b"{}", {})
        assert answer == Answer(0, "There was no answer within 0.2 seconds.")
        receiver.held.set()


async def test_where_nobody_listens_it_says_so():
    """The reason is one that helps."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        answer = await Postman(LOOPBACK).post(f"http://127.0.0.1:{taken.getsockname()[1]}/", b"{}", {})
    assert answer == Answer(0, "The connection failed: Connection refused.")


async def test_a_certificate_is_checked_against_the_name(tmp_path, monkeypatch):
    """Over TLS the receiver proves who it is, or nothing is sent to it."""
    made = Certificate.self_made(tmp_path, host="hook.example", public_url="")
    trusted = ssl.create_default_context(cafile=str(made.chain))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(made.chain, made.key)
    monkeypatch.setattr(sending.socket, "getaddrinfo", lambda _, port, **__: [(2, 1, 6, "", ("127.0.0.1", port))])
    async with receiving(tls=serving) as receiver:
        good = f"https://hook.example:{receiver.port}/"
        assert await Postman(LOOPBACK, context=trusted).post(good, b"{}", {}) == Answer(200, "")
        unknown = await Postman(LOOPBACK).post(good, b"{}", {})
        other = await Postman(LOOPBACK, context=trusted).post(good.replace("hook", "other"), b"{}", {})
        assert (unknown.code, other.code) == (0, 0)
        assert "self-signed certificate" in unknown.reason
        assert "not valid for 'other.example'" in other.reason
        assert len(receiver.posted) == 1
