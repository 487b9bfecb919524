# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tells which session an action created: EM's task, or else the new sessions of the plan. It sends no requests."""

from __future__ import annotations

from dataclasses import dataclass

from .._api.errors import EmError
from .em_task import EmTask


@dataclass
class Identification:
    """What is known while the session of an action is identified.

    :ivar before: ids of the plan's sessions before the request.
    :ivar task: EM's task, or None if EM's reply had none.
    :ivar reply_error: what was wrong with EM's reply.
    """

    before: frozenset[str] = frozenset()
    task: EmTask | None = None
    reply_error: EmError | None = None
    _new: frozenset[str] = frozenset()
    _new_since: float = 0.0
    _watched_since: float | None = None

    @property
    def linked(self) -> str | None:
        """Id of the session that EM's task links to."""
        return self.task.session_id if self.task else None

    @property
    def links_to_old(self) -> bool:
        """Whether EM's task links to a session that was there before the request, which cannot be its own."""
        return self.linked in self.before

    @property
    def task_running(self) -> bool:
        """Whether EM's task runs. Then nothing else decides."""
        return self.task is not None and self.task.running

    def watch(self, new: frozenset[str], now: float) -> tuple[float, float]:
        """Note the ids of the new sessions, each time that EM's task cannot decide.

        :returns: seconds since the first time, and seconds for which the new sessions have been the same.
        """
        if self._watched_since is None:
            self._watched_since = now
        if new != self._new:
            self._new, self._new_since = new, now
        return now - self._watched_since, now - self._new_since
