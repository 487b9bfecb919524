# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The looks at one EM: their gaps, and what they saw of replica points. Only those that an answer needs are read: there may be
one for each hour of many years."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from .._failover.criteria import SessionCriteria
from .._failover.facts import READY
from .bodies import Gap, reaches_back_to, sighting_of
from .kind import Sighting
from .records import StoredRecord, split_subject
from .store import Store

MAX_LISTED = 100
"""Maximum number of looks that are listed unless a period is asked for."""
TOGETHER = 10
"""Looks that are read at once."""
LOOK_FACTS = ("user", "url", "source", "created_after", "clock", "collected_at", "complete", "missing")
"""What is returned of a look."""


class Looks:
    """The looks at one EM, oldest first."""

    def __init__(self, store: Store, em_name: str) -> None:
        self._store = store
        self._times = store.look_times(em_name)
        self._records: dict[int, StoredRecord] = {}
        self._sightings: dict[int, Sighting] = {}

    def gaps(self) -> list[Gap]:
        """The gaps between looks, oldest first: nobody has seen all that was new in such a time."""
        gaps: list[Gap] = []
        reach = "9999"
        for place in range(len(self._times) - 2, -1, -1):
            at, after = self._times[place][0], place + 1
            while at < reach and after < len(self._times):
                # What the next look left out, a later one may have seen; none that follows a full one reaches further back.
                later = self._look(after)
                reach = min(reach, reaches_back_to(later.at, later.body["created_after"]))
                after = after + 1 if later.body["created_after"] else len(self._times)
            if at < reach:
                gaps.insert(0, {"from": at, "to": self._times[place + 1][0]})
        return gaps

    def listed(self, criteria: SessionCriteria) -> list[dict[str, Any]]:
        """The facts of the looks in the time of the criteria, newest first."""
        first, last = self._since(criteria.created_after or ""), self._since(criteria.created_before or "9999")
        if not criteria.created_after:
            first = max(first, last - MAX_LISTED)
        return [self._listed(self._look(place)) for place in range(last - 1, first - 1, -1)]

    @staticmethod
    def _listed(look: StoredRecord) -> dict[str, Any]:
        facts = {name: look.body[name] for name in LOOK_FACTS}
        return {"em_name": split_subject(look.subject)[0], "seen_at": look.at, **facts}

    def newest_points(self) -> tuple[str, list[str]] | None:
        """When the states of replica points were read last, and the ids of those that were not ready; None if they never were."""
        for place in range(len(self._times) - 1, -1, -1):
            look = self._look(place)
            if look.body["points"] is not None:
                states = self._sighting(place).states
                return look.at, [guid for guid, state in states.items() if state != READY]
        return None

    def sightings(self, since: str) -> Iterator[Sighting]:
        """What each look saw of replica points from this time on, oldest first."""
        return map(self._sighting, range(self._since(since), len(self._times)))

    def _since(self, at: str) -> int:
        """The place of the first look at this time or later."""
        return bisect_left(self._times, (at, 0))

    def _sighting(self, place: int) -> Sighting:
        if place not in self._sightings:
            look = self._look(place)
            self._sightings[place] = sighting_of(look.at, look.body)
        return self._sightings[place]

    def _look(self, place: int) -> StoredRecord:
        sequence = self._times[place][1]
        if sequence not in self._records:
            start = place - place % TOGETHER
            for look in self._store.records_at([number for dummy, number in self._times[start : start + TOGETHER]]):
                self._records[look.sequence] = look
        return self._records[sequence]
