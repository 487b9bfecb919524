# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for a failover session: poll until a time limit, across outages of EM and logons that end.

Source of what is assumed about outages and logons: docs/evidence.md, "Waiting".
"""

from __future__ import annotations

import math
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
from . import clock
from .criteria import SessionCriteria
from .facts import SESSIONS_PATH, Session, may_change, merge_tasks, same_backup_server, vms_done
from .plans import PlanReader
from .sessions import SessionReader
from .times import format_time, utc_now

T = TypeVar("T")

GOES_ON = "The wait goes on until its time limit."
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
    """The one policy for an unavailable EM: what may be transient, when to poll again, when to give up, what to report.

    An outage is one warning when it starts, not one with each attempt. A logon that is refused for the second time ends
    the wait, and so does whatever is not in :data:`TRANSIENT_KINDS`, such as an untrusted certificate.

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
        self._until = clock.monotonic() + seconds
        self._max_pause = max_pause
        self._goes_on = goes_on
        self._refused = 0
        self.failures = 0
        self.unavailable: str | None = None

    @property
    def left(self) -> float:
        """Seconds until the time limit."""
        return self._until - clock.monotonic()

    def answered(self) -> None:
        """EM has answered an attempt."""
        self.unavailable = None
        self.failures = 0

    def failed(self, kind: str, sentence: str, warned: bool = False) -> float | None:
        """An attempt failed with an error of this kind.

        :arg warned: the user knows of this outage, or of a logon that was refused before, already.
        :returns: seconds to wait before the next attempt, or None if there is to be none.
        """
        if kind in TRANSIENT_KINDS:
            pause = max(self._interval, min(self._max_pause, self._interval * 2.0 ** min(self.failures, 30)))
            if self.unavailable is None and not warned:
                self._warn(f"{sentence} {self._goes_on}")
        else:
            pause = max(self._interval, REFUSED_PAUSE)
            self._refused += 1 + warned
            if kind != EmAuthError.kind or self._refused >= MAX_REFUSED or self.left < pause:
                return None
            self._warn(f"{sentence} Trying once more in {pause:g} seconds.")
        self.unavailable = sentence
        self.failures += 1
        return pause

    def poll(self, client: EnterpriseManager, read: Callable[[], T]) -> Iterator[T]:
        """What ``read`` returns, again and again until the time limit; attempts that EM did not answer yield nothing.

        :raises EmError: one that is not transient.
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
            clock.sleep(min(pause or 0.0, self.left))


def with_fresh_logon(client: EnterpriseManager, read: Callable[[], T]) -> T:
    """What ``read`` returns. What EM forbids (403) is read once more with a new logon: the old one may have ended."""
    try:
        return read()
    except EmPermissionError:
        client.log_on_again()
        return read()


def wait_until_appeared(
    client: EnterpriseManager, criteria: SessionCriteria, seconds: float, interval: float
) -> Session:
    """The newest session that matches, as soon as there is one.

    :raises EmAmbiguousError: there are several, on different backup servers.
    :raises EmWaitError: there is none after so many seconds.
    :raises EmError: one that is not transient.
    """
    poller = Poller(client.warn, interval, seconds)
    for sessions in poller.poll(client, lambda: SessionReader(client).list_sessions(criteria).sessions):
        if sessions:
            return merge_tasks(_newest(client, sessions), None, None)
    if poller.unavailable is None and criteria.names and (meant := PlanReader(client).similar_names(criteria.names)):
        client.warn(f"EM has no plan with the name that is waited for. {meant}")
    raise not_appeared(client.on_base_url(SESSIONS_PATH), seconds, poller.unavailable)


def _newest(client: EnterpriseManager, sessions: list[Session]) -> Session:
    """The newest session, which must be the only one if they are of several backup servers."""
    servers = [(session["backup_server"] or {"name": None})["name"] for session in sessions]
    listed = ", ".join(f"{session['id']} (backup server {name})" for session, name in zip(sessions, servers))
    if any(same_backup_server(session, sessions[0]) is False for session in sessions):
        problem = f"shows {len(sessions)} sessions on different backup servers: {client.redact(listed)}"
        hint = "Give the id of the session to wait for."
        raise EmAmbiguousError("Wait for a failover session", client.on_base_url(SESSIONS_PATH), problem, hint)
    if len(sessions) > 1:
        client.warn(f"EM shows {len(sessions)} matching sessions; using the newest: {client.redact(listed)}.")
    return sessions[0]


def wait_until_finished(
    client: EnterpriseManager,
    guid: str,
    seconds: float,
    interval: float,
    last: Session | None = None,
    since: float | None = None,
) -> Iterator[Session]:
    """The facts of a session whenever they have changed, until it has finished, with ``tasks_kept_at``.

    :arg last: the facts that are known already.
    :arg since: when the whole wait started, by ``clock.monotonic()``, if not now.
    :raises EmWaitError: it has not finished after so many seconds.
    :raises EmError: one that is not transient.
    """
    started = clock.monotonic() if since is None else since
    read_at = format_time(utc_now())
    poller = Poller(client.warn, interval, seconds)
    readings_of_end = 0
    for found in poller.poll(client, lambda: SessionReader(client).read_session(guid)):
        if found is None:
            client.warn(f"EM does not know the session {guid} at present. {GOES_ON}")
            continue
        session = merge_tasks(found, last, read_at)
        read_at = format_time(utc_now())
        if session != last:
            yield session
        last = session
        if session["finished"]:
            readings_of_end += 1
            if not may_change(session) or readings_of_end > MAX_REREADS:
                return
    if last and last["finished"]:
        return  # without a result, and there was no time to wait longer for one
    url = client.on_base_url(f"{SESSIONS_PATH}/{guid}")
    raise not_finished(url, guid, last, clock.monotonic() - started, poller.unavailable)


def not_appeared(url: str, waited: float, unavailable: str | None = None) -> EmWaitError:
    """The error for a session that has not appeared within the time limit.

    :arg url: URL or path of the sessions.
    :arg unavailable: the sentence of the last attempt, if EM was unavailable at the end.
    """
    problem = f"showed no matching session within {waited:.0f} seconds{at_the_end(unavailable)}"
    hint = "Check id, or plan (the name exactly as EM shows it) and created_after, and whether the plan was started."
    return EmWaitError("Wait for a failover session", url, problem, hint, None, unavailable)


def not_finished(
    url: str, guid: str, last: Session | None, waited: float, unavailable: str | None = None
) -> EmWaitError:
    """The error for a session that has not finished within the time limit.

    :arg url: URL or path of the session.
    :arg waited: seconds of the whole wait, however many runs of a module it took.
    :arg unavailable: as in :func:`not_appeared`.
    """
    name = f" of plan {last['name']}" if last else ""
    problem = f"showed state {last['state']}{vms_done(last)}" if last else "never showed it"
    problem += f" after {waited:.0f} seconds{at_the_end(unavailable)}"
    hint = "The run goes on in EM: keep waiting with failover_session_wait and this id, or check it in the console."
    return EmWaitError(f"Wait for the end of session {guid}{name}", url, problem, hint, None, unavailable)


def at_the_end(unavailable: str | None) -> str:
    """For a sentence: what EM answered at the end, if it was unavailable then."""
    return f"; EM was unavailable at the end ({unavailable.rstrip('.')})" if unavailable else ""
