# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the module of the same name for a short time again and again, and shows what has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.plugins.action import ActionBase

from ..module_utils._api.errors import OptionError
from ..module_utils._failover import clock
from ..module_utils._failover.criteria import check_names, time_bound
from ..module_utils._failover.times import utc_now
from ..plugin_utils._plugin import decrypted_values
from ..plugin_utils._progress import WAIT_MODULE, Result, Waiting

TIMES = {"appear_timeout": 300, "finish_timeout": 3600, "poll_interval": 5}
"""The options in seconds, and their defaults."""
ENDS = ("appeared", "finished")
"""What ``until`` can be."""


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        try:
            # Here too, since a date is a text when it gets to the module.
            check_names(decrypted_values(self._task.args))
        except OptionError as exc:
            return {**result, "failed": True, "changed": False, "msg": str(exc)}
        try:
            times = {name: int(self._task.args.get(name, default)) for name, default in TIMES.items()}
            options = _with_fixed_start(self._task.args)
        except (TypeError, ValueError, OptionError):
            times = {}  # the module refuses it, with a sentence
        if self._task.args.get("until", "finished") not in ENDS:
            times = {}
        if self._task.async_val or min(times.values(), default=0) < 1:
            wrap = self._task.async_val and not self._connection.has_native_async
            return {**result, **self._execute_module(module_name=WAIT_MODULE, task_vars=task_vars, wrap_async=wrap)}

        started = clock.monotonic()
        waiting = Waiting(self, task_vars, str(options.get("plan") or options.get("id")))
        appear = {**options, "until": "appeared"}
        last = waiting.run({**appear, "appear_timeout": 1})
        if not last.get("failed"):
            waiting.keep_warnings(last)
        elif last.get("timed_out"):
            last = waiting.until(appear, "appear_timeout", times["appear_timeout"], times["poll_interval"])
        else:
            return {**result, **last}  # options, address or logon: the wait cannot start
        if not last.get("failed"):
            last = self._finish(waiting, last, options, times)
        last["waited"] = round(clock.monotonic() - started, 3)
        if waiting.warnings:
            last["warnings"] = waiting.warnings
        last.pop("invocation", None)  # of the last run, whose options are not those of the task
        return {**result, **last}

    @staticmethod
    def _finish(waiting: Waiting, last: Result, options: Result, times: dict[str, int]) -> Result:
        """Wait for the end of the session that has appeared, if that is wanted."""
        session = last["failover_session"]
        waiting.subject = session["name"] or session["id"]
        waiting.show(f"session {session['id']}, {session['state']}")
        if options.get("until", "finished") != "finished":
            return last
        found = {name: value for name, value in options.items() if name not in ("plan", "created_after")}
        limits = times["finish_timeout"], times["poll_interval"]
        return waiting.until({**found, "id": session["id"]}, "finish_timeout", *limits, session)


def _with_fixed_start(args: Mapping[str, Any]) -> Result:
    """The options of the task. An age counts from the start of the wait, so it must not move with each run of the module.

    :raises OptionError: ``created_after`` is no time.
    """
    options = dict(args)
    if options.get("created_after") is not None:
        options["created_after"] = time_bound("created_after", str(options["created_after"]), utc_now())
    return options
