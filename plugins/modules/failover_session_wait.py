#!/usr/bin/python
# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_session_wait
short_description: Wait until a cloud failover session appears or has finished
version_added: 1.0.0
description:
  - Waits until a cloud failover session appears in Veeam Backup Enterprise Manager (EM), or until it has finished, and returns its facts.
  - It changes nothing, so you can stop and restart it at any time.
  - While it waits, the playbook output shows each change. The wait continues if EM restarts or is unavailable for a while.
extends_documentation_fragment:
  - dr_runbook.veeam_em._attributes
  - dr_runbook.veeam_em._attributes.info_module
  - dr_runbook.veeam_em._connection
attributes:
  async:
    description: Supports being used with the C(async) keyword.
    support: full
    details: Progress is not shown with C(async).
options:
  id:
    description:
      - Id of the session, as GUID, URN or Href.
      - Exactly one of O(id) and O(plan) is required.
    type: str
  plan:
    description:
      - Name of a plan, exactly as EM shows it. The module waits for a session of this name that was created at O(created_after) or later.
      - If there are several, the newest is used, with a warning. If they are on different backup servers, the task fails.
      - Quote a name that YAML would read as something else, such as V('007'), V('12:30') or V('no'); a number, a time or a boolean is refused.
    type: raw
  created_after:
    description:
      - Ignore sessions that were created before this time, by EM's clock. ISO 8601 with a time zone, or an age such as V(90m), V(24h) or V(7d).
      - Required with O(plan), since the module would otherwise return an old session of the plan.
    type: str
  until:
    description: Whether to wait until the session has appeared or until it has finished.
    type: str
    choices: [appeared, finished]
    default: finished
  appear_timeout:
    description: Maximum number of seconds until the session appears. EM may show a run that was started in the console up to 15 minutes late.
    type: int
    default: 300
  finish_timeout:
    description:
      - Maximum number of seconds until the session finishes, counted from its appearance.
      - With both limits, the last read can add its O(timeout) and O(retries).
    type: int
    default: 3600
  poll_interval:
    description: Seconds between two polls, 1 or more.
    type: int
    default: 5
  last_seen:
    description:
      - To continue an earlier wait, the facts that it returned as RV(failover_session).
      - EM may drop the list of VMs when a run ends. The VMs of these facts are returned then, and their restore points are read.
      - With O(id) only, and the id must be the same.
    type: dict
notes:
  - The task fails if a time limit expires. It does not fail if the session failed; check C(succeeded) in RV(failover_session), as an
    example shows.
  - When the session has finished, the restore points that its VMs used are read, too. That takes one request for up to 100 points, and the
    role Portal User or Portal Administrator. If they cannot be read, the module warns and does not fail.
  - EM must answer when the wait starts. After that it may restart or be unavailable until the time limit, with a warning when that starts.
    So may the host that the task runs on.
  - If EM or a proxy refuses user or password during the wait, the module tries once more a minute later. If that fails, too, the task
    fails, so that no account gets locked.
seealso:
  - module: dr_runbook.veeam_em.failover_plan
  - module: dr_runbook.veeam_em.failover_session_info
author:
  - dr_runbook contributors (@dr-runbook)
"""

EXAMPLES = r"""
# The connection options come from VEEAM_EM_URL, VEEAM_EM_USERNAME and VEEAM_EM_PASSWORD, or from module_defaults of
# group/dr_runbook.veeam_em.all, which docs/quick-start.md shows.

# failover_session_id is the id of a session, passed on by an earlier job or task.
- name: Wait until a session has finished, and fail unless it succeeded
  dr_runbook.veeam_em.failover_session_wait:
    id: "{{ failover_session_id }}"
    finish_timeout: 1800
  register: finished
  failed_when: finished is failed or finished.failover_session.succeeded is not true

- name: Wait until somebody starts the plan in the console
  dr_runbook.veeam_em.failover_session_wait:
    plan: ABC Company Failover Plan
    created_after: 1h
    until: appeared
    appear_timeout: 1200
    poll_interval: 15
  register: appeared
