# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module of the same name once, without its wait, and then waits with short runs of failover_session_wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils import _module
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import waiter as _wait
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.plan_action import run_result
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._progress import Waiting

MODULE = "dr_runbook.veeam_em.failover_plan"
WAIT_MODULE = "dr_runbook.veeam_em.failover_session_wait"
STARTED = {"start": "failover", "test": "test"}
REPEATED = (
    "failover_plan cannot be used with until or retries, since Ansible would run the plan again and again. Nothing was started. "
    "Remove until and retries from this task; wait for the end of a run with the option wait, or with failover_session_wait."
)
EMPTY_CONDITION = (
    "{0}: null cannot be used. Nothing was undone. Give {0} as the start or test returned it, or leave it out."
)


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._task.until or self._task.retries:
            return {**result, "failed": True, "changed": False, "msg": REPEATED}
        options = dict(self._task.args)
        for name in ("only_if_latest", "known_sessions"):
            if name in options and options[name] is None:  # the module would take it for an undo without a condition
                return {**result, "failed": True, "changed": False, "msg": EMPTY_CONDITION.format(name)}
        if not self._is_sliced(options):
            wrap = self._task.async_val and not self._connection.has_native_async
            return {**result, **self._execute_module(module_name=MODULE, task_vars=task_vars, wrap_async=wrap)}

        def execute(these: Mapping[str, Any]) -> dict[str, Any]:
            return dict(self._execute_module(module_name=WAIT_MODULE, module_args=dict(these), task_vars=task_vars))

        began = _wait.monotonic()
        # The only run that may ask EM for the action, and it does so once.
        done = self._execute_module(module_name=MODULE, module_args={**options, "wait": False}, task_vars=task_vars)
        result.update(done)
        session = done.get("failover_session")
        if done.get("failed") or not session:
            return result
        waiting = Waiting(execute, session["name"] or session["id"], bool(self._task.no_log))
        waiting.keep_warnings(result)
        joined = "was running already" if done.get("already_running") else f"{STARTED[options['action']]} started"
        waiting.show(f"{joined}: session {session['id']}, {session['state']}")
        # Also for a session that had finished when it was found: the module has not waited, so it has not read the replica points.
        connection = {name: value for name, value in options.items() if name in _module.CONNECTION_SPEC}
        interval = int(options.get("poll_interval", 5))
        seconds = int(options.get("wait_timeout", 3600))
        these = {**connection, "id": session["id"], "poll_interval": interval}
        vms = len(done["plan"]["vms"])
        last = waiting.until(these, "finish_timeout", seconds, interval, session, vms, began)
        session = result["failover_session"] = last["failover_session"]
        result["points_seen_at"] = last.get("points_seen_at")
        if last.get("failed"):
            result.update({name: last[name] for name in ("failed", "msg", "error", "exception") if name in last})
            result["timed_out"] = bool(last.get("timed_out"))
        if not result.get("failed"):
            result.update(run_result(session, waiting.warnings.append))
        if waiting.warnings:
            result["warnings"] = waiting.warnings
        return result

    def _is_sliced(self, options: Mapping[str, Any]) -> bool:
        """Whether there is a wait to show; an undo is over with its EM task, and the module refuses bad options."""
        if self._task.async_val or self._task.check_mode or options.get("action") not in ("start", "test"):
            return False
        try:
            times = [int(options.get("wait_timeout", 3600)), int(options.get("poll_interval", 5))]
            return min(times) >= 1 and boolean(options.get("wait", True), strict=True)
        except (TypeError, ValueError):
            return False
