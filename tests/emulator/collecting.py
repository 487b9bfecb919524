# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collection jobs: how old the copy of the backup servers' data is that clients see (docs/evidence.md, "Age of EM's data").

Jobs begin on schedule by the clock or on request, take some time, and end as the switches said when they began. They are
made up to the present whenever anything looks; nothing has to run in the background.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from .behaviour import Behaviour
from .clock import Clock, parse_time
from .em_tasks import Outcome

COLLECT = "CollectJob"
OPERATION = "CollectingBackupServer"
COMPLETED = ("CompletedSuccessfully", "CompletedWarning")
_LISTED = timedelta(days=30)  # [doc]
_FIRST_AGE = timedelta(minutes=7)  # of the newest scheduled job, when the emulator starts
_DAILY = ("HistoryCollectJob", "DatabaseMaintenance", "LicAutoUpdate", "SecurityScopesRebuild")  # [doc: words]
_STARTED = "Data collection started. To view results, go to Sessions."  # [doc]
_MESSAGES = {
    "CompletedWarning": "Failed to collect data from one of the backup servers",
    "Failed": "Failed to collect data from backup servers",
}


@dataclass(frozen=True)
class SystemSession:
    """A run of one of EM's own jobs, as planned.

    :param end_time: when it ends, None never.
    :param state: EM's word from then on; before it is ``InProgress``.
    :param raw: properties served verbatim, None leaves one out.
    """

    id: str
    session_type: str
    creation_time: datetime
    end_time: datetime | None
    state: str
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``Collect Job @date time`` [doc]."""
        words = self.session_type.replace("Job", " Job")
        return f"{words} @{self.creation_time:%Y-%m-%d %H:%M:%S.%f}"

    def state_at(self, now: datetime) -> str:
        """EM's word at a moment."""
        return "InProgress" if self.end_time is None or now < self.end_time else self.state

    def message_at(self, now: datetime) -> str:
        """What its result says at a moment."""
        return _MESSAGES.get(self.state_at(now), "")


class Collecting:
    """The system sessions, and what a request to collect comes to. Safe from any thread."""

    def __init__(self, clock: Clock, behaviour: Behaviour) -> None:
        self._clock = clock
        self._behaviour = behaviour
        self._lock = threading.RLock()
        self._sessions: list[SystemSession] = []
        self.reset()

    def reset(self) -> None:
        """As at the start: jobs that went well, the last of them seven minutes ago."""
        with self._lock:
            self._sessions = []
            self._made = False  # the jobs before the start are made when somebody looks: most tests do not
            self._scheduled = self._clock.now() - _FIRST_AGE  # up to here the schedule has been carried out

    def _make_past(self) -> None:
        self._made = True
        interval = timedelta(seconds=900)
        days = self._behaviour.collect_days
        for number in range(int((timedelta(days=days) - _FIRST_AGE) / interval), -1, -1):
            self._begin(COLLECT, self._scheduled - number * interval, 18.0, COMPLETED[0])
        for day in range(days):
            for number, session_type in enumerate(_DAILY):
                begin = self._scheduled - timedelta(days=day, minutes=3 + number)
                self._begin(session_type, begin, 5.0, COMPLETED[0])

    def sessions(self) -> list[SystemSession]:
        """What is listed now: those of the last thirty days [doc], in no order."""
        now = self._catch_up()
        return [s for s in self._sessions if now - _LISTED <= s.creation_time <= now]

    def copied_at(self) -> datetime | None:
        """As of when clients see sessions and points: the start of the last job that has brought data. None: as of now."""
        if self._behaviour.copy == "live":
            return None
        now = self._catch_up()
        done = [
            session.creation_time
            for session in self._sessions
            if session.session_type == COLLECT and session.state_at(now) in COMPLETED
        ]
        return max(done, default=self._scheduled - _LISTED)

    def add(
        self,
        session_type: str = COLLECT,
        state: str = COMPLETED[0],
        creation_time: datetime | str | None = None,
        seconds: float | None = 18.0,
        raw: Mapping[str, Any] | None = None,
    ) -> SystemSession:
        """Add a job, which begins now unless ``creation_time`` says when; ``seconds`` None: it never ends."""
        with self._lock:
            now = self._catch_up()
            begin = parse_time(creation_time) if isinstance(creation_time, str) else creation_time or now
            return self._begin(session_type, begin, seconds, state, raw)

    def clear(self) -> None:
        """Forget all jobs; the schedule goes on."""
        with self._lock:
            self._catch_up()
            self._sessions.clear()

    def collect(self) -> Outcome:
        """What ``?action=collect`` comes to. The task ends when the collection has started [doc]."""
        behaviour = self._behaviour
        with self._lock:
            now = self._catch_up()
            running = any(s.session_type == COLLECT and s.state_at(now) == "InProgress" for s in self._sessions)
            if running and behaviour.second_collect == "refuse":
                message = "Data collection is already running"
                return Outcome(OPERATION, False, message, behaviour.collect_start_seconds, refreshes=False)
            if not (running and behaviour.second_collect == "join"):
                begin = now + timedelta(seconds=behaviour.collect_start_seconds)
                self._begin(COLLECT, begin, behaviour.collect_seconds, behaviour.collect_state)
            return Outcome(OPERATION, True, _STARTED, behaviour.collect_start_seconds, refreshes=False)

    def _begin(
        self,
        session_type: str,
        begin: datetime,
        seconds: float | None,
        state: str,
        raw: Mapping[str, Any] | None = None,
    ) -> SystemSession:
        end = None if seconds is None else begin + timedelta(seconds=seconds)
        session = SystemSession(str(uuid.uuid4()), session_type, begin, end, state, MappingProxyType(dict(raw or {})))
        self._sessions.append(session)
        return session

    def _catch_up(self) -> datetime:
        """Let begin what the schedule has made begin by now; returns the present."""
        behaviour = self._behaviour
        with self._lock:
            if not self._made:
                self._make_past()
            now = self._clock.now()
            interval = behaviour.collect_interval
            if interval is None:
                self._scheduled = max(self._scheduled, now)
                return now
            # After a leap of more than what is listed, the jobs before are not missed by anybody.
            self._scheduled = max(self._scheduled, now - _LISTED - timedelta(seconds=interval))
            while self._scheduled + timedelta(seconds=interval) <= now:
                self._scheduled += timedelta(seconds=interval)
                self._begin(COLLECT, self._scheduled, behaviour.collect_seconds, behaviour.collect_state)
            return now
