# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One HTTP request: its whole response, in time and within bounds, or the error that fits, in words without secrets.

Which requests there are, and what a response means, is for ``client.py``.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from traceback import walk_tb
from typing import Any

from .advice import DEFAULT_PORTS, OTHER_HOST, certificate_hint, handshake_hint, host_hint, port_hint
from .errors import (
    CHECK_EM,
    EmAuthError,
    EmConnectionError,
    EmError,
    EmProtocolError,
    EmTimeoutError,
    EmTlsError,
    Operation,
)
from .options import split_url
from .proxy import Proxy, find_proxy
from .redaction import Redactor
from .response import Response

try:
    import requests
    import urllib3
    from urllib3.util.ssl_match_hostname import CertificateError

    _TLS = (ssl.SSLError, urllib3.exceptions.SSLError, CertificateError)
    REQUESTS_IMPORT_ERROR = None
except ImportError as exc:  # reported by the caller: the import itself must work where only documentation is wanted
    requests = None  # type: ignore[assignment, unused-ignore]
    REQUESTS_IMPORT_ERROR = exc

TOKEN_HEADER = "X-RestSvcSessionId"
CHUNK = 64 * 1024
MAX_BODY = 64 * 1024 * 1024
"""Bytes, unpacked. A larger response is refused; 1,000 sessions of 10 VMs (the largest page) take about 10 MB."""
ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
"""Content encodings that are unpacked. Others, and several at once, pack a body of any size into a few bytes."""


@dataclass
class Counters:
    """What the reading cost: requests sent (log on and log off included), and pages of results."""

    requests: int = 0
    pages: int = 0


