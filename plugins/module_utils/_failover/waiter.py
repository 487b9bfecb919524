# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""Waiting for a failover session: ask again and again, across outages of EM and logons that end, until a time is over.

Source of what is assumed about outages and logons: docs/evidence.md, "Waiting".
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from .._api.client import EnterpriseManager
from .._api.errors import (
    EmAmbiguousError,
    EmAuthError,
    EmConnectionError,
    EmError,
    EmNotFoundError,
    EmPermissionError,
    EmProtocolError,
    EmServerError,
    EmTimeoutError,
    EmWaitError,
)
from .criteria import SessionCriteria
from .facts import Fact, may_change, merge_tasks, vms_done
from .sessions import COLLECTION, SessionReader
from .times import format_time, utc_now

T = TypeVar("T")

GOES_ON = "The wait goes on until its time is over."
TRANSIENT_ERRORS = (EmConnectionError, EmTimeoutError, EmServerError, EmProtocolError, EmNotFoundError)
"""Errors that may be transient: what an unavailable or restarting EM answers, or a proxy in front of it."""
TRANSIENT_KINDS = frozenset(error.kind for error in TRANSIENT_ERRORS)
MAX_REFUSED = 2
"""Maximum number of refused logons in one wait; more could lock the account."""
REFUSED_PAUSE = 60.0
"""Seconds before a refused logon is tried again: a directory service may be starting, too."""
MAX_REREADS = 2
"""How often a session that has finished without a result is read again, since EM's copy may lag behind (assumed)."""


class Poller:
    """The one policy for a server that does not answer: what may pass, when to ask again, when to give up, what to say.

    An outage is one warning when it begins, not one with each attempt. A logon that is refused for the second time ends
    it, and so does whatever is not in :data:`TRANSIENT_KINDS`, such as an untrusted certificate.

    :arg warn: is given sentences for the user.
    :arg interval: seconds between two attempts.
    :arg seconds: the last attempt is the first one after this time; one attempt may take ``timeout`` for each of its
        requests and their ``retries``.
    :arg max_pause: while EM is unavailable, the pause doubles from ``interval`` up to this many seconds.
    :arg goes_on: what happens next, for the warning.
    :ivar unavailable: the sentence of the last attempt if EM did not answer it, else None.
    :ivar failures: attempts in a row that EM did not answer.
    """

    def __init__(
        self,
        warn: Callable[[str], None],
        interval: float,
        seconds: float = math.inf,
        max_pause: float = 0.0,
        goes_on: str = GOES_ON,
    ) -> None:
        self._warn = warn
        self._interval = interval
        self._until = monotonic() + seconds
        self._max_pause = max_pause
        self._goes_on = goes_on
        self._refused = 0
        self.failures = 0
        self.unavailable: str | None = None

    @property
    def left(self) -> float:
        """Seconds until the time is over."""
        return self._until - monotonic()

    def answered(self) -> None:
        """EM has answered an attempt."""
        self.unavailable = None
        self.failures = self._refused = 0

    def failed(self, kind: str, sentence: str) -> float | None:
        """An attempt failed with an error of this kind.

        :returns: seconds to wait before the next attempt, or None if there is to be none.
        """
        if kind == EmAuthError.kind:
            self._refused += 1
            pause = max(self._interval, REFUSED_PAUSE)
            if self._refused >= MAX_REFUSED or self.left < pause:
                return None
            self._warn(f"{sentence} Trying once more in {pause:g} seconds.")
        elif kind in TRANSIENT_KINDS:
            if self.unavailable is None:
                self._warn(f"{sentence} {self._goes_on}")
            pause = max(self._interval, min(self._max_pause, self._interval * 2.0 ** min(self.failures, 30)))
        else:
            return None
        self.failures += 1
        self.unavailable = sentence
        return pause

    def poll(self, client: EnterpriseManager, read: Callable[[], T]) -> Iterator[T]:
        """What ``read`` returns, again and again until the time is over; attempts that EM did not answer yield nothing.

        :raises EmError: one that does not pass.
        """
        while True:
            pause: float | None = self._interval
            try:
                result = with_fresh_logon(client, read)
            except EmError as exc:
                pause = self.failed(exc.kind, str(exc))
                if pause is None:
                    raise
            else:
                self.answered()
                yield result
            if self.left <= 0:
                return
            sleep(min(pause or 0.0, self.left))


