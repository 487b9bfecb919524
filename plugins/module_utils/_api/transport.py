# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""One HTTP request: its whole reply, in time and within bounds, or the error that fits, in words without secrets.

Which requests there are, and what a reply means, is for ``_client.py``.
"""

from __future__ import annotations

import html
import json
import os
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from itertools import product
from typing import Any
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit

from . import xml as _xml
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
from .redaction import MAX_MESSAGE, single_line, truncate

try:
    import requests
    import urllib3

    REQUESTS_IMPORT_ERROR = None
except ImportError as exc:  # reported by the caller: the import itself must work where only documentation is wanted
    requests = None  # type: ignore[assignment, unused-ignore]
    REQUESTS_IMPORT_ERROR = exc

TOKEN_HEADER = "X-RestSvcSessionId"
CHUNK = 64 * 1024
MAX_SCANNED = 16 * 1024
"""Characters of a server's own words that are read at all."""
MAX_BODY = 64 * 1024 * 1024
"""Bytes, unpacked. A larger reply is refused; 1,000 sessions of 10 VMs (the largest page) take about 10 MB."""
PACKED_AS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
"""Content encodings that are unpacked. Others, and several at once, pack a body of any size into a few bytes."""


@dataclass
class Counters:
    """What the reading cost: requests sent (log on and log off included), pages of results, bytes of reply bodies."""

    requests: int = 0
    pages: int = 0
    bytes: int = 0


@dataclass
class Response:
    """What came back, and for an error's sentence what it was that was tried, on which URL."""

    operation: Operation
    url: str
    status: int
    headers: Any
    body: bytes

    @cached_property
    def said(self) -> str:
        """The server's words in an error's body, in full and as they came."""
        return _xml.error_text(self.body) or ""


class Transport:
    """Sends requests to one server, and knows what must never be told of them.

    :arg base_url: scheme, host and port.
    :arg verify: what requests takes for it: true, false, or the path of CA certificates.
    :arg agent: name and version of what sends.
    :arg deadline: a context manager that bounds what is done in it to so many seconds.
    :raises OptionError: the environment names a proxy whose address cannot be read.
    :ivar counters: :class:`Counters`.
    :ivar secrets: texts that are masked in all that :meth:`shown` and :meth:`error` make.
    """

    def __init__(
        self,
        base_url: str,
        verify: bool | str,
        agent: str,
        deadline: Callable[[float], AbstractContextManager[None]],
    ) -> None:
        self.counters = Counters()
        self._counting = threading.Lock()
        self._deadline = deadline
        self._proxy, self.secrets = _proxy(base_url)
        self._verify = verify
        if not verify:
            # The user knows; urllib3 would say it again on each request.
            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        self._http = requests.Session()
        self._kept_alive = False  # whether there may be a connection from an earlier request
        # Even if it is not to follow redirects, requests would read where they lead, and fail on what it cannot read.
        self._http.get_redirect_target = _nowhere  # type: ignore[assignment, method-assign, unused-ignore]
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
        """Send one request and read its whole reply, within ``timeout`` seconds; any status is a reply."""
        deadline = time.monotonic() + timeout
        try:
            with self._deadline(timeout), self._open(method, url, headers, deadline, body) as response:
                try:
                    received = self._read_body(response, deadline, operation, url)
                except (urllib3.exceptions.HTTPError, OSError, EmProtocolError):
                    if method != "POST" or TOKEN_HEADER not in response.headers:
                        raise
                    received = b""  # the logon is made, so it must be kept to be ended; its token has come
                return Response(operation, url, response.status_code, response.headers, received)
        except (urllib3.exceptions.HTTPError, OSError) as exc:  # requests' own errors are OSErrors
            raise self._transport_error(operation, url, exc, timeout) from exc

    def _open(self, method: str, url: str, headers: dict[str, str], deadline: float, body: bytes) -> Any:
        """Send the request and read the headers of its reply.

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
                auth=_no_auth,
                verify=self._verify,
                timeout=max(0.001, deadline - time.monotonic()),
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
        packed = response.headers.get("Content-Encoding", "").strip().lower()
        if packed not in PACKED_AS:
            happened = f"sent a reply packed as {self.redact(packed)}, which was not asked for"
            raise EmProtocolError(operation, url, happened, WRONG_SERVICE, response.status_code)
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
                check = "Ask for less at once with a smaller page_size."
                happened = f"sent more than {MAX_BODY // 2**20} MiB in one reply"
                raise EmProtocolError(operation, url, happened, check, response.status_code)
        expected = decimal(response.headers.get("Content-Length"))
        if expected is not None and expected > size and "Content-Encoding" not in response.headers:
            # urllib3 2 finds this itself, urllib3 1 does not.
            raise requests.exceptions.ConnectionError(f"{size} of {expected} bytes came")
        return b"".join(chunks)

    def _transport_error(self, operation: Operation, url: str, exc: Exception, timeout: float) -> EmError:
        """The error for a request that got no complete reply."""
        cause = _reason(exc)
        reason = self.redact(cause)
        if "TLS CA certificate bundle" in cause:
            check = "Check ca_path, and the variables REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE of this machine."
            return EmTlsError(operation, url, f"was not contacted ({reason})", check)
        tls = isinstance(exc, (requests.exceptions.SSLError, urllib3.exceptions.SSLError))
        if tls and not re.search(r"\bEOF\b|reset", cause):  # these say that the connection broke off, as any can
            problem = "has an untrusted TLS certificate"
            if re.search("[Hh]ostname mismatch|IP address mismatch|doesn't match", cause):
                check = (
                    "Check that url names the host as its certificate does; only the names under subjectAltName count, "
                    "a certificate without them (CN only) must be replaced."
                )
            elif "CERTIFICATE_VERIFY_FAILED" in cause:
                check = (
                    "Give the certificate of the CA that signed it (for a self-signed one, the certificate itself) as "
                    "ca_path, or check its dates if it has expired."
                )
            else:
                problem = "failed the TLS handshake"
                check = "Check that this port speaks HTTPS."
            return EmTlsError(operation, url, f"{problem} ({reason})", check)
        if isinstance(exc, (requests.exceptions.Timeout, TimeoutError)) or "timed out" in cause:
            check = "Check that the server is up and not overloaded; give more time with timeout."
            return EmTimeoutError(operation, url, f"did not answer completely within {timeout:g} seconds", check)
        problem = "cannot be reached" if is_connect_error(exc) else "broke off the connection"
        check = "Check host and port of url, the server's services, firewalls and the proxy settings of this machine."
        if self._proxy:
            check += f" The environment names {self._proxy} as proxy."
        elif url.startswith("http:"):
            check += " Enterprise Manager usually speaks https."
        return EmConnectionError(operation, url, f"{problem} ({reason})", check)

    def error(self, kind: type[EmError], reply: Response, check: str, happened: str = "", said: bool = True) -> EmError:
        """The error for a reply: its status, the server's words (unless ``said`` is false), what happened, what to check."""
        message = self.redact(reply.said) if reply.status >= 300 else ""
        words = [f"answered with HTTP {reply.status}"]
        if said and message:
            words.append(f"and the message '{message}'")
        if happened:
            words.append(happened)
        return kind(reply.operation, reply.url, " ".join(words), check, reply.status, message or None)

    def redact(self, said: str) -> str:
        """A text from outside as one short line without control characters, and without password, Basic value and token.

        Secrets go first: a line that has been cut or whose spaces have been folded may hold one that is not recognized.
        """
        said = self.mask_secrets(said)[:MAX_SCANNED]
        decoders: tuple[Callable[[str], str], ...] = (str, html.unescape, _unescape_json, unquote, unquote_plus)
        for decode, again in product(decoders, decoders):
            decoded = again(decode(said))
            clean = self.mask_secrets(decoded)
            if clean != decoded:
                said = clean
        return truncate(self.mask_secrets(single_line(said)), MAX_MESSAGE)

    def mask_secrets(self, said: str) -> str:
        for secret in sorted(self.secrets, key=len, reverse=True):
            said = said.replace(secret, "********")
        return said


