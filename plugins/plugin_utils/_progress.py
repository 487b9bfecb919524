# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""Live progress of a wait: a module cannot show anything while it runs, so it is run for a short time again and again."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ansible.utils.display import Display
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import EmWaitError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.redaction import single_line, truncate
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import waiter as _wait
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.facts import Fact, merge_tasks
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.sessions import COLLECTION
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.times import format_time, utc_now

Result = dict[str, Any]

LONGEST = 60.0
"""Seconds that one run of the module waits after a while. At first it takes three looks. Each run is a logon to EM."""
HEARTBEAT = 300.0
"""Seconds after which a line is shown even if nothing has changed."""
MOST_PARTS = 6
"""So many changes are told in one line; the others are counted."""
TRANSIENT_ERRORS = frozenset(kind.kind for kind in _wait.TRANSIENT_ERRORS)

_display = Display()


class Waiting:
    """One wait of a task, in many runs of the module failover_session_wait.

    An outage or a logon that is refused means for the whole wait what it means for a run of the module alone, see
    :class:`_wait.Poller`.

    :arg execute: runs the module with these options and returns its result.
    :arg quiet: show nothing (``no_log``).
    :ivar subject: what each line begins with.
    :ivar warnings: all that the runs have said, once each.
    """

    def __init__(self, execute: Callable[[Mapping[str, Any]], Result], subject: str, quiet: bool) -> None:
        self._execute = execute
        self.subject = subject
        self._quiet = quiet
        self._outage = False
        self._refused = 0
        self._shown_at = _wait.monotonic()
        self.warnings: list[str] = []

    def show(self, line: str) -> None:
        """One line in the output of the playbook, on stderr, where it cannot spoil what a machine reads."""
        self._shown_at = _wait.monotonic()
        if not self._quiet:
            _display.display(single_line(f"[{self.subject}] {line}"), stderr=True)

    def until(
        self,
        options: Mapping[str, Any],
        time_option: str,
        seconds: float,
        interval: float,
        session: Fact | None = None,
        vms: int = 0,
        began: float | None = None,
    ) -> Result:
        """Run the module until it succeeds, fails with what does not pass, or the time is over.

        :arg options: of the module.
        :arg time_option: the option whose time is over then.
        :arg session: the facts that are known already.
        :arg vms: how many VMs the plan has, if that is known.
        :arg began: from when on the time counts, if not from now on.
        :returns: the last result, with the facts of the session that any of the runs saw last.
        """
        began = _wait.monotonic() if began is None else began
        while True:
            seen_at = format_time(utc_now())
            waited = _wait.monotonic() - began
            slice_ = min(max(3 * interval, min(waited / 20, LONGEST)), seconds - waited)
            # Both, since a run that waits for the end waits for the session to be readable before.
            times = dict.fromkeys(("appear_timeout", "finish_timeout"), max(1, math.ceil(slice_)))
            # EM may drop the list of VMs when the run ends, and the run of the module that sees it must know them then.
            last_seen = {"last_seen": session} if session else {}
            result = self._execute({**options, **times, **last_seen})
            fact = result.get("failover_session")
            if fact:
                fact = merge_tasks(fact, session, seen_at)
                self._tell(session, fact, vms)
                session = fact
            result["failover_session"] = session
            pause = self._after(result, interval)
            waited = _wait.monotonic() - began
            if pause is None:
                return result
            if waited + pause >= seconds:
                return self._timed_out(result, session, waited, time_option)
            _wait.sleep(pause)

    def _after(self, result: Result, interval: float) -> float | None:
        """How long to pause before the next run, or None if there must be none."""
        kind = (result.get("error") or {}).get("kind")
        answered = not result.get("failed") or bool(result.get("timed_out"))
        away = self.keep_warnings(result)
        if not answered and kind in TRANSIENT_ERRORS:
            if not (self._outage or away):
                self._warn(f"{result['msg']} {_wait.GOES_ON}")
            self._outage = True
            return interval
        self._outage = away
        if not result.get("failed"):
            return None
        if answered:
            return 0.0
        if kind == "auth":
            self._refused += 1
            if self._refused < _wait.MAX_REFUSED:
                self._warn(f"{result['msg']} It is tried once more in {_wait.REFUSED_PAUSE:g} seconds.")
                return max(interval, _wait.REFUSED_PAUSE)
        return None

    def keep_warnings(self, result: Result) -> bool:
        """Take the warnings out of a result; an outage that goes on from one run to the next is told once.

        :returns: whether one of them tells of an outage.
        """
        away = False
        for warning in result.pop("warnings", ()):
            if str(warning).endswith(_wait.GOES_ON):
                away = True
                if not self._outage:
                    self._warn(warning)
            elif warning not in self.warnings:
                self.warnings.append(warning)
        return away

    def _warn(self, sentence: str) -> None:
        """A warning comes with the result, and what matters at once is shown, too."""
        self.warnings.append(sentence)
        self.show(sentence)

    def _timed_out(self, result: Result, session: Fact | None, waited: float, time_option: str) -> Result:
        """The result of the last run, as if it had waited for the whole time."""
        outage = (result.get("error") or {}).get("message") if result.get("timed_out") else result["msg"]
        base = result.get("url") or ""
        problem: EmWaitError
        if time_option == "appear_timeout":
            problem = _wait.not_there(base + COLLECTION, waited, outage)
        else:
            guid = session["id"] if session else "that was started"
            path = session["href"] if session else COLLECTION
            problem = _wait.not_over(base + path, guid, session, waited, outage)
        error = {"kind": problem.kind, "status": problem.status, "message": problem.server_message}
        # From ansible-core 2.19 on, the exception of the last run would be the headline, which knows of its own time only.
        result.pop("exception", None)
        return {**result, "msg": str(problem), "error": error, "timed_out": True}

    def _tell(self, before: Fact | None, now: Fact, vms: int) -> None:
        line = changes(before, now, vms)
        if line:
            self.show(line)
        elif _wait.monotonic() - self._shown_at >= HEARTBEAT:
            self.show(f"still {now['state']}{_done(now, vms)}")


