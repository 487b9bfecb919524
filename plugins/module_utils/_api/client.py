# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""The client for Veeam Backup Enterprise Manager (EM): log on, read, act, retry, log on again, log off.

It imports nothing from Ansible, so that an event source, a benchmark or a test can load it alone. Facts about the
wire are those of docs/evidence.md ("Logon", "Requests in general", "Errors").
"""

from __future__ import annotations

import base64
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import partial
from itertools import islice

from . import xml as _xml
from .errors import (
    WRONG_SERVICE,
    EmAuthError,
    EmConnectionError,
    EmError,
    EmNotFoundError,
    EmPermissionError,
    EmProtocolError,
    EmServerError,
    EmTimeoutError,
    EmTlsError,
    Operation,
    OptionError,
)
from .interrupts import Signals
from .transport import (
    MAX_SCANNED,
    TOKEN_HEADER,
    Response,
    Transport,
    check_ca_path,
    decimal,
    is_connect_error,
    split_url,
)

VERSION = "1.0.0"
"""The collection's version, as in galaxy.yml (a unit test compares the two)."""

_log = logging.getLogger(__name__)

RETRY_STATUSES = frozenset({500, 502, 503, 504})
LONGEST_WAIT = 60.0
"""Seconds. Where ``Retry-After`` asks for more, the read fails and says so; a runbook should not stand still unseen."""
LONGEST_TIMEOUT = 3600
LOG_OFF_TIMEOUT = 10.0
"""Seconds for all of the log off, however long ``timeout`` is: an interrupted run must end soon."""
MAX_PREFETCH = 3
"""So many requests are sent ahead of the one that is waited for, at most; so EM works on four at once, at most."""

# An object is absent with 404, but also with 400 or 500 and a text like "no cloud failover session with id [...]"
# (docs/evidence.md, "Errors": assumed for sessions, seen for tasks). It must speak of an object: "The server was not
# found or was not accessible" is what a database says that is down.
_OBJECT = r"\b(?:session|object|entity|item|resource|task)\b"
_ABSENT = re.compile(
    r"\bno\b.* with (?:the )?(?:specified )?id\b"
    rf"|{_OBJECT}[^.]*\b(?:not (?:be )?found|not exist|n't exist)"
    rf"|\b(?:cannot|can't|could not|unable to) find\b[^.]*{_OBJECT}",
    re.IGNORECASE,
)