"""

RETURN = r"""
failover_session:
  description:
    - Facts of the session, all that an item of RV(dr_runbook.veeam_em.failover_session_info#module:failover_sessions) has, plus
      C(tasks_kept_at). The sample shows some.
    - EM may drop the list of VMs when a run ends. C(tasks) and C(task_summary) then hold the last list seen during the wait, and
      C(tasks_kept_at) is the time of that list; a VM may have progressed since. C(tasks_kept_at) is V(null) if EM still lists the VMs, or
      never did.
    - On failure, the last facts seen. V(null) if the session has not appeared.
  returned: always
  type: dict
  sample:
    id: 475420ee-d045-4493-9869-0a970e08f6f9
    name: ABC Company Failover Plan
    state: Stopped
    result: Success
    creation_time: "2015-12-07T17:38:16.000000Z"
    duration: 80.0
    succeeded: true
    tasks: []
    tasks_kept_at: null
points_seen_at:
  description:
    - When the restore points that the VMs used were read, in UTC, after the session had finished. This fills C(creation_time) and C(state)
      of each VM's C(replica_point).
    - V(null) if O(until=appeared), if the wait failed, or if no restore points could be read.
  returned: always
  type: str
  sample: "2015-12-07T17:39:41.733408Z"
waited:
  description: Duration of the wait in seconds.
  returned: always
  type: float
  sample: 80.4
url:
  description: Scheme, host and port of EM. V(null) if the connection options are invalid.
  returned: always
  type: str
  sample: https://em.example.com:9398
timed_out:
  description: Whether the task failed because O(appear_timeout) or O(finish_timeout) expired.
  returned: failure
  type: bool
  sample: true
error:
  description: What went wrong, for playbooks to branch on. RV(msg) has the sentence for people.
  returned: failure, unless an option is invalid or the run was interrupted
  type: dict
  contains:
    kind:
      description:
        - V(wait_timeout) if a time limit expired, V(ambiguous) if sessions on several backup servers match.
        - V(auth), V(permission), V(not_found), V(connection), V(tls), V(timeout), V(protocol) and V(server) as in
          M(dr_runbook.veeam_em.failover_session_info).
      returned: always
      type: str
      sample: wait_timeout
    status:
      description: HTTP status of the response that caused the failure. V(null) if none did, as with V(wait_timeout) and V(ambiguous).
      returned: always
      type: int
      sample:
    message:
      description: The server's message, cut to one line. V(null) if there is none.
      returned: always
      type: str
      sample:
msg:
  description: What was tried, what the server said, what to check, and the URL.
  returned: failure
  type: str
  sample: >-
    Wait for the end of session 475420ee-d045-4493-9869-0a970e08f6f9 of plan ABC Company Failover Plan failed: em.example.com:9398 showed
    state Working with 3 of 8 VMs done after 3600 seconds. The run goes on in EM: keep waiting with failover_session_wait and this id, or check
    it in the console. (https://em.example.com:9398/api/cloud/failoverSessions/475420ee-d045-4493-9869-0a970e08f6f9)
"""

from typing import Any

from ..module_utils._api.errors import OptionError
from ..module_utils._connection import client_from_module
from ..module_utils._failover import clock
from ..module_utils._failover.criteria import SessionCriteria, check_names, guid_of_session
from ..module_utils._failover.facts import Session, merge_tasks
from ..module_utils._failover.replica_points import PointReader
from ..module_utils._failover.times import format_time, utc_now
from ..module_utils._failover.waiter import wait_until_appeared, wait_until_finished
from ..module_utils._module import check_seconds, create_module, fail_on_error

SPEC: dict[str, Any] = {
    "id": {"type": "str"},
    "plan": {"type": "raw"},
    "created_after": {"type": "str"},
    "until": {"type": "str", "choices": ["appeared", "finished"], "default": "finished"},
    "appear_timeout": {"type": "int", "default": 300},
    "finish_timeout": {"type": "int", "default": 3600},
    "poll_interval": {"type": "int", "default": 5},
    "last_seen": {"type": "dict"},
}


def main() -> None:
    module = create_module(
        SPEC,
        supports_check_mode=True,
        required_one_of=[("id", "plan")],
        mutually_exclusive=[("id", "plan"), ("id", "created_after"), ("plan", "last_seen")],
        required_by={"plan": ["created_after"]},
    )
    started = clock.monotonic()
    result: dict[str, Any] = {"url": None, "failover_session": None, "points_seen_at": None}

    def waited() -> dict[str, Any]:
        return {**result, "waited": round(clock.monotonic() - started, 3)}

    with fail_on_error(module, lambda: {**waited(), "timed_out": False}):
        wait(module, result)
        module.exit_json(changed=False, **waited())


def wait(module: Any, result: dict[str, Any]) -> None:
    """Wait as the options say, and keep in the result what is known at each moment.

    :raises OptionError: an option cannot be used.
    :raises EmError: the wait failed.
    """
    params = module.params
    check_seconds(module, "appear_timeout", "finish_timeout", "poll_interval")
    check_names(params)
    ids = None if params["id"] is None else [params["id"]]
    options = {"id": ids, "name": params["plan"], "created_after": params["created_after"]}
    criteria = SessionCriteria.from_options(options.get)
    last_seen = checked_last_seen(params["last_seen"], params["id"])
    interval = params["poll_interval"]
    client = client_from_module(module)
    result["url"] = client.base_url
    with client:
        appeared = wait_until_appeared(client, criteria, params["appear_timeout"], interval)
        first = result["failover_session"] = merge_tasks(appeared, last_seen, format_time(utc_now()))
        if params["until"] == "finished":
            for session in wait_until_finished(client, first["id"], params["finish_timeout"], interval, first):
                result["failover_session"] = session
            sessions, result["points_seen_at"] = PointReader(client).fill([result["failover_session"]])
            result["failover_session"] = sessions[0]


def checked_last_seen(last_seen: Any, guid: str | None) -> Session | None:
    """The option ``last_seen``.

    :raises OptionError: it is not of this session, or not as it was returned.
    """
    if last_seen is None:
        return None
    tasks = last_seen.get("tasks")
    complete = (
        isinstance(tasks, list)
        and all(isinstance(task, dict) and _is_point(task.get("replica_point", ...)) for task in tasks)
        and isinstance(last_seen.get("task_summary"), dict)
    )
    if complete and last_seen.get("id") == guid_of_session(guid or ""):
        session: Session = last_seen
        return session
    accepted = "Give failover_session of an earlier result of failover_session_wait, whose id is that of the option id."
    raise OptionError("last_seen", last_seen.get("id"), accepted)


def _is_point(value: object) -> bool:
    return value is None or (isinstance(value, dict) and "id" in value)


if __name__ == "__main__":
    main()
