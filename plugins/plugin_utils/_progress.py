# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Live progress of a wait: a module cannot show anything while it runs, so it is run for a short time again and again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils._api.errors import EmAuthError, EmConnectionError
from ..module_utils._api.redaction import single_line, truncate
from ..module_utils._failover import clock
from ..module_utils._failover.facts import SESSIONS_PATH, Session, SessionTask, merge_tasks
from ..module_utils._failover.times import format_time, utc_now
from ..module_utils._failover.waiter import Poller, not_appeared, not_finished

Result = dict[str, Any]

WAIT_MODULE = "dr_runbook.veeam_em.failover_session_wait"
MAX_RUN = 60.0
"""Maximum seconds that one run of the module waits. At first it takes three polls. Each run is a logon to EM."""
HEARTBEAT = 300.0
"""Seconds after which a line is shown even if nothing has changed."""
MAX_CHANGES = 6
"""Maximum number of changes in one line; the others are counted."""
MAX_REASON = 300
"""Characters of what SSH says."""

_display = Display()


class Waiting:
    """One wait of a task, in many runs of the module failover_session_wait.

    An outage or a refused logon means for the whole wait what it means for one run of the module: see :class:`Poller`.

    :arg action: that of the task; with ``no_log`` nothing is shown.
    :ivar subject: what each line starts with.
    :ivar warnings: those of all runs, once each.
    """

    def __init__(self, action: ActionBase, task_vars: Any, subject: str) -> None:
        self._action = action
        self._task_vars = task_vars
        self.subject = subject
        self._shown_at = clock.monotonic()
        self.warnings: list[str] = []

    def run(self, options: Mapping[str, Any]) -> Result:
        """Run the module once."""
        args = {"module_name": WAIT_MODULE, "module_args": dict(options), "task_vars": self._task_vars}
        return dict(self._action._execute_module(**args))

    def _run_again(self, options: Mapping[str, Any], url: str | None) -> Result:
        """Run the module once more. A lost connection to the host that it runs on is transient, as one to EM is.

        Ansible would drop the host, with what is known of the session.
        """
        try:
            return self.run(options)
        except AnsibleAuthenticationFailure:
            raise  # to try again may lock the user
        except AnsibleConnectionFailure as exc:
            reason = truncate(single_line(str(exc)), MAX_REASON).rstrip(".")
            sentence = f"The host on which this task runs cannot be reached: {reason}. Check its network and SSH."
            error = {"kind": EmConnectionError.kind, "status": None, "message": None}
            return {"failed": True, "msg": sentence, "error": error, "url": url}

    def show(self, line: str) -> None:
        """One line in the output of the playbook, on stderr, where it cannot spoil what a machine reads."""
        self._shown_at = clock.monotonic()
        if not self._action._task.no_log:
            _display.display(single_line(f"[{self.subject}] {line}"), stderr=True)

    def until(
        self,
        options: Mapping[str, Any],
        time_option: str,
        seconds: float,
        interval: float,
        session: Session | None = None,
        vms: int = 0,
        started: float | None = None,
    ) -> Result:
        """Run the module until it succeeds, fails with an error that is not transient, or the time limit is reached.

        :arg options: of the module.
        :arg time_option: the option that sets the time limit.
        :arg session: the facts that are known already.
        :arg vms: how many VMs the plan has, if that is known.
        :arg started: when the wait started, if not now.
        :returns: the last result, with the facts of the session that any of the runs saw last.
        """
        started = clock.monotonic() if started is None else started
        poller = Poller(self._warn, interval, seconds - (clock.monotonic() - started))
        url = None
        while True:
            read_at = format_time(utc_now())
            # EM may drop the list of VMs when the run ends, and the run of the module that sees it must know them then.
            last_seen = {"last_seen": session} if session else {}
            result = self._run_again({**options, **_time_limits(interval, seconds, poller.left), **last_seen}, url)
            url = result.get("url") or url
            self.keep_warnings(result, show=True)
            found = result.get("failover_session")
            if found:
                found = merge_tasks(found, session, read_at)
                self._show_changes(session, found, vms)
                session = found
            result["failover_session"] = session
            if not result.get("failed"):
                return result
            pause = _after_failure(poller, result, self.warnings)
            if pause is None:
                return result
            if poller.left <= 0:
                return _timed_out(result, session, clock.monotonic() - started, time_option, poller.unavailable)
            clock.sleep(min(pause, poller.left))

    def keep_warnings(self, result: Result, show: bool = False) -> None:
        """Take the warnings out of a result. Ansible shows them when the task ends; during the wait they matter at once."""
        for warning in result.pop("warnings", ()):
            if warning not in self.warnings:
                self.warnings.append(warning)
                if show:
                    self.show(str(warning))

    def _warn(self, sentence: str) -> None:
        self.keep_warnings({"warnings": [sentence]})
        self.show(sentence)

    def _show_changes(self, before: Session | None, now: Session, vms: int) -> None:
        line = changes(before, now, vms)
        if line:
            self.show(line)
        elif clock.monotonic() - self._shown_at >= HEARTBEAT:
            self.show(", ".join([f"still {now['state']}", *_vms_done(now, vms)]))


