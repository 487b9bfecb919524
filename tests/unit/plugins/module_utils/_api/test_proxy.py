# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proxies of the environment that are in the way: each is named, without its password, and what is to be done."""

from __future__ import annotations

import re
import socket
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import proxy as _proxy
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.client import EnterpriseManager
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import EmError, OptionError

SECRET = "pr0xy-s3cret"
PAGE = b"<html><body>The proxy says no</body></html>"
pytestmark = pytest.mark.usefixtures("no_proxy")
SCHEMES = pytest.mark.parametrize("scheme", ["https", "http"])


@contextmanager
def answering(reply):
    """A proxy that gives one answer to everything and keeps what it was sent; gives its host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as open_until_the_end:

        def serve():
            with suppress(OSError):
                connection = open_until_the_end.enter_context(listener.accept()[0])
                connection.recv(65536)
                connection.sendall(reply)
                connection.shutdown(socket.SHUT_WR)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def refusing(status):
    return b"HTTP/1.1 %d No\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s" % (status, len(PAGE), PAGE)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def failing(url, retries=0):
    """The error of a logon, with the warnings that came before."""
    warnings = []
    with pytest.raises((EmError, OptionError)) as caught:
        EnterpriseManager(
            url, "reader", "Passw0rd!", retries=retries, warn=warnings.append, sleep=lambda seconds: None
        ).__enter__()
    text = f"{caught.value} {' '.join(warnings)}"
    assert SECRET not in text
    assert "bob" not in text
    return caught.value, [warning for warning in warnings if "clear text" not in warning]


@pytest.mark.parametrize(
    ("scheme", "status", "kind", "cure"),
    [
        ("https", 407, ("auth", 407), "right user and password in the proxy's address"),
        ("http", 407, ("auth", 407), "right user and password in the proxy's address"),
        ("https", 403, ("connection", None), "Have the proxy allow"),
    ],
)
def test_a_proxy_that_refuses(monkeypatch, scheme, status, kind, cure):
    with answering(refusing(status)) as proxy:
        monkeypatch.setenv(f"{scheme}_proxy", f"http://bob:{SECRET}@{proxy}")
        error, warnings = failing(f"{scheme}://em.example.com:9398", retries=3)
    assert ((error.kind, error.status), error.reached) == (kind, False)
    assert f"em.example.com:9398 cannot be reached through the proxy {proxy} (" in str(error)
    assert cure in str(error)
    assert "no_proxy=em.example.com" in str(error)
    assert "api_version" not in str(error)
    assert warnings == []


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_that_does_not_reach_em(monkeypatch, status):
    with answering(refusing(status)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        error, warnings = failing("https://em.example.com:9398")
    assert (error.kind, error.status) == ("connection", None)
    assert f"through the proxy {proxy} (" in str(error)
    assert "The proxy does not reach Enterprise Manager" in str(error)
    assert warnings == []


@SCHEMES
def test_a_proxy_that_cannot_be_reached(monkeypatch, scheme):
    proxy = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"bob:{SECRET}@{proxy}")  # without scheme
    error, warnings = failing(f"{scheme}://em.example.com:9398")
    assert error.kind == "connection"
    assert f"cannot be reached through the proxy {proxy} (Connection refused)" in str(error)
    assert "Check the proxy's address" in str(error)
    assert warnings == []


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-x\r\n"])
def test_what_is_no_proxy(monkeypatch, reply):
    with answering(reply) as proxy:
        monkeypatch.setenv("https_proxy", proxy)
        error, warnings = failing("https://em.example.com:9398")
    assert f"cannot be reached through the proxy {proxy} (" in str(error)
    assert warnings == []


def test_a_proxy_whose_address_begins_with_https_and_that_speaks_http(monkeypatch):
    with answering(refusing(400)) as proxy:
        monkeypatch.setenv("https_proxy", f"https://{proxy}")
        error, warnings = failing("https://em.example.com:9398")
    assert (error.kind, warnings) == ("tls", [])
    assert f"through the proxy {proxy}" in str(error)
    assert "must start with http." in str(error)


@pytest.mark.parametrize("variable", ["all_proxy", "ALL_PROXY", "https_proxy", "HTTPS_PROXY"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4a", "SOCKS5"])
def test_socks_without_its_library(monkeypatch, variable, scheme):
    monkeypatch.setattr(_proxy, "find_spec", lambda name: None)
    monkeypatch.setenv(variable, f"{scheme}://bob:{SECRET}@px.example.com:1080")
    error, warnings = failing("https://em.example.com:9398")
    assert str(error) == (
        f"proxy: '{scheme.lower()}://px.example.com:1080' cannot be used. It comes from the environment variables "
        f"https_proxy, http_proxy and all_proxy, and needs the Python library PySocks: {sys.executable} -m pip install "
        "PySocks; if em.example.com can be reached without a proxy, set no_proxy=em.example.com."
    )
    assert warnings == []


@pytest.mark.parametrize("scheme", ["socks", "ftp", "pac+http"])
def test_a_kind_of_proxy_that_is_not_known(monkeypatch, scheme):
    monkeypatch.setenv("all_proxy", f"{scheme}://bob:{SECRET}@px.example.com:1080")
    error, _warnings = failing("https://em.example.com:9398")
    assert str(error).startswith(
        "proxy: '...' cannot be used. Check its address in the environment variables https_proxy, http_proxy and all_proxy: "
        "a scheme of http, https, "
    )


@pytest.mark.parametrize(
    "address",
    [
        f"http://bob:{SECRET}",
        f"http://bob:{SECRET}@",
        f"http://bob:{SECRET}@[x",
        f"bob:{SECRET}@:1:2",
        "http://",
        " ",
        "http://px.example.com:3128\n",
    ],
)
def test_an_address_that_makes_no_sense_is_not_shown(monkeypatch, address):
    monkeypatch.setenv("https_proxy", address)
    error, warnings = failing("https://em.example.com:9398")
    assert warnings == []
    assert re.match(r"proxy: '\.\.\.' cannot be used\. Check its address in the .* https_proxy", str(error))


@pytest.mark.parametrize("value", ["em.example.com", ".example.com", "*"])
def test_no_proxy_is_heeded(monkeypatch, value):
    monkeypatch.setenv("all_proxy", "socks://nowhere")
    monkeypatch.setenv("no_proxy", value)
    assert _proxy.find_proxy("https://em.example.com:9398") is None


@pytest.mark.parametrize(
    ("address", "name", "secrets"),
    [
        ("http://bob:p%40ss@px.example.com:3128", "px.example.com:3128", {"p%40ss", "p@ss"}),
        ("px.example.com", "px.example.com", set()),
        ("http://bob@px.example.com", "px.example.com", set()),
        ("http://[fe80::1]:3128", "[fe80::1]:3128", set()),
    ],
)
def test_the_address_of_a_proxy(monkeypatch, address, name, secrets):
    monkeypatch.setenv("https_proxy", address)
    found = _proxy.find_proxy("https://em.example.com")
    assert (found.name, found.secrets) == (name, secrets)
    client = EnterpriseManager("https://em.example.com", "u", "p")
    assert not any(secret in client.redact(f"You sent {secret}") for secret in secrets)