def changes(before: Fact | None, now: Fact, vms: int = 0) -> str | None:
    """What has changed in a session, as one line such as "3/8 VMs done, filesrv03 Success 42 s", or None."""
    known = {_identity(task): task for task in before["tasks"]} if before else {}
    ranked: list[tuple[int, str]] = []
    for task in now["tasks"]:
        earlier = known.get(_identity(task))
        if task["finished"] and not (earlier and earlier["finished"]):
            seconds = "" if task["duration"] is None else f" {task['duration']:.0f} s"
            rank = 1 if task["result"] == "Success" else 0
            ranked.append((rank, f"{task['vm_name']} {task['result']}{seconds}"))
        elif earlier is None:
            ranked.append((2, f"{task['vm_name']} started"))
    # What needs a look comes first, so that it is not cut off.
    parts = [part for dummy, part in sorted(ranked, key=lambda item: item[0])]
    if len(parts) > MOST_PARTS:
        parts = [*parts[:MOST_PARTS], f"and {len(parts) - MOST_PARTS} more"]
    state = before is None or before["state"] != now["state"]
    if not parts and not state:
        return None
    if now["finished"]:
        seconds = "" if now["duration"] is None else f" after {now['duration']:.0f} s"
        parts.append(f"{now['state']}, result {now['result']}{seconds}")
    elif state:
        parts.append(now["state"])
    return ", ".join(truncate(single_line(str(part)), 200) for part in [*filter(None, [_done(now, vms)[2:]]), *parts])


def _done(now: Fact, vms: int) -> str:
    summary = now["task_summary"]
    total = max(summary["total"], vms)
    return f", {summary['total'] - summary['running']}/{total} VMs done" if total else ""


def _identity(task: Fact) -> tuple[Any, Any]:
    """Two VMs of a session may have the same name."""
    return task["vm_name"], (task["replica_point"] or {}).get("id")