def _no_auth(request: Any) -> Any:
    return request


def _unescape_json(said: str) -> str:
    return re.sub(r"(?:\\u[0-9a-fA-F]{4})+|\\[\"\\/bfnrt]", lambda found: str(json.loads(f'"{found.group()}"')), said)


def _nowhere(response: Any) -> None:
    return None


def split_url(link: str) -> SplitResult:
    """The parts of a URL; of one that cannot be read, none."""
    try:
        return urlsplit(link)
    except ValueError:
        return SplitResult("", "", "", "", "")


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


def check_ca_path(ca_path: str | None) -> None:
    accepted = "Give a readable file with the CA's certificate in PEM format, or a folder prepared with c_rehash."
    if ca_path is None:
        return
    if os.path.isdir(ca_path):
        return
    if not os.path.isfile(ca_path):
        raise OptionError("ca_path", ca_path, f"There is no such file as {os.path.abspath(ca_path)}. {accepted}")
    try:
        ssl.create_default_context(cafile=ca_path)
    except (ssl.SSLError, OSError):
        raise OptionError("ca_path", ca_path, accepted) from None


def decimal(value: str | None) -> int | None:
    # Python refuses to read thousands of digits; what has more than eighteen is beyond every limit here anyway.
    return int(value.strip()[:18]) if value and value.isascii() and value.strip().isdecimal() else None


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    """An exception and what lies behind it: requests and urllib3 hide the real cause in arguments and contexts."""
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        inner = [getattr(exc, "reason", None), *exc.args, exc.__cause__, exc.__context__]
        exc = next((item for item in inner if isinstance(item, BaseException) and id(item) not in seen), None)


def _reason(exc: BaseException) -> str:
    """The innermost cause in a few words, without the URL and object addresses that the outer ones carry."""
    kinds = (OSError, ValueError, urllib3.exceptions.HTTPError, HTTPException)
    innermost = [exc, *(item for item in _chain(exc) if isinstance(item, kinds))][-1]
    if isinstance(innermost, (urllib3.exceptions.LocationValueError, requests.exceptions.InvalidURL)):
        return "the address of the server or of its proxy cannot be used"  # its own text quotes the address
    said = getattr(innermost, "strerror", None)
    said = said or next((arg for arg in innermost.args if isinstance(arg, str)), None) or type(innermost).__name__
    return re.sub(r" \(_ssl\.c:\d+\)|<[^>]* at 0x[0-9a-f]+>:? ?", "", said)


def is_connect_error(exc: BaseException | None) -> bool:
    """Whether there was no connection, so that the server cannot have acted."""
    unconnected = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
    return any(isinstance(item, unconnected) for item in _chain(exc))