class _Early:
    """A request that is sent by a thread of its own, while the answer before it is still being worked on.

    The thread is a daemon, so that one that is not waited for any more (after an error, an interruption) holds nothing up.
    """

    def __init__(self, send: Callable[[], Response], timeout: float) -> None:
        self._send = send
        self._until = time.monotonic() + timeout
        self._reply: Response | None = None
        self._thread = threading.Thread(target=self._run, name="veeam_em read ahead", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(Exception):  # whoever needs the reply asks again, and meets the error then
            self._reply = self._send()

    def reply(self) -> Response | None:
        """The reply, or None if none came within the time of a request."""
        self._thread.join(max(0.0, self._until - time.monotonic()))
        return self._reply


_ENDS_BY_ITSELF = "the logon ends by itself when idle (15 minutes by default)."


class EnterpriseManager:
    """A logon to an EM as a context manager: entering logs on, leaving logs off, whatever happened between.

    Options are those of the documentation fragment ``_connection``; all are checked here, before the first request.

    :arg url: scheme, host and port; a trailing ``/`` or ``/api`` is accepted.
    :arg timeout: seconds for one request, from sending it to the last byte of the reply.
    :arg retries: how often a read is repeated after a failure in transit or status 500, 502, 503, 504.
    :arg warn: is given sentences for the user about things that do not stop the work.
    :arg pause: waits so many seconds before the next attempt; it may raise an exception, which ends the work.
    :raises OptionError: an option cannot be used.
    :ivar counters: :class:`Counters`, complete after the ``with`` block.
    :ivar logons: logons made so far. What EM keeps for a logon, such as its tasks, is lost when this number grows.
    :ivar logon_time: what EM's clock showed at the newest logon, naive UTC in whole seconds, or None if EM did not say.
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
        pause: Callable[[float], object] | None = None,
    ) -> None:
        self.base_url = _base_url(url)
        # As Ansible's type path does it, but an empty variable means that there is none.
        ca_path = os.path.expanduser(os.path.expandvars(ca_path)) if ca_path else None
        if not username or ":" in username:
            raise OptionError(
                "username",
                username.partition(":")[0],
                "Give a user name without a colon, such as DOMAIN\\user or user@domain.",
            )
        if not password:
            raise OptionError(
                "password", "", "It is empty. Give the password of the user, or check the variable that holds it."
            )
        if not 0 < timeout <= LONGEST_TIMEOUT:
            raise OptionError("timeout", timeout, f"Give a number of seconds from 1 to {LONGEST_TIMEOUT}.")
        if retries < 0:
            raise OptionError("retries", retries, "Give a whole number, 0 or more.")
        if not re.fullmatch(r"latest|v\d+_\d+", api_version):
            raise OptionError("api_version", api_version, "Give latest or a version such as v1_7.")
        check_ca_path(ca_path)
        self.username = username
        self.timeout = timeout
        self.retries = retries
        self.api_version = api_version
        self.warn = warn
        self._pause = pause
        if self.base_url.startswith("http:"):
            self.warn(f"The password is sent in clear text to {self.base_url}: use https.")
        # UTF-8 is assumed: which encoding EM expects in Basic is not documented (docs/evidence.md, "Logon").
        self._basic = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()
        self._signals = Signals(self._leave)
        verify = (ca_path or True) if validate_certs else False
        self._transport = Transport(self.base_url, verify, f"dr_runbook.veeam_em/{VERSION}", self._signals.deadline)
        self._transport.secrets.update({password, self._basic, self._basic[6:]})
        self.counters = self._transport.counters
        self._token: str | None = None
        self.logons = 0
        self.logon_time: datetime | None = None
        self._log_off_paths: list[str] = []
        self._early: dict[str, _Early] = {}
        self._in_trouble = False

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

    @property
    def idle(self) -> bool:
        """Set it while the logon is kept for later, so that a signal ends it before it has its usual effect."""
        return self._signals.idle

    @idle.setter
    def idle(self, value: bool) -> None:
        self._signals.idle = value

    def _leave(self) -> None:
        # Called from a signal handler: what warn would wait for may be held by the code that the signal has stopped.
        self.warn = _say_nothing
        self._close()

    def _log_on(self) -> None:
        """Get a token. Repeated only where EM surely made no logon; a lost reply could leave one open that nobody ends."""
        url = f"{self.base_url}/api/sessionMngr/?v={self.api_version}"
        operation = Operation(f"Log on to Veeam Backup Enterprise Manager as {self.username}")
        for attempt in range(self.retries + 1):
            try:
                with self._signals.defer_interrupts():  # a logon whose reply is not read cannot be ended
                    reply = self._transport.send(
                        "POST", url, operation, {"Authorization": self._basic, "Content-Length": "0"}, self.timeout
                    )
                    if 200 <= reply.status < 300:
                        self._keep_token(reply)
                        return
            except (EmConnectionError, EmTimeoutError) as exc:
                if not is_connect_error(exc.__cause__):
                    self.warn(f"{self.base_url} may have made a logon whose reply was lost; {_ENDS_BY_ITSELF}")
                    raise
                if attempt == self.retries or isinstance(exc, EmTimeoutError):
                    raise
                self._wait(attempt, None)
                continue
            if reply.status != 503 or attempt == self.retries:
                raise self._logon_refused(reply)
            self._wait(attempt, reply)

    def _keep_token(self, reply: Response) -> None:
        token = reply.headers.get(TOKEN_HEADER)
        if not token:
            raise self._transport.error(EmProtocolError, reply, WRONG_SERVICE, f"but without the header {TOKEN_HEADER}")
        self._token = token
        self.logons += 1
        self.logon_time = _http_date(reply.headers.get("Date"))
        guid = _guid_in(token)
        self._transport.secrets.update({token, guid or token})
        path = _xml.log_off_path(reply.body) or (f"/api/logonSessions/{guid}" if guid else None)
        if path:
            self._log_off_paths.append(path)
        else:
            self.warn(f"{self.base_url} did not say how to log off; {_ENDS_BY_ITSELF}")

    def _logon_refused(self, reply: Response) -> EmError:
        if 300 <= reply.status < 400:
            return self._redirected(reply)
        if reply.status == 401:
            check = "Check username (DOMAIN\\user, user@domain or a local user of the EM server) and password."
            return self._transport.error(EmAuthError, reply, check)
        if reply.status == 403:
            return self._transport.error(
                EmPermissionError,
                reply,
                f"Check that {self.username} has a role in Enterprise Manager (Configuration, Roles).",
            )
        if reply.status in (404, 405):
            return self._transport.error(EmProtocolError, reply, WRONG_SERVICE)
        check = "Check that the services of Enterprise Manager are started and that it offers this api_version."
        return self._transport.error(EmServerError, reply, check)

    def _close(self) -> None:
        """Log off and give back what was taken. A failing log off is a warning: the work is done, or its error on its way."""
        try:
            if self._token:
                with self._signals.defer_interrupts():
                    self._log_off()
        finally:
            self._token = None
            self.forget_ahead()
            self._transport.close()
            self._signals.restore()

    def _log_off(self) -> None:
        until = time.monotonic() + LOG_OFF_TIMEOUT
        newest_first = self._log_off_paths[::-1]
        # An earlier logon that EM said it had dropped is ended too, in case it had not; first, while the token is good.
        for path in newest_first[1:] + newest_first[:1]:
            problem = self._end_logon(path, until) and self._end_logon(path, until)
            if problem and path == newest_first[0]:
                self.warn(f"The log off from {self.base_url} failed ({problem}); {_ENDS_BY_ITSELF}")

    def _end_logon(self, path: str, until: float) -> str:
        """End one logon; returns what went wrong, in a few words, or nothing.

        The words do not hold the path: its id, in base64, commonly is the token, and the logon may still live.
        """
        timeout = min(self.timeout, until - time.monotonic())
        if timeout <= 0:
            return "timeout"
        try:
            reply = self._transport.send(
                "DELETE", self.on_base_url(path), Operation("Log off"), {TOKEN_HEADER: self._token or ""}, timeout
            )
        except EmError as exc:
            return exc.kind
        # Another 2xx than the documented 204 may come from another service; a second attempt shows whether the logon is gone.
        return "" if reply.status in (204, 401, 404) else f"HTTP {reply.status}"

    def log_on_again(self) -> None:
        """Make a new logon, for an EM that refuses the old one with something else than 401.

        :raises EmError: it was refused.
        """
        self._log_on()

    # Acting

    def post(self, path: str, operation: Operation, body: bytes = b"") -> _xml.Document:
        """Ask for an action, once. It is sent again after a 401 only, with which EM refuses before it acts.

        An interruption waits for the reply, so that what EM was asked for is known.

        :arg path: path and query below the configured URL, as in :meth:`get`.
        :arg body: an XML document, or nothing.
        :raises EmError: the one that fits. Its ``in_doubt`` says whether EM may have acted all the same: no reply came
            or none that can be read, or EM or a proxy answered with 5xx.
        """
        url = self.on_base_url(path)
        reply = self._send_action(url, operation, body)
        if reply.status == 401:
            self._log_on()
            reply = self._send_action(url, operation, body)
        if 200 <= reply.status < 300:
            try:
                return self._parsed(reply)
            except EmProtocolError as exc:
                exc.in_doubt = True
                raise
        error = self._read_refused(reply, None)
        # With 408 a proxy may say that it waited in vain for the answer of an EM that is at work.
        error.in_doubt = reply.status == 408 or (reply.status >= 500 and reply.status != 501)
        raise error

    def _send_action(self, url: str, operation: Operation, body: bytes) -> Response:
        headers = {TOKEN_HEADER: self._token or "", "Content-Length": str(len(body))}
        if body:
            headers["Content-Type"] = "application/xml"
        try:
            with self._signals.defer_interrupts():
                return self._transport.send("POST", url, operation, headers, self.timeout, body)
        except EmError as exc:
            exc.in_doubt = not (isinstance(exc, EmTlsError) or is_connect_error(exc.__cause__))
            raise

    # Reading

    def get(
        self,
        path: str,
        operation: Operation,
        about: str | None = None,
        ahead: Iterable[str] = (),
        prefetched: Response | None = None,
    ) -> _xml.Document:
        """Read one resource.

        Repeated after a failure in transit or status 500, 502, 503, 504, and once after a new logon on 401.

        :arg path: path and query below the configured URL; of a whole URL, such as a link from EM, only path and query
            are used, so that the token never goes to another host.
        :arg operation: what is being done, for the error's sentence ("Read cloud failover sessions").
        :arg about: the id that is asked for, so that a text that says it is not known can be told from other errors.
        :arg ahead: what will be asked for next. If this resource was read ahead itself, these are, before it is waited for.
        :arg prefetched: what :meth:`fetch` got for this path. If it is a failure, the resource is requested again.
        :raises EmError: the one that fits.
        """
        url = self.on_base_url(path)
        if prefetched and 200 <= prefetched.status < 300:
            return self._parsed(prefetched)
        if prefetched and prefetched.status in RETRY_STATUSES:
            self._wait(0, prefetched)
        early = self._early_reply(url, ahead, operation)
        if early:
            return self._parsed(early)
        fresh_logon = False
        attempt = 0
        while True:
            attempted = operation
            if attempt:
                attempted = operation._replace(name=f"{operation} (attempt {attempt + 1} of {self.retries + 1})")
            try:
                reply = self._read(url, attempted)
                if 200 <= reply.status < 300:
                    return self._parsed(reply)
                error = self._read_refused(reply, about)
                again = reply.status in RETRY_STATUSES and not isinstance(error, EmNotFoundError)
            except (EmConnectionError, EmTimeoutError) as exc:
                reply, error, again = None, exc, True
            self._in_trouble = True
            if isinstance(error, EmAuthError) and not fresh_logon:
                fresh_logon = True
                self._log_on()
                continue
            if not again or attempt == self.retries:
                raise error
            self._wait(attempt, reply)
            attempt += 1

    def fetch(self, path: str, operation: Operation) -> Response:
        """Request one resource once, without retry or new logon, for :meth:`get` to use later. Any thread may call it.

        :raises EmError: there was no complete response.
        """
        return self._read(self.on_base_url(path), operation)

    def read_ahead(self, paths: Iterable[str], operation: Operation) -> None:
        """Begin to read resources that :meth:`get` will be asked for next, in this order, :data:`MAX_PREFETCH` at most.

        A failure of such a request is none yet: ``get`` asks again, by itself. After the first one nothing is read
        ahead any more: an EM in trouble, or one that cannot do two things at once, gets one request at a time.
        """
        for path in islice(paths, MAX_PREFETCH):
            url = self.on_base_url(path)
            if self._in_trouble or len(self._early) >= MAX_PREFETCH:
                return
            if url not in self._early:
                try:
                    self._early[url] = _Early(partial(self._read, url, operation), self.timeout)
                except RuntimeError:  # no more threads can be had
                    return

    def forget_ahead(self) -> None:
        """Whatever was read ahead will not be asked for: it must not answer a later ``get`` of the same path."""
        self._early.clear()

    def _early_reply(self, url: str, ahead: Iterable[str], operation: Operation) -> Response | None:
        """The good reply to a request that was sent ahead, or None."""
        early = self._early.pop(url, None)
        if early:
            self.read_ahead(ahead, operation)
        reply = early.reply() if early else None
        if reply and 200 <= reply.status < 300:
            return reply
        if early:
            self._in_trouble = True
        if reply and reply.status in RETRY_STATUSES:
            self._wait(0, reply)
        return None

    def _read(self, url: str, operation: Operation) -> Response:
        return self._transport.send("GET", url, operation, {TOKEN_HEADER: self._token or ""}, self.timeout)

    def on_base_url(self, link: str) -> str:
        """Path and query of a link, on the configured URL: the host in EM's links is EM's own idea, and not trusted."""
        parts = split_url(link)
        return f"{self.base_url}/{parts.path.lstrip('/')}" + (f"?{parts.query}" if parts.query else "")

    def _parsed(self, reply: Response) -> _xml.Document:
        try:
            return _xml.parse(reply.body)
        except _xml.XmlError as exc:
            happened = f"but the reply cannot be used: {self.redact(str(exc))}"
            raise self._transport.error(EmProtocolError, reply, WRONG_SERVICE, happened) from None

    def _read_refused(self, reply: Response, about: str | None) -> EmError:
        status = reply.status
        if 300 <= status < 400:
            return self._redirected(reply)
        if status == 401:
            check = "EM dropped the logon, and the new one too. Check whether something else ends logons of this user."
            return self._transport.error(EmAuthError, reply, check)
        if status == 403:
            return self._transport.error(EmPermissionError, reply, reply.operation.missing_role(self.username))
        if status == 404 or (status in (400, 500) and _says_absent(reply.said, about)):
            check = "Check that this version of Enterprise Manager offers this resource."
            return self._transport.error(EmNotFoundError, reply, check)
        check = "Check that the services of Enterprise Manager are started and healthy, then try again."
        if 400 <= status < 500:
            check = (
                "Enterprise Manager does not accept this request. Check its message, and that this version offers it."
            )
        return self._transport.error(EmServerError, reply, check)

    def _redirected(self, reply: Response) -> EmError:
        target = split_url(reply.headers.get("Location", ""))
        host = target.netloc.rpartition("@")[2]  # without a user name and password
        where = f"{target.scheme}://{host}{target.path}" if host else target.path or "nowhere"
        happened = (
            f"which points to {self.redact(where)}; redirects are not followed, so that the logon goes nowhere else"
        )
        return self._transport.error(
            EmProtocolError, reply, "Give the address of Enterprise Manager itself as url.", happened, said=False
        )

    def _wait(self, attempt: int, reply: Response | None) -> None:
        """Sleep before the next attempt: from half a second, doubling, with jitter, and as ``Retry-After`` asks."""
        pause = min(0.5 * 2**attempt, LONGEST_WAIT) * random.uniform(0.5, 1.0)
        asked = _retry_after(reply.headers.get("Retry-After")) if reply else None
        if reply and asked is not None and asked > LONGEST_WAIT:
            happened = f"and asks to come back in {asked:.0f} seconds"
            check = f"Try again then; the longest wait here is {LONGEST_WAIT:.0f} seconds."
            raise self._transport.error(EmServerError, reply, check, happened)
        (self._pause or _sleep)(max(pause, asked or 0.0))

    def redact(self, said: str) -> str:
        """A text from outside as one short line without secrets, as :meth:`Transport.shown` makes it."""
        return self._transport.redact(said)


def _say_nothing(sentence: str) -> None:
    return None


def _sleep(seconds: float) -> None:
    time.sleep(seconds)


def _base_url(url: str) -> str:
    """Scheme, host and port of the ``url`` option, without a trailing ``/`` or ``/api``."""
    accepted = "Give scheme, host and port of Enterprise Manager, such as https://em.example.com:9398."
    url = url.strip()
    if "@" in url:
        # Shown without what stands before "@", which may be a password, however odd the rest is.
        shown = re.sub(r"^([a-z]+://)?.*@", r"\1...@", url, flags=re.IGNORECASE | re.DOTALL)
        raise OptionError("url", shown, f"Give user name and password as username and password, not in url. {accepted}")
    parts = split_url(url)
    try:
        host, port = parts.hostname or "", parts.port
        host.encode("idna")
    except ValueError:
        raise OptionError("url", url, accepted) from None
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        raise OptionError("url", url, accepted)
    if parts.path.rstrip("/") not in ("", "/api") or re.search(r"[\s\\]", parts.netloc):
        raise OptionError("url", url, accepted)
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port is not None else "")


def _guid_in(token: str) -> str | None:
    """The GUID that tokens commonly are in base64 (seen). It is the id to log off with, if the reply did not give it."""
    try:
        guid = base64.b64decode(token, validate=True).decode("ascii")
    except ValueError:
        return None
    return guid if _xml.GUID.fullmatch(guid) else None


def _says_absent(said: str, about: str | None) -> bool:
    """Whether an error's text says that what was asked for is not known."""
    said = said[: MAX_SCANNED // 4]  # with more, the patterns could take minutes
    if about and about in said.lower():
        return bool(re.search(r"\b(?:not|no|unknown)\b", said, re.IGNORECASE))
    return bool(_ABSENT.search(said))


def _retry_after(value: str | None) -> float | None:
    """Seconds to wait by a ``Retry-After`` header (a number or an HTTP date), or None."""
    seconds = decimal(value)
    if seconds is not None:
        return float(seconds)
    try:
        return max(0.0, parsedate_to_datetime(value or "").timestamp() - time.time())
    except (TypeError, ValueError, IndexError):
        return None


def _http_date(value: str | None) -> datetime | None:
    """A time in a header as naive UTC, or None where it is missing, unreadable or no time that a server could have."""
    try:
        when = parsedate_to_datetime(value or "").astimezone(timezone.utc).replace(tzinfo=None)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return when if 1970 < when.year < 9999 else None
