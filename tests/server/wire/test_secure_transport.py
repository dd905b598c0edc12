# SPDX-License-Identifier: Apache-2.0
"""Whether a client spoke TLS: to us, or to a proxy that is trusted."""

from __future__ import annotations

import ipaddress

import pytest

from patchwright.server.wire import Proxies

TRUSTED = Proxies([ipaddress.ip_network("10.0.0.0/8")])


@pytest.mark.parametrize(
    ("scheme", "peer", "said", "secure"),
    [
        ("https", "192.0.2.1", b"", True),
        ("http", "192.0.2.1", b"", False),
        ("http", "192.0.2.1", b"https", False),  # anybody can say so
        ("http", "10.1.2.3", b"https", True),
        ("http", "10.1.2.3", b"http", False),
        ("http", "10.1.2.3", b"https, http", False),  # the nearest wrote the last
        ("http", "10.1.2.3", b"http, HTTPS", True),
        ("http", "10.1.2.3", b"", False),
    ],
)
def test_tls_is_what_was_spoken_or_what_a_trusted_proxy_says(scheme, peer, said, secure):
    """`X-Forwarded-Proto` is believed as `X-Forwarded-For` is."""
    headers = {b"x-forwarded-proto": said} if said else {}
    scope = {"scheme": scheme, "client": (peer, 1)}
    assert TRUSTED.secure(scope, headers) is secure
    assert Proxies().secure(scope, headers) is (scheme == "https")
