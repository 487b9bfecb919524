# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client for Veeam Backup Enterprise Manager (EM): log on, get, post, log off, retries.

It imports nothing from Ansible, so that an event source, a benchmark or a test can load it alone. Facts about the
wire are those of docs/evidence.md ("Logon", "Requests in general", "Errors").
"""

from __future__ import annotations

import base64
import logging
import random
import time
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import partial

from .errors import (
    EmAuthError,
    EmConnectionError,
    EmError,
    EmNotFoundError,
    EmProtocolError,
    EmServerError,
    EmTimeoutError,
    Operation,
)
from .ids import GUID
from .interrupts import Signals
from .options import base_url_of, check_options, split_url, verification_of
from .response import Response, logon_error, status_error
from .transport import TOKEN_HEADER, Transport
from .xml import Document, XmlError, log_off_path, parse

VERSION = "1.0.0"
"""The collection's version, as in galaxy.yml (a unit test compares the two)."""

_log = logging.getLogger(__name__)

RETRY_STATUSES = frozenset({500, 502, 503, 504})
MAX_WAIT = 60.0
"""Seconds. Where ``Retry-After`` asks for more, the read fails and says so; a runbook should not stand still unseen."""
LOG_OFF_TIMEOUT = 10.0
"""Seconds for all of the log off, however long ``timeout`` is: an interrupted run must end soon."""

_EXPIRES = "the logon session will expire when idle (after 15 minutes by default)."