class Transport:
    """Sends requests to one server.

    :arg base_url: scheme, host and port.
    :arg verify: what requests takes for it: true, false, or the path of CA certificates.
    :arg agent: name and version of what sends.
    :raises OptionError: the environment names a proxy that cannot be used.
    :ivar redactor: knows what must not appear in any text.
    :ivar date: the header ``Date`` of the last response, or None.
    """

    def __init__(self, base_url: str, verify: bool | str, agent: str) -> None:
        self.counters = Counters()
        self._counting = threading.Lock()
        self.redactor = Redactor()
        self._proxy = find_proxy(base_url)
        if self._proxy:
            self.redactor.add(*self._proxy.secrets)
        self.date: str | None = None
        self._verify = verify
        if not verify:
            # The user knows; urllib3 would say it again on each request.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._http = requests.Session()
        self._kept_alive = False  # whether there may be a connection from an earlier request
        # Even if it is not to follow redirects, requests would read where they lead, and fail on what it cannot read.
        self._http.get_redirect_target = lambda response: None  # type: ignore[assignment, method-assign, unused-ignore]
        # EM believes a cookie more than the token header, so an old cookie would defeat a fresh token.
        self._http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._http.headers.update(
            {
                "User-Agent": f"{agent} requests/{requests.__version__}",
                "Accept": "application/xml",
                "Accept-Encoding": "gzip, deflate",
            }
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(
        self, method: str, url: str, operation: Operation, headers: dict[str, str], timeout: float, body: bytes = b""
    ) -> Response:
        """Send one request and read its whole response; any status is a response.

        Connecting and the start of the response have ``timeout`` seconds, and so has each wait for more of it. Once
        they have passed for the request as a whole, the next bytes end it: a server that stalls can take twice as long.
        Headers that come byte by byte are not limited.
        """
        deadline = time.monotonic() + timeout
        try:
            with self._open(method, url, headers, deadline, body) as response:
                self.date = response.headers.get("Date")
                try:
                    received = self._read_body(response, deadline, operation, url)
                except (urllib3.exceptions.HTTPError, OSError, EmProtocolError):
                    if method != "POST" or TOKEN_HEADER not in response.headers:
                        raise
                    received = b""  # the logon is made, so it must be kept to be ended; its token has come
                status = response.status_code
                if status == 407 and self._proxy:  # on plain HTTP, which does not go through a tunnel
                    raise _proxy_error(self._proxy, operation, url, status, f"HTTP {status}")
                return Response(operation, url, status, response.headers, received, self.redactor)
        except (urllib3.exceptions.HTTPError, OSError) as exc:  # requests' own errors are OSErrors
            raise self._transport_error(operation, url, exc, timeout, TOKEN_HEADER in headers) from exc

    def _open(self, method: str, url: str, headers: dict[str, str], deadline: float, body: bytes) -> Any:
        """Send the request and read the headers of its response.

        A connection that is kept alive may have been closed by a proxy or load balancer without a word, and eats the next
        request. So a POST, which must not be repeated, gets a new connection; all others are sent once more.
        """

        def request() -> Any:
            with self._counting:
                self.counters.requests += 1
            # auth: with None, requests would take an Authorization header for this host from ~/.netrc.
            # verify: given on each request, since REQUESTS_CA_BUNDLE overrules the session's own.
            return self._http.request(
                method,
                url,
                data=body or None,
                headers=headers,
                auth=lambda prepared: prepared,
                verify=self._verify,
                proxies=dict.fromkeys(("http", "https"), self._proxy.address) if self._proxy else {},
                timeout=urllib3.util.Timeout(total=max(0.001, deadline - time.monotonic())),  # type: ignore[arg-type, unused-ignore]
                allow_redirects=False,
                stream=True,
            )

        if method == "POST":
            self._http.close()
            self._kept_alive = False
        kept_alive, self._kept_alive = self._kept_alive, True
        try:
            return request()
        except requests.exceptions.ConnectionError as exc:
            self._kept_alive = False
            if not kept_alive or _failed_to_connect(list(_chain(exc))):
                raise
        self._http.close()
        return request()

    def _read_body(self, response: Any, deadline: float, operation: Operation, url: str) -> bytes:
        raw = response.raw
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ENCODINGS:
            problem = f"sent a response packed as {self.redactor.redact(encoding)}, which was not asked for"
            raise EmProtocolError(operation, url, problem, CHECK_EM, response.status_code)
        if hasattr(raw, "read1"):
            # read1 gives what has come, so a body that drips cannot outlive the deadline for long.
            received = iter(lambda: raw.read1(CHUNK, decode_content=True), b"")
        else:  # urllib3 1: the deadline is checked only when a whole chunk has come
            received = response.iter_content(CHUNK)
        chunks: list[bytes] = []
        size = 0
        for chunk in received:
            chunks.append(chunk)
            size += len(chunk)
            if time.monotonic() > deadline:
                raise TimeoutError("timed out")
            if size > MAX_BODY:
                problem = f"sent more than {MAX_BODY // 2**20} MiB in one response"
                hint = "Ask for less at once with a smaller page_size."
                raise EmProtocolError(operation, url, problem, hint, response.status_code)
        if getattr(raw, "length_remaining", None):  # urllib3 2 fails by itself, urllib3 1 does not
            raise requests.exceptions.ConnectionError(f"{raw.length_remaining} more bytes were announced")
        return b"".join(chunks)

    def _transport_error(
        self, operation: Operation, url: str, exc: Exception, timeout: float, logged_on: bool
    ) -> EmError:
        """The error for a request that got no complete response. After a logon, host and port are those of EM."""
        causes = list(_chain(exc))
        reason = self.redactor.redact(_reason(causes))
        connecting = _failed_to_connect(causes)
        has_tls = _first(causes, _TLS)
        place, port = ("", "") if logged_on else ("host and port of url, ", port_hint(url))
        if exc.__class__ is OSError:
            # By requests, before it connects, for a bundle in the environment that is not there.
            hint = "Check ca_path, and the variables REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE of this machine."
            error: EmError = EmTlsError(operation, url, f"was not contacted ({reason})", hint)
        elif _first(causes, (requests.exceptions.Timeout, urllib3.exceptions.ReadTimeoutError, TimeoutError)):
            hint = "Check that the server is up and not overloaded; give more time with timeout."
            unconnected = ("A firewall may drop what is sent there.", port) if connecting else ()
            problem = f"did not answer completely within {timeout:g} seconds"
            error = EmTimeoutError(operation, url, problem, self._join(hint, *unconnected))
        elif self._proxy and connecting and (_first(causes, (requests.exceptions.ProxyError,)) or not has_tls):
            # http.client has the status of the answer to CONNECT nowhere else.
            answered = re.search(r"Tunnel connection failed: (\d{3})\b", str(causes[-1]))
            error = _proxy_error(
                self._proxy, operation, url, int(answered[1]) if answered else 0, reason, bool(has_tls)
            )
        elif has_tls and not _first(causes, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError)):
            error = self._tls_error(operation, url, causes, reason, timeout)
        else:
            hint = f"Check {place}the server's services, firewalls and the proxy settings of this machine."
            refused = _first(causes, (urllib3.exceptions.NewConnectionError,))
            problem = "cannot be reached" if refused else "broke off the connection"
            error = EmConnectionError(operation, url, f"{problem} ({reason})", self._join(hint, port))
        error.reached = not (connecting or isinstance(error, EmTlsError))
        return error

    def _join(self, *sentences: str) -> str:
        """These sentences, and one that names the proxy, if there is one."""
        proxy = f"Requests go through the proxy {self._proxy.name}. {self._proxy.bypass}" if self._proxy else ""
        return " ".join(filter(None, (*sentences, proxy)))

    def _tls_error(
        self, operation: Operation, url: str, causes: list[BaseException], reason: str, timeout: float
    ) -> EmError:
        certificate = _first(causes, (ssl.SSLCertVerificationError, CertificateError))
        if not certificate:
            return EmTlsError(operation, url, f"failed the TLS handshake ({reason})", self._join(handshake_hint(url)))
        code = getattr(certificate, "verify_code", None)
        if code in OTHER_HOST or isinstance(certificate, CertificateError):
            hint = host_hint([] if self._proxy else self._names_of_certificate(url, timeout))
        else:
            hint = certificate_hint(code, isinstance(self._verify, str))
        return EmTlsError(operation, url, f"has an untrusted TLS certificate ({reason})", self._join(hint))

    def _names_of_certificate(self, url: str, timeout: float) -> list[str]:
        """For which hosts a certificate is that is trusted but for this one, if it shows; only TLS is spoken."""
        parts = split_url(url)
        bundle: Any = self._http.merge_environment_settings(url, {}, None, self._verify, None)["verify"]
        bundle = requests.utils.DEFAULT_CA_BUNDLE_PATH if bundle is True else bundle
        with suppress(OSError, ValueError):
            context = ssl.create_default_context(**{"capath" if os.path.isdir(bundle) else "cafile": bundle})
            context.check_hostname = False
            address = parts.hostname or "", parts.port or DEFAULT_PORTS["https"]
            plain = socket.create_connection(address, timeout)
            with plain, context.wrap_socket(plain, server_hostname=address[0]) as encrypted:
                names: Any = (encrypted.getpeercert() or {}).get("subjectAltName", ())
            return [self.redactor.redact(value) for kind, value in names if kind in ("DNS", "IP Address")]
        return []


