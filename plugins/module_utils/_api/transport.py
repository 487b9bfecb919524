# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One HTTP request: its whole response, in time and within bounds, or the error that fits, in words without secrets.

Which requests there are, and what a response means, is for ``client.py``.
"""

from __future__ import annotations

import re
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import unquote

from .errors import (
    WRONG_SERVICE,
    EmConnectionError,
    EmError,
    EmProtocolError,
    EmTimeoutError,
    EmTlsError,
    Operation,
    OptionError,
)
from .options import split_url
from .redaction import Redactor
from .response import Response

try:
    import requests
    import urllib3
    from urllib3.util.ssl_match_hostname import CertificateError

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

# OpenSSL's X509_V_ERR_*: ..._CERT_NOT_YET_VALID, ..._CERT_HAS_EXPIRED; ..._HOSTNAME_MISMATCH, ..._IP_ADDRESS_MISMATCH.
_OUT_OF_ITS_DATES = frozenset({9, 10})
_OTHER_HOST = frozenset({62, 64})


@dataclass
class Counters:
    """What the reading cost: requests sent (log on and log off included), pages of results, bytes of response bodies."""

    requests: int = 0
    pages: int = 0
    bytes: int = 0


class Transport:
    """Sends requests to one server.

    :arg base_url: scheme, host and port.
    :arg verify: what requests takes for it: true, false, or the path of CA certificates.
    :arg agent: name and version of what sends.
    :raises OptionError: the environment names a proxy whose address cannot be read.
    :ivar redactor: knows what must not appear in any text.
    :ivar date: the header ``Date`` of the last response, or None.
    """

    def __init__(self, base_url: str, verify: bool | str, agent: str) -> None:
        self.counters = Counters()
        self._counting = threading.Lock()
        self.redactor = Redactor()
        self.date: str | None = None
        self._proxy, secrets = _proxy(base_url)
        self.redactor.add(*secrets)
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
                return Response(operation, url, response.status_code, response.headers, received, self.redactor)
        except (urllib3.exceptions.HTTPError, OSError) as exc:  # requests' own errors are OSErrors
            raise self._transport_error(operation, url, exc, timeout) from exc

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
            if not kept_alive or is_connect_error(exc):
                raise
        self._http.close()
        return request()

    def _read_body(self, response: Any, deadline: float, operation: Operation, url: str) -> bytes:
        raw = response.raw
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ENCODINGS:
            problem = f"sent a response packed as {self.redactor.redact(encoding)}, which was not asked for"
            raise EmProtocolError(operation, url, problem, WRONG_SERVICE, response.status_code)
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
            with self._counting:
                self.counters.bytes += len(chunk)
            if time.monotonic() > deadline:
                raise TimeoutError("timed out")
            if size > MAX_BODY:
                problem = f"sent more than {MAX_BODY // 2**20} MiB in one response"
                hint = "Ask for less at once with a smaller page_size."
                raise EmProtocolError(operation, url, problem, hint, response.status_code)
        if getattr(raw, "length_remaining", None):  # urllib3 2 fails by itself, urllib3 1 does not
            raise requests.exceptions.ConnectionError(f"{raw.length_remaining} more bytes were announced")
        return b"".join(chunks)

    def _transport_error(self, operation: Operation, url: str, exc: Exception, timeout: float) -> EmError:
        """The error for a request that got no complete response."""
        causes = list(_chain(exc))
        reason = self.redactor.redact(_reason(causes))
        if (
            exc.__class__ is OSError
        ):  # by requests, before it connects, for a bundle in the environment that is not there
            hint = "Check ca_path, and the variables REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE of this machine."
            return EmTlsError(operation, url, f"was not contacted ({reason})", hint)
        tls = _first(causes, (ssl.SSLError, urllib3.exceptions.SSLError, CertificateError))
        if tls and not _first(causes, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError)):
            certificate = _first(causes, (ssl.SSLCertVerificationError, CertificateError))
            if not certificate:
                return EmTlsError(
                    operation, url, f"failed the TLS handshake ({reason})", "Check that this port speaks HTTPS."
                )
            code = getattr(certificate, "verify_code", None)
            if code in _OTHER_HOST or isinstance(certificate, CertificateError):
                hint = (
                    "Check that url names the host as its certificate does; only the names under subjectAltName count, "
                    "a certificate without them (CN only) must be replaced."
                )
            elif code in _OUT_OF_ITS_DATES:
                hint = "Check the dates of the certificate and the clock of this machine."
            else:
                hint = "Give the certificate of the CA that signed it (for a self-signed one, the certificate itself) as ca_path."
            return EmTlsError(operation, url, f"has an untrusted TLS certificate ({reason})", hint)
        if _first(causes, (requests.exceptions.Timeout, urllib3.exceptions.ReadTimeoutError, TimeoutError)):
            hint = "Check that the server is up and not overloaded; give more time with timeout."
            return EmTimeoutError(operation, url, f"did not answer completely within {timeout:g} seconds", hint)
        hint = "Check host and port of url, the server's services, firewalls and the proxy settings of this machine."
        if self._proxy:
            hint += f" The environment names {self._proxy} as proxy."
        elif url.startswith("http:"):
            hint += " Enterprise Manager usually speaks https."
        problem = "cannot be reached" if is_connect_error(exc) else "broke off the connection"
        return EmConnectionError(operation, url, f"{problem} ({reason})", hint)


def _proxy(url: str) -> tuple[str | None, set[str]]:
    """Host and port of the proxy that the environment names for this URL, and the secrets in its address.

    :raises OptionError: the address cannot be read. It is not shown, since it may hold a password.
    """
    address = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    if not address:
        return None, set()
    parts = split_url(address if "://" in address else f"http://{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host:
        variables = "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"
        raise OptionError("proxy", "...", f"Check its address in the environment ({variables}): scheme, host and port.")
    password = parts.password or ""
    secrets = {secret for secret in (password, unquote(password)) if secret}
    return host if port is None else f"{host}:{port}", secrets


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


def is_connect_error(exc: BaseException | None) -> bool:
    """Whether there was no connection, so that the server cannot have acted."""
    unconnected = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    return any(isinstance(item, unconnected) for item in _chain(exc))