def with_fresh_logon(client: EnterpriseManager, read: Callable[[], T]) -> T:
    """What ``read`` returns. What EM forbids (403) is asked for once more with a new logon: the old one may have ended."""
    try:
        return read()
    except EmPermissionError:
        client.log_on_again()
        return read()


def monotonic() -> float:
    return time.monotonic()


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def wait_until_appeared(client: EnterpriseManager, criteria: SessionCriteria, seconds: float, interval: float) -> Fact:
    """The newest session for which the criteria hold, as soon as there is one.

    :raises EmAmbiguousError: there are several, on different backup servers.
    :raises EmWaitError: there is none after so many seconds.
    :raises EmError: one that does not pass.
    """
    tried = "Wait for a failover session"
    poller = Poller(client.warn, interval, seconds)
    for found in poller.poll(client, lambda: SessionReader(client).list_sessions(criteria).sessions):
        if not found:
            continue
        others = ", ".join(
            f"{fact['id']} (backup server {(fact['backup_server'] or {}).get('name')})" for fact in found
        )
        if len({(fact["backup_server"] or {}).get("id") for fact in found}) > 1:
            happened = f"shows {len(found)} sessions on different backup servers: {others}"
            check = "Give the id of the one that is meant."
            raise EmAmbiguousError(tried, client.on_base_url(COLLECTION), client.redact(happened), check)
        if len(found) > 1:
            client.warn(f"EM shows {len(found)} such sessions, of which the newest is taken: {client.redact(others)}.")
        return merge_tasks(found[0], None, None)
    raise not_there(client.on_base_url(COLLECTION), seconds, poller.unavailable)


def wait_until_finished(
    client: EnterpriseManager,
    guid: str,
    seconds: float,
    interval: float,
    last: Fact | None = None,
    since: float | None = None,
) -> Iterator[Fact]:
    """The facts of a session whenever they have changed, until it has finished, with ``tasks_kept_at``.

    :arg last: the facts that are known already.
    :arg since: when the whole wait began, by :func:`monotonic`, if not now.
    :raises EmWaitError: it has not finished after so many seconds.
    :raises EmError: one that does not pass.
    """
    started = monotonic() if since is None else since
    seen_at = format_time(utc_now())
    poller = Poller(client.warn, interval, seconds)
    odd = 0
    unknown = False
    for answer in poller.poll(client, lambda: SessionReader(client).read_session(guid)):
        if answer is None:
            if not unknown:
                client.warn(f"EM does not know the session {guid} at present. {GOES_ON}")
            unknown = True
            continue
        fact = merge_tasks(answer, last, seen_at)
        seen_at = format_time(utc_now())
        unknown = False
        if fact != last:
            yield fact
        last = fact
        if fact["finished"]:
            odd += 1
            if not may_change(fact) or odd > MAX_REREADS:
                return
    if last and last["finished"]:
        return  # without a result, for which there was no time to wait longer
    where = client.on_base_url(f"{COLLECTION}/{guid}")
    raise not_over(where, guid, last, monotonic() - started, poller.unavailable)


def not_there(where: str, waited: float, outage: object = None) -> EmWaitError:
    """The error for a session that has not appeared when the time for waiting is over.

    :arg where: URL or path of the sessions.
    :arg outage: the error with which the last attempt ended, if EM could not be asked in the end.
    """
    happened = f"showed none that fits within {waited:.0f} seconds{_unavailable(outage)}"
    check = "Check id, or plan (the name exactly as EM shows it) and created_after, and whether the plan was started."
    return EmWaitError("Wait for a failover session", where, happened, check, None, _said(outage))


def not_over(where: str, guid: str, last: Fact | None, waited: float, outage: object = None) -> EmWaitError:
    """The error for a session that has not finished when the time for waiting is over.

    :arg where: URL or path of the session.
    :arg waited: seconds of the whole wait, however many tries it took.
    :arg outage: as in :func:`not_there`.
    """
    name = f" of plan {last['name']}" if last else ""
    operation = f"Wait for the end of session {guid}{name}"
    problem = f"had it in state {last['state']}{vms_done(last)}" if last else "never showed it"
    problem += f" after {waited:.0f} seconds"
    problem += _unavailable(outage)
    check = "The run goes on in EM: wait on with failover_session_wait and this id, or look at it in the console."
    return EmWaitError(operation, where, problem, check, None, _said(outage))


def _said(outage: object) -> str | None:
    return None if outage is None else str(outage)


def _unavailable(outage: object) -> str:
    return f"; EM was unavailable in the end ({str(outage).rstrip('.')})" if outage is not None else ""
