# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""Waiting for a failover session: ask again and again, across outages of EM and logons that end, until a time is over.

Source of what is assumed about outages and logons: docs/evidence.md, "Waiting".
"""

from __future__ import annotations

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
from .sessions import COLLECTION, find
from .times import format_time, utc_now

T = TypeVar("T")

GOES_ON = "The wait goes on until its time is over."
TRANSIENT_ERRORS = (EmConnectionError, EmTimeoutError, EmServerError, EmProtocolError, EmNotFoundError)
"""What an EM answers while it is away or starts again, or what stands before it then. It may pass, so a wait goes on."""
MAX_REFUSED = 2
"""So many logons of a wait may be refused; more could lock the account."""
REFUSED_PAUSE = 60.0
"""Seconds before a logon that was refused is tried again: a directory service may be starting, too."""
MORE_LOOKS = 2
"""So often a session that is over without a result is read again, since EM's copy may lag behind (assumed)."""


class Poller:
    """Asks again and again until a time is over, whatever happens to EM meanwhile.

    An outage is a warning when it begins, not with each attempt. A certificate that is not trusted ends the wait at
    once, and so does a logon that is refused for the second time. What EM forbids (403) is asked for once more with a
    new logon, since it may stand for a logon that has ended.

    :arg seconds: the wait ends with the first attempt after this time; one attempt may take ``timeout`` for each of its
        requests and their ``retries``.
    :arg interval: seconds between two attempts.
    :ivar outage: the error of the last attempt, or None if it was answered.
    """

    def __init__(self, client: EnterpriseManager, seconds: float, interval: float) -> None:
        self._client = client
        self._until = monotonic() + seconds
        self._interval = interval
        self._refused = 0
        self.outage: EmError | None = None

    def poll(self, read: Callable[[], T]) -> Iterator[T]:
        """What ``read`` returns, again and again; attempts that EM did not answer yield nothing.

        :raises EmError: one that does not pass.
        """
        while True:
            pause = self._interval
            try:
                answer = self._with_right(read)
            except TRANSIENT_ERRORS as exc:
                if self.outage is None:
                    self._client.warn(f"{exc} {GOES_ON}")
                self.outage = exc
            except EmAuthError as exc:
                self._refused += 1
                pause = max(pause, REFUSED_PAUSE)
                if self._refused >= MAX_REFUSED or self._until - monotonic() < pause:
                    raise
                self._client.warn(f"{exc} It is tried once more in {pause:g} seconds.")
                self.outage = exc
            else:
                self.outage = None
                yield answer
            left = self._until - monotonic()
            if left <= 0:
                return
            sleep(min(pause, left))

    def _with_right(self, read: Callable[[], T]) -> T:
        try:
            return read()
        except EmPermissionError:
            self._client.log_on_again()
            return read()


def monotonic() -> float:
    return time.monotonic()


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def read(client: EnterpriseManager, guid: str) -> Fact | None:
    """The facts of one session, or None where EM does not know it."""
    return next(iter(find(client, SessionCriteria(now=utc_now(), ids=(guid,))).sessions), None)


def wait_until_appeared(client: EnterpriseManager, criteria: SessionCriteria, seconds: float, interval: float) -> Fact:
    """The newest session for which the criteria hold, as soon as there is one.

    :raises EmAmbiguousError: there are several, on different backup servers.
    :raises EmWaitError: there is none after so many seconds.
    :raises EmError: one that does not pass.
    """
    tried = "Wait for a failover session"
    patience = Poller(client, seconds, interval)
    for found in patience.poll(lambda: find(client, criteria).sessions):
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
    raise not_there(client.on_base_url(COLLECTION), seconds, patience.outage)


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
    patience = Poller(client, seconds, interval)
    odd = 0
    unknown = False
    for answer in patience.poll(lambda: read(client, guid)):
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
            if not may_change(fact) or odd > MORE_LOOKS:
                return
    if last and last["finished"]:
        return  # without a result, for which there was no time to wait longer
    where = client.on_base_url(f"{COLLECTION}/{guid}")
    raise not_over(where, guid, last, monotonic() - started, patience.outage)


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
