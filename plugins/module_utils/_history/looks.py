# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The looks at one EM: their gaps, and what they saw of replica points. Only those that an answer needs are read: there may be
one for each hour of many years."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Any

from .._failover.criteria import SessionCriteria
from .bodies import Gap, reaches_back_to, sighting_of
from .kind import Sighting
from .records import FACTS, StoredRecord
from .store import Store

MAX_LISTED = 100
"""Maximum number of looks that are listed unless a period is asked for."""
TOGETHER = 10
"""Looks that are read at once."""


class Looks:
    """The looks at one EM, oldest first."""

    def __init__(self, store: Store, em_name: str) -> None:
        self._store = store
        self._times = store.look_times(em_name)
        self._records: dict[int, StoredRecord] = {}
        self._sightings: dict[int, Sighting] = {}

    def until(self, now: str) -> str:
        """The time until which looks count: one that is later than now and than the look that was recorded last was made
        while EM's clock was ahead."""
        return max(now, max(self._times, key=lambda look: look[1], default=("", 0))[0])

    def gaps(self, now: str) -> list[Gap]:
        """The gaps between looks, oldest first: nobody has seen all that was new in such a time."""
        gaps: list[Gap] = []
        reach = "9999"
        count = bisect_right(self._times, (self.until(now), sys.maxsize))
        for place in range(count - 2, -1, -1):
            at, after = self._times[place][0], place + 1
            while at < reach and after < count:
                # What the next look left out, a later one may have seen; none that follows a full one reaches further back.
                later = self._look(after)
                reach = min(reach, reaches_back_to(later.at, later.body["created_after"]))
                after = after + 1 if later.body["created_after"] else count
            if at < reach:
                gaps.insert(0, {"from": at, "to": self._times[place + 1][0]})
        return gaps

    def listed(self, criteria: SessionCriteria) -> list[dict[str, Any]]:
        """The facts of the looks in the time of the criteria, newest first."""
        first, last = self._since(criteria.created_after or ""), self._since(criteria.created_before or "9999")
        if not criteria.created_after:
            first = max(first, last - MAX_LISTED)
        looks = (self._look(place) for place in range(last - 1, first - 1, -1))
        shown = FACTS["look"] - {"points"}
        return [
            {**look.origin, **{name: value for name, value in look.body.items() if name in shown}} for look in looks
        ]

    def newest(self, until: str = "9999", with_points: bool = False, complete: bool = False) -> StoredRecord | None:
        """The newest look until this time.

        :arg with_points: of those that read states of replica points.
        :arg complete: with ``with_points``, of those that could list all points that are not Ready, so that all others were Ready then, or gone.
        """
        places = range(bisect_right(self._times, (until, sys.maxsize)) - 1, -1, -1)
        for look in map(self._look, places):
            is_read = look.body["points"] is not None and not (complete and "points" in look.body["missing"])
            if is_read or not with_points:
                return look
        return None

    def sightings(self, since: str) -> Iterator[Sighting]:
        """What each look saw of replica points from this time on, oldest first."""
        return map(self._sighting, range(self._since(since), len(self._times)))

    def _since(self, at: str) -> int:
        """The place of the first look at this time or later."""
        return bisect_left(self._times, (at, 0))

    def _sighting(self, place: int) -> Sighting:
        if place not in self._sightings:
            self._sightings[place] = sighting_of(self._look(place))
        return self._sightings[place]

    def _look(self, place: int) -> StoredRecord:
        sequence = self._times[place][1]
        if sequence not in self._records:
            start = place - place % TOGETHER
            for look in self._store.records_at([number for dummy, number in self._times[start : start + TOGETHER]]):
                self._records[look.sequence] = look
        return self._records[sequence]
