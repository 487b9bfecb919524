# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""What is new between two looks at EM's sessions: facts and a memory of what has been told -> events. No I/O."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .._failover.facts import Fact, last_time, merge_tasks
from .._failover.times import format_time, parse_time
from .._failover.waiter import MAX_REREADS

Event = dict[str, Any]

STARTED, CHANGED, VM_FAILED, FINISHED = "started", "changed", "vm_failed", "finished"
FORMAT = 1
"""Of the text that a memory is kept as. A text of another format is refused."""


@dataclass
class SessionState:
    """What has been told of one session.

    :ivar finished: its end, or it had ended before and is not to be told. Nothing more is told then.
    :ivar failed_vms: of the VMs whose failure has been told: name, and replica point or None.
    :ivar facts: as last told, to compare with; None once finished.
    :ivar seen_at: when EM gave them.
    :ivar looks: so often it was over without a result.
    :ivar time: the last moment that is known of it, to forget it by.
    """

    finished: bool = False
    failed_vms: list[list[str | None]] = field(default_factory=list)
    facts: Fact | None = None
    seen_at: str | None = None
    looks: int = 0
    time: str = ""


class EventState:
    """What has been told, by session id; the times that bound it. All times are texts as in facts.

    :ivar newest: the newest creation time that EM has shown, or None. It is EM's own idea of the time, so that a clock
        that differs loses nothing.
    :ivar since: what had ended before this moment is not looked for any more, and is forgotten. It never moves back.
    :ivar scope: what the sessions were selected by, as the owner likes it; None until a first look has shown what is past.
    :ivar started: the moment of the first start, or None where the owner has not said.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, SessionState] = {}
        self.newest: str | None = None
        self.since: str | None = None
        self.scope: Any = None
        self.started: str | None = None

    def active_since(self, now: datetime, look_back: timedelta, start: datetime | None = None) -> str | None:
        """From when on sessions are to be looked for: ``look_back`` before the newest one, or before now if it is of the future.

        None where EM has never shown one and ``start`` is not known: then there is no time of EM to count from.

        :arg start: the first start by EM's clock. What had ended ``look_back`` before it is never looked for, since EM may
            show its history later than that, and the newest session may be an old one.
        """
        newest = parse_time(self.newest)
        ends = [newest and min(now, newest), start if self.since is None else None]
        bounds = [format_time(end - look_back) or "" for end in ends if end]
        return max([*bounds, self.since or ""]) or None

    def keep(self, wanted: Callable[[Fact], bool]) -> None:
        """Forget the sessions that were running and are not wanted any more."""
        for guid, told in list(self.sessions.items()):
            if told.facts is not None and not wanted(told.facts):
                del self.sessions[guid]

    def unlisted(self, facts: Collection[Fact]) -> tuple[str, ...]:
        """Ids of the sessions that were running, and are not among these."""
        listed = {fact["id"] for fact in facts}
        return tuple(guid for guid, told in self.sessions.items() if not told.finished and guid not in listed)

    def changes(
        self,
        facts: Sequence[Fact],
        seen_at: str,
        since: str | None,
        scope: Any,
        is_past: Callable[[Fact], bool] = lambda fact: False,
    ) -> Iterator[Event]:
        """The events of a look. One counts as told when the next is asked for, so one that was not taken comes again.

        :arg facts: all sessions that are active since then, and those of :meth:`unlisted` that EM still knows.
        :arg seen_at: the moment of the look.
        :arg is_past: whether a session that is over and was never seen before is not to be told.
        """
        for fact in facts:
            if fact["finished"] and fact["id"] not in self.sessions and is_past(fact):
                self._close(fact, seen_at)
        self.scope = scope  # from here on nothing is past: what is not told of this look has to come after a restart
        for fact in facts:
            yield from self._changes_of(fact, seen_at)
        # From here on the look is told: before, a window that moved would have lost what was left of it.
        created = [fact["creation_time"] for fact in facts if fact["creation_time"]]
        self.newest = max([*created, self.newest or ""]) or None
        self.since = since
        listed = {fact["id"] for fact in facts}
        for guid, told in list(self.sessions.items()):
            if told.finished and guid not in listed and told.time < (since or ""):
                del self.sessions[guid]

    def forget(self, guids: Collection[str]) -> list[str]:
        """Forget those of these sessions, which EM does not know any more, that are too old to come back.

        Returns for each that had not ended a few words that name it.
        """
        gone = []
        for guid in guids:
            told = self.sessions.get(guid)
            if told and not told.finished and told.time < (self.since or ""):
                del self.sessions[guid]
                gone.append(f"{guid} of plan {(told.facts or {}).get('name')}")
        return gone

    def _changes_of(self, fact: Fact, seen_at: str) -> Iterator[Event]:
        told = self.sessions.get(fact["id"], SessionState())
        if told.finished:
            told.time = max(told.time, last_time(fact))
            return
        before = told.facts
        fact = merge_tasks(fact, before, told.seen_at)
        if not fact["finished"]:
            if before is None:
                yield _event(STARTED, fact)
            elif _outline(before) != _outline(fact):
                yield _event(CHANGED, fact)
        self.sessions[fact["id"]] = told
        told.facts, told.seen_at, told.time = fact, seen_at, last_time(fact)
        for vm in _new_failures(fact["tasks"], told.failed_vms):
            yield _event(VM_FAILED, fact, vm)
            told.failed_vms.append(_vm_key(vm))
        if fact["finished"]:
            told.looks += 1
            if fact["result"] != "None" or told.looks > MAX_REREADS:
                yield _event(FINISHED, fact)
                self._close(fact, seen_at)

    def _close(self, fact: Fact, seen_at: str) -> None:
        # Where EM shows no end, it may do so later and list the session again: it must not have been forgotten by then.
        time = last_time(fact) if fact["end_time"] else max(last_time(fact), self.newest or "", seen_at)
        self.sessions[fact["id"]] = SessionState(finished=True, time=time)

    # As text

    def to_text(self, of: str) -> str:
        """The memory as JSON with a check sum.

        :arg of: what it is about, the address of the EM.
        """
        content = {
            "of": of,
            "newest": self.newest,
            "since": self.since,
            "scope": self.scope,
            "started": self.started,
            "sessions": {guid: asdict(told) for guid, told in self.sessions.items()},
        }
        return json.dumps({"format": FORMAT, "sum": _sum(content), "memory": content}, indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str, of: str) -> EventState:
        """
        :raises ValueError: a few words that say why it cannot be used.
        """
        try:
            document = json.loads(text)
            version, content = document["format"], document["memory"]
            whole = document["sum"] == _sum(content)
        except (ValueError, TypeError, KeyError, RecursionError):
            raise ValueError("is damaged, or is no such file") from None
        if version != FORMAT:
            raise ValueError(f"was written by another version of the collection (format {version!r:.20})")
        if not whole:
            raise ValueError("is damaged or was edited by hand")
        if content["of"] != of:
            raise ValueError(f"belongs to {content['of']}, not to {of}")
        memory = cls()
        memory.newest, memory.since, memory.scope = content["newest"], content["since"], content["scope"]
        memory.started = content.get("started")
        memory.sessions = {guid: SessionState(**told) for guid, told in content["sessions"].items()}
        return memory


def _sum(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _event(name: str, fact: Fact, vm: Fact | None = None) -> Event:
    event: Event = {"event": name, "session": fact}
    return copy.deepcopy(event if vm is None else {**event, "vm": vm})


def _vm_key(vm: Fact) -> list[str | None]:
    """Name and point: two VMs of a session may have the same name, and then differ by the point (assumed)."""
    point = vm["replica_point"] or {}
    return [vm["vm_name"], point.get("id") or point.get("name")]


def _new_failures(vms: Sequence[Fact], told: list[list[str | None]]) -> list[Fact]:
    """The VMs that have failed and are not among those told, each of which stands for one.

    EM may show a point later than the failure, or not any more. So one told without a point is a VM of its name that has
    one, and takes its point; and one without a point is any of its name.
    """
    left = list(told)
    unknown = []
    for vm in vms:
        if vm["result"] != "Failed":
            continue
        if _vm_key(vm) in left:
            left.remove(_vm_key(vm))
        else:
            unknown.append(vm)
    new = []
    for vm in unknown:
        name, point = _vm_key(vm)
        same = next((key for key in left if key[0] == name and (key[1] is None or point is None)), None)
        if same is None:
            new.append(vm)
        else:
            left.remove(same)
            same[1] = point or same[1]
    return new


def _outline(fact: Fact) -> Any:
    """What makes a change: states and results, not progress, which Veeam's samples show to be decoration."""
    vms = sorted((vm["vm_name"] or "", vm["state"] or "", vm["result"]) for vm in fact["tasks"])
    return fact["state"], fact["result"], vms
