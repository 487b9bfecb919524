# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks of Enterprise Manager: what ``?action=`` gives and ``/api/tasks`` shows (docs/evidence.md, "Tasks of EM").

They are not the tasks of a session, which are its VMs. They belong to a logon and die with it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta

from .behaviour import Behaviour


@dataclass
class EmTask:
    """One operation, as planned: Running until ``done``, then OperationFinished, from ``end`` Finished.

    :param session_id: of the cloud failover session that it began, None for no link.
    :param linked_from: when a finished task begins to have this link.
    :param hidden_reads: so many times more it will not be found.
    """

    id: str
    operation: str
    done: datetime
    end: datetime
    success: bool
    message: str
    linked_from: datetime
    session_id: str | None = None
    session_name: str | None = None
    hidden_reads: int = 0

    def state(self, now: datetime, operation_finished: bool) -> str:
        """The state at a moment; without ``operation_finished`` there are only two states, as in 9.x."""
        if now >= self.end:
            return "Finished"
        return "OperationFinished" if operation_finished and now >= self.done else "Running"


@dataclass(frozen=True)
class Outcome:
    """What an action on a plan came to; :meth:`EmTasks.add` makes a task of it.

    :param seconds: how long it takes on the backup server.
    :param session_id: of the session that it began, whether or not the task will have a link to it (``linked``).
    :param undone: the sessions whose failover it ends.
    :param refreshes: whether EM refreshes its database afterwards, which is a state of its own.
    """

    operation: str
    success: bool
    message: str
    seconds: float
    session_id: str | None = None
    session_name: str | None = None
    linked: bool = True
    undone: tuple[str, ...] = ()
    refreshes: bool = True


class EmTasks:
    """The tasks of one logon, counted from 1. Ids are never used twice."""

    def __init__(self) -> None:
        self._by_id: dict[str, EmTask] = {}
        self._count = 0
        self._lock = threading.Lock()

    def add(self, outcome: Outcome, now: datetime, behaviour: Behaviour) -> EmTask:
        """Begin a task. One that fails has nothing to refresh in EM's database."""
        done = now + timedelta(seconds=outcome.seconds)
        end = done + timedelta(seconds=behaviour.refresh_seconds if outcome.success and outcome.refreshes else 0)
        with self._lock:
            self._count += 1
            task = EmTask(
                f"task-{self._count}",
                outcome.operation,
                done,
                end,
                outcome.success,
                outcome.message,
                end + timedelta(seconds=behaviour.link_delay_seconds),
                outcome.session_id if outcome.linked else None,
                outcome.session_name,
                behaviour.hidden_task_reads,
            )
            self._by_id[task.id] = task
        return task

    def find(self, task_id: str) -> EmTask | None:
        """The task with this id, or None; also as long as it is hidden, which ends by asking."""
        task = self._by_id.get(task_id.casefold())
        if task is not None and task.hidden_reads > 0:
            task.hidden_reads -= 1
            return None
        return task

    def all(self) -> list[EmTask]:
        """All tasks that are not hidden, oldest first."""
        with self._lock:
            return [task for task in self._by_id.values() if task.hidden_reads <= 0]

    def remove(self, task: EmTask) -> None:
        """Forget a task. What it began goes on [assumed]."""
        with self._lock:
            self._by_id.pop(task.id, None)
