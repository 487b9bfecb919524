# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module of the same name once, without its wait, and then waits with short runs of failover_session_wait."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

from ..module_utils._api.errors import OptionError
from ..module_utils._failover import clock
from ..module_utils._failover.criteria import check_names
from ..module_utils._failover.run_result import run_result
from ..module_utils._module import CONNECTION_SPEC
from ..plugin_utils._plugin import decrypted_values
from ..plugin_utils._progress import Result, Waiting

MODULE = "dr_runbook.veeam_em.failover_plan"
STARTED = {"start": "failover started", "test": "test started"}
REPEATED = (
    "failover_plan cannot be used with until or retries, since Ansible would run the plan again and again. Nothing was started. "
    "Remove until and retries from this task. To wait for the end of a run, use the option wait or failover_session_wait."
)
EMPTY_CONDITION = (
    "{0}: null cannot be used. Nothing was undone. Give {0} as the start or test returned it, or leave it out."
)


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        options = dict(self._task.args)
        refusal = self._refusal(options)
        if refusal:
            return {**result, "failed": True, "changed": False, "msg": refusal}
        if not self._has_wait_to_show(options):
            wrap = self._task.async_val and not self._connection.has_native_async
            return {**result, **self._execute_module(module_name=MODULE, task_vars=task_vars, wrap_async=wrap)}

        started = clock.monotonic()
        # The only run that may send the action to EM, and it does so once.
        done = self._execute_module(module_name=MODULE, module_args={**options, "wait": False}, task_vars=task_vars)
        result.update(done)
        session = done.get("failover_session")
        if done.get("failed") or not session:
            return result
        waiting = Waiting(self, task_vars, session["name"] or session["id"])
        waiting.keep_warnings(result)
        how = "was running already" if done.get("already_running") else STARTED[options["action"]]
        waiting.show(f"{how}: session {session['id']}, {session['state']}")
        self._finish(waiting, result, options, started)
        if waiting.warnings:
            result["warnings"] = waiting.warnings
        return result

    def _refusal(self, options: Result) -> str | None:
        """A sentence if the task must not be run."""
        if self._task.until or self._task.retries:
            return REPEATED
        try:
            # Here too, since a date is a text when it gets to the module.
            check_names(decrypted_values(options))
        except OptionError as exc:
            return str(exc)
        for name in ("only_if_latest", "known_sessions"):
            if name in options and options[name] is None:  # the module would take it for an undo without a condition
                return EMPTY_CONDITION.format(name)
        return None

    def _has_wait_to_show(self, options: Result) -> bool:
        """An undo is finished with its EM task, and the module refuses bad options."""
        if self._task.async_val or self._task.check_mode or options.get("action") not in STARTED:
            return False
        try:
            times = [int(options.get("wait_timeout", 3600)), int(options.get("poll_interval", 5))]
            return min(times) >= 1 and boolean(options.get("wait", True), strict=True)
        except (TypeError, ValueError):
            return False

    @staticmethod
    def _finish(waiting: Waiting, result: Result, options: Result, started: float) -> None:
        """Wait for the end of the session in the result, and complete the result.

        Also for a session that had finished when it was found: the module has not waited, so it has not read the points.
        """
        session, vms = result["failover_session"], len(result["plan"]["vms"])
        connection = {name: value for name, value in options.items() if name in CONNECTION_SPEC}
        interval, seconds = int(options.get("poll_interval", 5)), int(options.get("wait_timeout", 3600))
        these = {**connection, "id": session["id"], "poll_interval": interval}
        last = waiting.until(these, "finish_timeout", seconds, interval, session, vms, started)
        result["failover_session"] = last["failover_session"]
        result["points_seen_at"] = last.get("points_seen_at")
        if last.get("failed"):
            result.update({name: last[name] for name in ("failed", "msg", "error", "exception") if name in last})
            result["timed_out"] = bool(last.get("timed_out"))
        else:
            result.update(run_result(last["failover_session"], waiting.warnings.append))
