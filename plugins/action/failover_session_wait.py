# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module of the same name, for a short time again and again, and shows what has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import waiter as _wait
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.criteria import time_bound
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.times import utc_now
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._progress import Waiting

MODULE = "dr_runbook.veeam_em.failover_session_wait"


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        options = dict(self._task.args)
        try:
            times = {name: int(options.get(name, default)) for name, default in TIMES.items()}
            sliced = min(times.values()) >= 1 and not self._task.async_val
            if options.get("created_after") is not None:
                # An age counts from the beginning of the wait, so it must not move with each run.
                options["created_after"] = time_bound("created_after", str(options["created_after"]), utc_now())
        except (TypeError, ValueError, OptionError):
            sliced = False  # the module refuses it, with a sentence
            options = dict(self._task.args)
        if not sliced:
            wrap = self._task.async_val and not self._connection.has_native_async
            return {**result, **self._execute_module(module_name=MODULE, task_vars=task_vars, wrap_async=wrap)}

        def execute(these: Mapping[str, Any]) -> dict[str, Any]:
            return dict(self._execute_module(module_name=MODULE, module_args=dict(these), task_vars=task_vars))

        began = _wait.monotonic()
        waiting = Waiting(execute, str(options.get("plan") or options.get("id")), bool(self._task.no_log))
        appeared = execute({**options, "until": "appeared", "appear_timeout": 1})
        # What stops it before it has begun: options, the address, a logon.
        if not appeared.get("failed") or appeared.get("timed_out"):
            if appeared.get("failed"):
                appeared = waiting.until(
                    {**options, "until": "appeared"}, "appear_timeout", times["appear_timeout"], times["poll_interval"]
                )
            else:
                waiting.keep_warnings(appeared)
        else:
            return {**result, **appeared}
        session = appeared.get("failover_session")
        last = appeared
        if not appeared.get("failed") and session:
            waiting.subject = session["name"] or session["id"]
            waiting.show(f"session {session['id']}, {session['state']}")
        if not appeared.get("failed") and session and options.get("until", "finished") == "finished":
            these = {name: value for name, value in options.items() if name not in ("plan", "created_after")}
            last = waiting.until(
                {**these, "id": session["id"]},
                "finish_timeout",
                times["finish_timeout"],
                times["poll_interval"],
                session,
            )
        last["waited"] = round(_wait.monotonic() - began, 3)
        if waiting.warnings:
            last["warnings"] = waiting.warnings
        last.pop("invocation", None)  # of the last run, whose options are not those of the task
        return {**result, **last}


TIMES = {"appear_timeout": 300, "finish_timeout": 3600, "poll_interval": 5}
"""The options in seconds, and their defaults."""