def _proxy_error(
    proxy: Proxy, operation: Operation, url: str, status: int, reason: str, has_tls: bool = False
) -> EmError:
    """The error for a proxy that made no connection to the server, and answered with this status, or 0 if it did not."""
    problem = f"cannot be reached through the proxy {proxy.name} ({reason})"
    if has_tls:
        hint = "The proxy's address starts with https, but there is no trusted TLS there; commonly it must start with http."
        return EmTlsError(operation, url, problem, f"{hint} {proxy.bypass}")
    if status == 407:
        error: EmError = EmAuthError(operation, url, problem, proxy.hint(status), status)
    else:
        error = EmConnectionError(operation, url, problem, proxy.hint(status))
    error.reached = False
    error.transient = not 0 < status < 500  # the proxy would refuse it again
    return error


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    """An exception and what lies behind it: requests and urllib3 hide the real cause in arguments and contexts."""
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        inner = [getattr(exc, "reason", None), *exc.args, exc.__cause__, exc.__context__]
        exc = next((item for item in inner if isinstance(item, BaseException) and id(item) not in seen), None)


def _first(causes: list[BaseException], kinds: tuple[type[BaseException], ...]) -> BaseException | None:
    return next((exc for exc in causes if isinstance(exc, kinds)), None)


def _reason(causes: list[BaseException]) -> str:
    """The innermost cause in a few words, without the URL and object addresses that the outer ones carry."""
    kinds = (OSError, ValueError, urllib3.exceptions.HTTPError, HTTPException)
    innermost = [causes[0], *(exc for exc in causes if isinstance(exc, kinds))][-1]
    if isinstance(innermost, (urllib3.exceptions.LocationValueError, requests.exceptions.InvalidURL)):
        return "the address of the server or of its proxy cannot be used"  # its own text quotes the address
    text = getattr(innermost, "verify_message", None) or getattr(innermost, "strerror", None)
    text = text or next((arg for arg in innermost.args if isinstance(arg, str)), None) or type(innermost).__name__
    return re.sub(r" \(_ssl\.c:\d+\)|<[^>]* at 0x[0-9a-f]+>:? ?|\.$", "", text)


def _failed_to_connect(causes: list[BaseException]) -> bool:
    """Whether there was no connection yet, to the server or through its proxy, so that the request was not sent.

    ``connect`` of :class:`http.client.HTTPConnection` makes it all: TCP, the tunnel of a proxy, TLS. That it was running
    shows which of the many errors came too early to matter; their types do not, and differ between versions of urllib3.
    """
    return any(frame.f_code.co_name == "connect" for exc in causes for frame, _line in walk_tb(exc.__traceback__))
