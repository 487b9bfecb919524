# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two polls of sessions to events, and what has been reported; pure but for its text form. Sends no requests.

Events are those of the event source failover_session, see docs/eda.md.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .._failover.facts import Session, SessionTask, last_time, merge_tasks
from .._failover.times import format_time, parse_time
from .._failover.waiter import MAX_REREADS

Event = dict[str, Any]

STARTED, CHANGED, VM_FAILED, FINISHED = "started", "changed", "vm_failed", "finished"
FORMAT = 2
"""Of the text form. A text of another format is refused."""


@dataclass
class SessionState:
    """What has been reported of one session.

    :ivar finished: its end was reported, or it had ended before and is not to be reported. Nothing more is then.
    :ivar failed_vms: of the VMs whose failure was reported: name, and replica point or None.
    :ivar session: as last reported, to compare with; None once finished.
    :ivar seen_at: when EM showed it so.
    :ivar rereads: how often it was seen finished without a result.
    :ivar time: the last moment known of it, which decides when it is forgotten.
    """

    finished: bool = False
    failed_vms: list[list[str | None]] = field(default_factory=list)
    session: Session | None = None
    seen_at: str | None = None
    rereads: int = 0
    time: str = ""


@dataclass
class EventState:
    """What has been reported, by session id, and the times that bound it. All times are texts as in facts.

    :ivar newest: the newest creation time that EM has shown, or None. It is EM's own idea of the time, so that a clock
        that differs loses nothing.
    :ivar since: sessions that ended before this moment are no longer queried, and are forgotten. It never moves back.
    :ivar scope: how the sessions were selected, as the owner writes it; None until a first poll has shown what is past.
    :ivar started: the moment of the first start, or None where the owner has not set it.
    """

    sessions: dict[str, SessionState] = field(default_factory=dict)
    newest: str | None = None
    since: str | None = None
    scope: Any = None
    started: str | None = None

    def active_since(self, now: datetime, look_back: timedelta, start: datetime | None = None) -> str | None:
        """From when on to query sessions: ``look_back`` before the newest one, or before now if that lies in the future.

        None where EM has never shown one and ``start`` is not known: then there is no time of EM to count from.

        :arg start: the first start by EM's clock. What ended ``look_back`` before it is never queried, since EM may
            show its history later than that, and the newest session may be an old one.
        """
        newest = parse_time(self.newest)
        ends = [newest and min(now, newest), start if self.since is None else None]
        bounds = [format_time(end - look_back) or "" for end in ends if end]
        return max([*bounds, self.since or ""]) or None

    def keep(self, wanted: Callable[[Session], bool]) -> None:
        """Forget the running sessions that are no longer wanted."""
        for guid, state in list(self.sessions.items()):
            if state.session is not None and not wanted(state.session):
                del self.sessions[guid]

    def unlisted(self, sessions: Collection[Session]) -> tuple[str, ...]:
        """Ids of the sessions that were running, and are not among these."""
        listed = {session["id"] for session in sessions}
        return tuple(guid for guid, state in self.sessions.items() if not state.finished and guid not in listed)

    def changes(
        self,
        sessions: Sequence[Session],
        seen_at: str,
        since: str | None,
        scope: Any,
        is_past: Callable[[Session], bool] = lambda session: False,
    ) -> Iterator[Event]:
        """The events of a poll. One counts as reported when the next is requested; one that was not taken comes again.

        :arg sessions: all that are active since then, and those of :meth:`unlisted` that EM still knows.
        :arg seen_at: the moment of the poll.
        :arg is_past: whether a finished session that was never seen before is not to be reported.
        """
        for session in sessions:
            if session["finished"] and session["id"] not in self.sessions and is_past(session):
                self._close(session, seen_at)
        self.scope = (
            scope  # from here on nothing is past: what is not reported of this poll has to come after a restart
        )
        for session in sessions:
            yield from self._changes_of(session, seen_at)
        # From here on the poll is reported: before, a window that moved would have lost the rest of it.
        created = [session["creation_time"] for session in sessions if session["creation_time"]]
        self.newest = max([*created, self.newest or ""]) or None
        self.since = since
        listed = {session["id"] for session in sessions}
        for guid, state in list(self.sessions.items()):
            if state.finished and guid not in listed and state.time < (since or ""):
                del self.sessions[guid]

    def forget(self, guids: Collection[str]) -> list[str]:
        """Forget those of these sessions, unknown to EM, that are too old to come back.

        :returns: for each that had not ended a few words that name it.
        """
        forgotten = []
        for guid in guids:
            state = self.sessions.get(guid)
            if state and not state.finished and state.time < (self.since or ""):
                del self.sessions[guid]
                forgotten.append(f"{guid} of plan {state.session and state.session['name']}")
        return forgotten

    def _changes_of(self, session: Session, seen_at: str) -> Iterator[Event]:
        state = self.sessions.get(session["id"], SessionState())
        if state.finished:
            state.time = max(state.time, last_time(session))
            return
        before = state.session
        session = merge_tasks(session, before, state.seen_at)
        if not session["finished"]:
            if before is None:
                yield _event(STARTED, session)
            elif _outline(before) != _outline(session):
                yield _event(CHANGED, session)
        self.sessions[session["id"]] = state
        state.session, state.seen_at, state.time = session, seen_at, last_time(session)
        for vm in session["tasks"]:
            if vm["result"] == "Failed" and _vm_key(vm) not in state.failed_vms:
                yield _event(VM_FAILED, session, vm)
                state.failed_vms.append(_vm_key(vm))
        if session["finished"]:
            state.rereads += 1
            if session["result"] != "None" or state.rereads > MAX_REREADS:
                yield _event(FINISHED, session)
                self._close(session, seen_at)

    def _close(self, session: Session, seen_at: str) -> None:
        # Where EM shows no end, it may do so later and list the session again: it must not be forgotten by then.
        time = last_time(session)
        if not session["end_time"]:
            time = max(time, self.newest or "", seen_at)
        self.sessions[session["id"]] = SessionState(finished=True, time=time)

    # The text form

    def to_text(self, em: str) -> str:
        """The state as JSON.

        :arg em: address of the EM that it is about.
        """
        return json.dumps({"format": FORMAT, "em": em, "state": asdict(self)}, indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str, em: str) -> EventState:
        """
        :raises ValueError: a few words that say why it cannot be used.
        """
        try:
            document = json.loads(text)
            version, owner, content = document["format"], document["em"], document["state"]
            if version == FORMAT:
                sessions = {guid: SessionState(**of_session) for guid, of_session in content.pop("sessions").items()}
                state = cls(sessions, **content)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise ValueError("is damaged, or is not a state file") from None
        if version != FORMAT:
            raise ValueError(f"was written by another version of the collection (format {version!r:.20})")
        if owner != em:
            raise ValueError(f"belongs to {owner}, not to {em}")
        return state


def _event(name: str, session: Session, vm: SessionTask | None = None) -> Event:
    """A copy: filters of a rulebook, such as ansible.eda.json_filter, delete keys of an event where it stands."""
    return copy.deepcopy({"event": name, "session": session, **({} if vm is None else {"vm": vm})})


def _vm_key(vm: SessionTask) -> list[str | None]:
    """Name and point: two VMs of a session may have the same name, and then differ by the point (assumed)."""
    point = vm["replica_point"]
    return [vm["vm_name"], None if point is None else point["id"] or point["name"]]


def _outline(session: Session) -> Any:
    """What makes a change: states and results, not progress, which Veeam's samples show to be decoration."""
    vms = sorted((vm["vm_name"] or "", vm["state"] or "", vm["result"]) for vm in session["tasks"])
    return session["state"], session["result"], vms