class EnterpriseManager:
    """A logon to an EM as a context manager: entering logs on, leaving logs off, also after an error or a signal.

    Options are those of the documentation fragment ``_connection``; all are checked here, before the first request.

    :arg url: scheme, host and port; a trailing ``/`` or ``/api`` is accepted.
    :arg timeout: seconds for one request, as :meth:`Transport.send` counts them.
    :arg retries: how often a read is repeated after a failure in transit or status 500, 502, 503, 504.
    :arg warn: is given sentences for the user about things that do not stop the work.
    :arg sleep: waits so many seconds before the next attempt; it may raise an exception, which ends the work.
    :raises OptionError: an option cannot be used.
    :ivar logons: logons made so far. What EM keeps for a logon, such as its tasks, is lost when this number grows.
    :ivar counters: what was sent and read, complete after the ``with`` block.
    :ivar mask_secrets: takes the secrets of this connection out of a text, and leaves it as it is otherwise.
    :ivar redact: makes a text from outside one short line without secrets.
    """

    def __init__(
        self,
        url: str,
        username: str,
        password: str,
        validate_certs: bool = True,
        ca_path: str | None = None,
        timeout: float = 30,
        retries: int = 3,
        api_version: str = "latest",
        warn: Callable[[str], None] = _log.warning,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self.base_url = base_url_of(url)
        check_options(username, password, timeout, retries, api_version)
        verify = verification_of(validate_certs, ca_path)
        self.username = username
        self.timeout = timeout
        self.retries = retries
        self.warn = warn
        self._sleep = sleep
        if self.base_url.startswith("http:"):
            self.warn(f"The password is sent in clear text to {self.base_url}: use https.")
        self._signals = Signals()
        self._transport = Transport(self.base_url, verify, f"dr_runbook.veeam_em/{VERSION}")
        # UTF-8 is assumed: which encoding EM expects in Basic is not documented (docs/evidence.md, "Logon").
        basic = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._transport.redactor.add(password, f"Basic {basic}", basic)
        self.counters = self._transport.counters
        self.mask_secrets, self.redact = self._transport.redactor.mask_secrets, self._transport.redactor.redact
        self._request_logon = partial(
            self._transport.send,
            "POST",
            f"{self.base_url}/api/sessionMngr/?v={api_version}",
            Operation(
                f"Log on to Veeam Backup Enterprise Manager as {username}",
                "Check that {user} has a role in Enterprise Manager (Configuration, Roles).",
            ),
            {"Authorization": f"Basic {basic}", "Content-Length": "0"},
            timeout,
        )
        self._token = ""
        self._log_off_path: str | None = None
        self.logons = 0

    @property
    def server_time(self) -> datetime | None:
        """What EM's clock showed at its last response, naive UTC in whole seconds, or None if EM did not say."""
        return _http_date(self._transport.date)

    def _headers(self) -> dict[str, str]:
        return {TOKEN_HEADER: self._token}

    # The logon

    def __enter__(self) -> EnterpriseManager:
        self._signals.watch()
        try:
            self._log_on()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._close()

    def log_on_again(self) -> None:
        """Make a new logon, and end the old one with it, for an EM that refuses the old one with something else than 401.

        :raises EmError: it was refused.
        """
        before = self._log_off_path
        self._log_on()
        if before:
            with self._signals.defer_interrupts():
                self._log_off(before)

    def _log_on(self) -> None:
        """Get a token. Repeated only where EM surely made no logon; a lost response could leave one open that nobody ends."""
        for attempt in range(self.retries + 1):
            try:
                with self._signals.defer_interrupts():  # a logon whose response is not read cannot be ended
                    response = self._request_logon()
                    if response.ok:
                        self._keep_logon(response)
                        return
            except (EmConnectionError, EmTimeoutError) as exc:
                if exc.reached:
                    self.warn(
                        f"{self.base_url} may have opened a logon session although its reply was lost; it will expire when idle."
                    )
                if exc.reached or attempt == self.retries or isinstance(exc, EmTimeoutError) or not exc.transient:
                    raise
                self._backoff(attempt, None)
                continue
            if response.status != 503 or attempt == self.retries:
                raise logon_error(response, self.username)
            self._backoff(attempt, response)

    def _keep_logon(self, response: Response) -> None:
        token = response.headers.get(TOKEN_HEADER)
        if not token:
            raise response.protocol_error(f"but without the header {TOKEN_HEADER}")
        guid = _guid_in(token)
        for secret in filter(None, (token, guid)):
            self._transport.redactor.add_token(secret)
        self._token = token
        self._log_off_path = log_off_path(response.body) or (f"/api/logonSessions/{guid}" if guid else None)
        self.logons += 1
        if not self._log_off_path:
            self.warn(f"{self.base_url} did not say how to log off; {_EXPIRES}")

    def _close(self) -> None:
        """Log off and give back what was taken. A failing log off is a warning: the work is done, or its error on its way."""
        try:
            if self._log_off_path:
                with self._signals.defer_interrupts():
                    self._log_off(self._log_off_path)
        finally:
            self._log_off_path = None
            self._transport.close()
            self._signals.restore()

    def _log_off(self, path: str) -> None:
        """End the logon. The warning does not hold the path: its id, in base64, commonly is the token, and may still live."""
        until = time.monotonic() + LOG_OFF_TIMEOUT
        url = self.on_base_url(path)
        problem = "timeout"
        # Another 2xx than the documented 204 may come from another service; a second attempt shows whether the logon is gone.
        for dummy in range(2):
            timeout = min(self.timeout, until - time.monotonic())
            if timeout <= 0:
                break
            try:
                response = self._transport.send("DELETE", url, Operation("Log off"), self._headers(), timeout)
            except EmError as exc:
                problem = exc.kind
            else:
                if response.status in (204, 401, 404):
                    return
                problem = f"HTTP {response.status}"
        self.warn(f"The log off from {self.base_url} failed ({problem}); {_EXPIRES}")

    # Acting

    def post(self, path: str, operation: Operation, body: bytes = b"") -> Document:
        """Request an action, once. It is sent again after a 401 only, with which EM refuses before it acts.

        An interruption waits for the response, so that it is known what EM was asked to do.

        :arg path: path and query below the configured URL, as in :meth:`get`.
        :arg body: an XML document, or nothing.
        :raises EmError: the one that fits. Its ``in_doubt`` says whether EM may have acted all the same: no response
            came or none that can be read, or EM or a proxy answered with 5xx.
        """
        url = self.on_base_url(path)
        response = self._send_action(url, operation, body)
        if response.status == 401:
            self._log_on()
            response = self._send_action(url, operation, body)
        if response.ok:
            try:
                return self._parsed(response)
            except EmProtocolError as exc:
                exc.in_doubt = True
                raise
        error = status_error(response, self.username)
        # With 408 a proxy may say that it waited in vain for the response of an EM that is working on it.
        error.in_doubt = response.status == 408 or (response.status >= 500 and response.status != 501)
        raise error

    def _send_action(self, url: str, operation: Operation, body: bytes) -> Response:
        headers = {**self._headers(), "Content-Length": str(len(body))}
        if body:
            headers["Content-Type"] = "application/xml"
        try:
            with self._signals.defer_interrupts():
                return self._transport.send("POST", url, operation, headers, self.timeout, body)
        except EmError as exc:
            exc.in_doubt = exc.reached
            raise

    # Reading

    def get(
        self, path: str, operation: Operation, about: str | None = None, prefetched: Response | None = None
    ) -> Document:
        """Read one resource.

        Repeated after a failure in transit or status 500, 502, 503, 504, and once after a new logon on 401.

        :arg path: path and query below the configured URL; of a whole URL, such as a link from EM, only path and query
            are used, so that the token never goes to another host.
        :arg operation: for the error's sentence ("Read cloud failover sessions").
        :arg about: the id in the path, so that a text that says it is unknown can be distinguished from other errors.
        :arg prefetched: what :meth:`fetch` got for this path. If it is a failure, the resource is requested again.
        :raises EmError: the one that fits.
        """
        if prefetched and prefetched.ok:
            return self._parsed(prefetched)
        if prefetched and prefetched.status in RETRY_STATUSES:
            self._backoff(0, prefetched)
        fresh_logon = False
        attempt = 0
        while True:
            attempted = operation
            if attempt:
                attempted = operation._replace(name=f"{operation} (attempt {attempt + 1} of {self.retries + 1})")
            try:
                response = self.fetch(path, attempted)
                if response.ok:
                    return self._parsed(response)
                error = status_error(response, self.username, about)
                again = response.status in RETRY_STATUSES and not isinstance(error, EmNotFoundError)
            except (EmConnectionError, EmTimeoutError) as exc:
                response, error, again = None, exc, exc.transient
            if isinstance(error, EmAuthError) and not fresh_logon:
                fresh_logon = True
                self._log_on()
                continue
            if not again or attempt == self.retries:
                raise error
            self._backoff(attempt, response)
            attempt += 1

    def fetch(self, path: str, operation: Operation) -> Response:
        """Request one resource once, without retry or new logon, for :meth:`get` to use later. Any thread may call it.

        :raises EmError: there was no complete response.
        """
        return self._transport.send("GET", self.on_base_url(path), operation, self._headers(), self.timeout)

    def on_base_url(self, link: str) -> str:
        """Path and query of a link, on the configured URL: the host in EM's links is EM's own idea, and not trusted."""
        parts = split_url(link)
        return f"{self.base_url}/{parts.path.lstrip('/')}" + (f"?{parts.query}" if parts.query else "")

    def _parsed(self, response: Response) -> Document:
        try:
            return parse(response.body)
        except XmlError as exc:
            raise response.protocol_error(f"but the response cannot be used: {self.redact(str(exc))}") from None

    def _backoff(self, attempt: int, response: Response | None) -> None:
        """Sleep before the next attempt: from half a second, doubling, with jitter, and as ``Retry-After`` asks."""
        seconds = min(0.5 * 2**attempt, MAX_WAIT) * random.uniform(0.5, 1.0)
        requested = response.retry_after if response else None
        if response and requested is not None and requested > MAX_WAIT:
            hint = f"Try again then; the longest wait here is {MAX_WAIT:.0f} seconds."
            raise response.error(EmServerError, hint, f"and asks to come back in {requested:.0f} seconds")
        (self._sleep or _sleep)(max(seconds, requested or 0.0))


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


def _guid_in(token: str) -> str | None:
    """The GUID that tokens commonly are in base64 (seen). It is the id to log off with, if the response did not give it."""
    try:
        guid = base64.b64decode(token, validate=True).decode("ascii")
    except ValueError:
        return None
    return guid if GUID.fullmatch(guid) else None


def _http_date(value: str | None) -> datetime | None:
    """A time in a header as naive UTC, or None where it is missing, unreadable or no time that a server could have."""
    try:
        when = parsedate_to_datetime(value or "").astimezone(timezone.utc).replace(tzinfo=None)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return when if 1970 < when.year < 9999 else None