def _time_limits(interval: float, seconds: float, left: float) -> dict[str, int]:
    """The options of one run: short at first, and longer in a long wait, in which each logon counts.

    Both options, since a run that waits for the end waits for the session to be readable before.
    """
    limit = min(max(3 * interval, min((seconds - left) / 20, MAX_RUN)), left)
    return dict.fromkeys(("appear_timeout", "finish_timeout"), max(1, math.ceil(limit)))


def _after_failure(poller: Poller, result: Result, warnings: list[str]) -> float | None:
    """Seconds to wait before the next run of the module, or None if there is to be none.

    :arg warnings: of all runs so far. A long run tries a refused logon again itself, and has warned of the first one.
    """
    error = result.get("error") or {}
    if not result.get("timed_out"):
        kind, sentence = error.get("kind", ""), result["msg"]
        warned = kind == EmAuthError.kind and any(warning.startswith(sentence) for warning in warnings)
        return poller.failed(kind, sentence, warned)
    if error["message"]:  # EM was unavailable at the end of this run, which has warned of it
        return poller.failed(EmConnectionError.kind, error["message"], warned=True)
    poller.answered()
    return 0.0


def _timed_out(
    result: Result, session: Session | None, waited: float, time_option: str, unavailable: str | None
) -> Result:
    """The result of the last run, as if it had waited for the whole time."""
    base_url = result.get("url") or ""
    if time_option == "appear_timeout":
        problem = not_appeared(base_url + SESSIONS_PATH, waited, unavailable)
    else:
        guid = session["id"] if session else "that was started"
        url = base_url + (session["href"] if session else SESSIONS_PATH)
        problem = not_finished(url, guid, session, waited, unavailable)
    error = {"kind": problem.kind, "status": problem.status, "message": problem.server_message}
    # From ansible-core 2.19 on, the exception of the last run would be the headline, which knows of its own time only.
    result.pop("exception", None)
    return {**result, "msg": str(problem), "error": error, "timed_out": True}


def changes(before: Session | None, now: Session, vms: int = 0) -> str | None:
    """What has changed in a session, as one line such as "3/8 VMs done, filesrv03 Success 42 s", or None."""
    parts = _task_changes(before["tasks"] if before else [], now["tasks"])
    new_state = before is None or before["state"] != now["state"]
    if not parts and not new_state:
        return None
    if now["finished"]:
        seconds = "" if now["duration"] is None else f" after {now['duration']:.0f} s"
        parts.append(f"{now['state']}, result {now['result']}{seconds}")
    elif new_state:
        parts.append(str(now["state"]))
    return ", ".join(truncate(single_line(part), 200) for part in [*_vms_done(now, vms), *parts])


def _task_changes(before: list[SessionTask], now: list[SessionTask]) -> list[str]:
    """The VMs that have started or finished; what is not a success comes first, so that it is not cut off."""
    known = {_identity(task): task for task in before}
    ranked: list[tuple[int, str]] = []
    for task in now:
        earlier = known.get(_identity(task))
        if task["finished"] and not (earlier and earlier["finished"]):
            seconds = "" if task["duration"] is None else f" {task['duration']:.0f} s"
            rank = 1 if task["result"] == "Success" else 0
            ranked.append((rank, f"{task['vm_name']} {task['result']}{seconds}"))
        elif earlier is None:
            ranked.append((2, f"{task['vm_name']} started"))
    parts = [part for dummy, part in sorted(ranked, key=lambda item: item[0])]
    if len(parts) > MAX_CHANGES:
        parts = [*parts[:MAX_CHANGES], f"and {len(parts) - MAX_CHANGES} more"]
    return parts


def _vms_done(now: Session, vms: int) -> list[str]:
    summary = now["task_summary"]
    total = max(summary["total"], vms)
    return [f"{summary['total'] - summary['running']}/{total} VMs done"] if total else []


def _identity(task: SessionTask) -> tuple[Any, Any]:
    """Two VMs of a session may have the same name."""
    return task["vm_name"], (task["replica_point"] or {"id": None})["id"]
