# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a run that has finished is a success, a warning or a failure of the task that waited for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._api.redaction import MAX_MESSAGE, single_line, some_of, truncate
from .facts import Session

MAX_FAILED = 5
"""Maximum number of failed VMs that the sentence names."""


def run_result(session: Session, warn: Callable[[str], None]) -> dict[str, Any]:
    """What a finished run adds to the result of a task: nothing, or what makes it a failure.

    ``Warning`` is not one, unless a VM has failed; a session may be ``Warning`` or even ``Success`` all the same.

    :arg warn: is given a sentence for a run that ended with ``Warning``.
    """
    failed = [task for task in session["tasks"] if task["result"] == "Failed"]
    if session["result"] in ("Success", "Warning") and not failed:
        if not session["succeeded"]:
            warn(f"Session {session['id']} ended with result {session['result']}.")
        return {}
    vms = [
        truncate(single_line(f"{task['vm_name']}: {task['failure_message'] or 'no reason given'}"), MAX_MESSAGE)
        for task in failed
    ]
    message = truncate(single_line(session["failure_message"] or ""), MAX_MESSAGE)
    result = "without a result" if session["result"] == "None" else f"with result {session['result']}"
    reason = (
        f"The run of plan {single_line(session['name'] or '')} (session {session['id']}) ended {result}"
        + (f" and the message '{message}'" if message else "")
        + (f"; VMs that failed: {some_of(vms, MAX_FAILED)}" if vms else "")
        + ". See failover_session in this result, and the session in the console."
    )
    error = {"kind": "run_failed", "status": None, "message": session["failure_message"]}
    return {"failed": True, "msg": reason, "error": error, "timed_out": False}
