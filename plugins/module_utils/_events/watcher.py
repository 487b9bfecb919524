# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Polls one EM for its sessions, across outages, and turns what is new into events. Its owner decides when to poll."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from .._api.client import EnterpriseManager
from .._api.errors import EmAuthError, EmError, EmPermissionError, EmProtocolError
from .._failover.criteria import SessionCriteria
from .._failover.facts import Session, last_time
from .._failover.sessions import SessionReader
from .._failover.times import format_time, parse_time, utc_now
from .._failover.waiter import TRANSIENT_ERRORS, Poller, with_fresh_logon
from .state import Event, EventState
from .state_file import StateFile

MAX_PAUSE = 300.0
"""Maximum seconds between two polls while EM is unavailable, unless the interval is longer."""
LATE = timedelta(minutes=15)
"""How late EM may show something: it refreshes its copy so often by default (docs/evidence.md)."""
UNAVAILABLE_STATUSES = frozenset({None, 502, 503, 504})
"""Without an answer, or with one of these, EM is not there. A 500 may be about the one session that was requested."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z")

_log = logging.getLogger("dr_runbook.veeam_em.failover_session")


class Cancelled(Exception):
    """The source was cancelled: what is under way must not go on."""


class Poll(NamedTuple):
    """What EM showed in one poll.

    :ivar sessions: all that were active since ``since``, and those that were running when they were last seen.
    :ivar unknown_ids: of these, the ids that EM no longer knows.
    :ivar seen_at: the moment of the poll by EM's clock, or by this machine's where EM did not say how far they differ.
    """

    sessions: list[Session]
    unknown_ids: list[str]
    seen_at: str
    since: str | None


@dataclass(frozen=True)
class WatchOptions:
    """How to watch; see the options of the same names of the event source."""

    connection: Mapping[str, Any]
    criteria: SessionCriteria
    interval: float
    look_back: timedelta
    announce_ended: bool = False
    state_file: str | None = None

    @property
    def scope(self) -> dict[str, Any]:
        """The filters, as the state keeps them beside what was reported under them."""
        names, servers = self.criteria.names, self.criteria.backup_servers
        return {"name": names and sorted(names), "backup_server": servers and sorted(servers)}


class SessionFeed:
    """The sessions of one EM, read again and again under one logon.

    :arg warn: is given sentences for the user.
    :arg cancelled: once set, reading ends with :class:`Cancelled`.
    :ivar em: address of the EM.
    :ivar mask_secrets: takes the secrets of this logon out of a text.
    :ivar clock_offset: how far EM's clock is ahead of this machine's, or None if EM did not say.
    """

    def __init__(self, options: WatchOptions, warn: Callable[[str], None], cancelled: threading.Event) -> None:
        self._options = options
        self._cancelled = cancelled
        self._client = EnterpriseManager(**options.connection, warn=warn, sleep=self._sleep)
        self._warn = warn
        self._logged_on = False
        self.em = self._client.base_url
        self.mask_secrets = self._client.mask_secrets
        self.clock_offset: timedelta | None = None

    def read(self, state: EventState, first: bool) -> Poll:
        """Poll EM once.

        :arg first: whether EM has not answered since the start.
        :raises EmError: EM could not be read completely.
        """
        if not self._logged_on:
            self._client.__enter__()
            self._logged_on = True
            em_now = self._client.server_time
            self.clock_offset = None if em_now is None else em_now - utc_now()
        return with_fresh_logon(self._client, lambda: self._read(state, first))

    def log_off(self) -> None:
        if self._logged_on:
            self._logged_on = False
            self._client.__exit__()

    def first_start(self, state: EventState, now: datetime) -> datetime:
        """The moment of the first start by EM's clock, or by this machine's where EM did not say how far they differ.

        Never in the future: this machine's clock may have been ahead then, and corrected since.
        """
        return min(parse_time(state.started) or now, now) + (self.clock_offset or timedelta())

    def _read(self, state: EventState, first: bool) -> Poll:
        now = utc_now()
        reader = SessionReader(self._client)
        criteria = self._options.criteria
        start = self.first_start(state, now)
        if state.newest is None and first:
            newest = reader.list_sessions(replace(criteria, limit=1, descending=True)).sessions
            created = newest[0]["creation_time"] if newest else None
            # What has started since the first start must not push out of the window what has ended since then.
            state.newest = created and min(created, format_time(start) or created)
        since = state.active_since(now, self._options.look_back, None if self.clock_offset is None else start)
        sessions = []
        for session in reader.iter_sessions(replace(criteria, active_since=since)):
            self._stop_if_cancelled()
            sessions.append(session)
        by_id, unknown = self._read_by_id(reader, state.unlisted(sessions))
        return Poll(sessions + by_id, unknown, format_time(now + (self.clock_offset or timedelta())) or "", since)

    def _read_by_id(self, reader: SessionReader, ids: tuple[str, ...]) -> tuple[list[Session], list[str]]:
        """The sessions with these ids, which may have ended before the window, and the ids that EM does not know.

        What cannot be read now is read in the next poll. If EM forbids to read one, or fails for it, it hides no other.
        """
        sessions: list[Session] = []
        unknown: list[str] = []
        for guid in ids:
            self._stop_if_cancelled()
            try:
                session = reader.read_session(guid)
            except (*TRANSIENT_ERRORS, EmPermissionError) as exc:
                if exc.status in UNAVAILABLE_STATUSES:
                    break  # the next poll will tell
                self._warn(f"{exc} Other sessions can be read, so the source goes on and reads this one again.")
                continue
            if session:
                sessions.append(session)
            else:
                unknown.append(guid)
        return sessions, unknown

    def _stop_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled

    def _sleep(self, seconds: float) -> None:
        if self._cancelled.wait(seconds):
            raise Cancelled


class SessionWatcher:
    """Polls the sessions of one EM, one poll at a time, and remembers what it has reported.

    :raises OptionError: an option cannot be used.
    :ivar pause: seconds until the next poll.
    :ivar warn: logs a sentence for the user.
    :ivar mask_secrets: takes the secrets of the logon out of a text.
    :ivar cancelled: set it when no further poll will be needed, before :meth:`close`.
    """

    def __init__(self, options: WatchOptions) -> None:
        self._options = options
        self._warned: set[str] = set()
        self.pause = options.interval
        self.cancelled = threading.Event()
        self._one_poll = threading.Lock()
        self._feed = SessionFeed(options, self._warn_once, self.cancelled)
        self.warn, self.mask_secrets = partial(_log.warning, "%s"), self._feed.mask_secrets
        self._poller = self._new_poller()
        self._first = True
        self._file = StateFile(options.state_file, self._feed.em) if options.state_file else None
        self._state = (self._file and self._file.read()) or EventState()
        # Whether EM did not answer the first poll at once, or answered one that was not reported.
        self._late = self._state.started is not None
        self._state.started = self._state.started or format_time(utc_now())
        if self._state.scope != options.scope:
            self._state.keep(options.criteria.matches)

    def poll(self) -> Poll | None:
        """What EM shows, for :meth:`events`, or None if it did not answer.

        :raises EmError: one that does not pass.
        """
        with self._one_poll:
            try:
                poll = self._feed.read(self._state, self._first)
            except EmError as exc:
                # A proxy that refuses goes on doing so. At the start these mean a wrong password, proxy or url.
                kind = exc.kind if exc.transient else EmAuthError.kind
                if self._first and kind in (EmAuthError.kind, EmProtocolError.kind):
                    raise
                pause = self._poller.failed(kind, str(exc))
                if pause is None:
                    raise
                self._late, self.pause = True, pause
                return None
            if self._poller.unavailable:
                _log.warning(
                    "%s answers again, after %d polls without an answer.", self._feed.em, self._poller.failures
                )
                self._poller = self._new_poller()
            self.pause = self._options.interval
            return poll

    def _new_poller(self) -> Poller:
        """One for each outage, since a source polls for months: each may have its refused logon."""
        goes_on = "Trying again until it answers."
        return Poller(_log.warning, self._options.interval, max_pause=MAX_PAUSE, goes_on=goes_on)

    def events(self, poll: Poll) -> Iterator[Event]:
        """The events of a poll; one counts as reported when the next is requested."""
        is_past = self._is_past() if self._first else _never
        if self._first:
            running = sum(not session["finished"] for session in poll.sessions)
            _log.info("Watching %s. Running sessions: %d.", self._feed.em, running)
        for event in self._state.changes(poll.sessions, poll.seen_at, poll.since, self._options.scope, is_past):
            yield {**event, "em": self._feed.em}
        self._first = False
        for words in self._state.forget(poll.unknown_ids):
            _log.warning(
                "%s no longer knows session %s, which was running; its end is not reported.", self._feed.em, words
            )

    def save(self) -> None:
        """Write the state file, if there is one. If that fails, a warning says so, and the source goes on."""
        if self._file:
            try:
                self._file.write(self._state)
            except OSError as exc:
                self._warn_once(
                    f"The state file {self._file.path} cannot be written ({exc.strerror}). The source goes on, but after a "
                    "restart it may report events again."
                )

    def close(self) -> None:
        """Save what has been reported, wait for a request that is under way, and log off."""
        self.save()
        with self._one_poll:
            self._feed.log_off()
        if self._file:
            self._file.close()

    def _is_past(self) -> Callable[[Session], bool]:
        """What tells sessions that had ended before the first poll, and are not to be reported."""
        scope = self._state.scope
        if scope == self._options.scope:
            return _never
        if scope is not None:  # other filters than before: what only the new ones select was not watched
            before = SessionCriteria.from_options({**scope}.get)
            return lambda session: not before.matches(session)
        if self._options.announce_ended:
            return _never
        if not self._late:
            return lambda session: True
        # What has ended since the first start is new, even if the clocks differ a bit.
        start = format_time(self._feed.first_start(self._state, utc_now()) - LATE) or ""
        return lambda session: last_time(session) < start

    def _warn_once(self, sentence: str) -> None:
        """With a poll a minute, nobody wants to read the same again and again."""
        key = _TIME.sub("", sentence)  # a filter holds a time that moves on
        if key not in self._warned:
            self._warned.add(key)
            _log.warning("%s", sentence)


def _never(session: Session) -> bool:
    return False
