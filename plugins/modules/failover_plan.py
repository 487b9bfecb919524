#!/usr/bin/python
# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_plan
short_description: Start, test or undo a cloud failover plan of Veeam Backup Enterprise Manager
version_added: 1.0.0
description:
  - Starts, tests or undoes one cloud failover plan in Veeam Backup Enterprise Manager (EM), and waits until the run has finished.
  - A plan is never started twice. The module checks for a running session of the plan, requests the action exactly once, on a new
    connection, and never repeats a request that EM may have carried out.
  - EM's task decides. A session belongs to the action only if EM's task links to it, and an undo succeeded only if EM's task says so.
    Without that link, the only new session of the plan is returned as a candidate, with RV(session_source=inferred).
  - While it waits, the playbook output shows each change. The wait continues if EM restarts or is unavailable for a while.
extends_documentation_fragment:
  - dr_runbook.veeam_em._attributes
  - dr_runbook.veeam_em._connection
attributes:
  check_mode:
    support: full
    details: Finds the plan, checks whether it is running, and reports what would happen. The action is not requested.
  diff_mode:
    support: N/A
    details: A plan has no state to compare.
  idempotent:
    support: partial
    details: While the plan is running, O(action=start) and O(action=test) join that run. Once it has finished, the next task starts a new run.
  async:
    description: Supports being used with the C(async) keyword.
    support: full
    details: Progress is not shown with C(async).
options:
  plan:
    description:
      - Id (GUID, URN or Href) or name of the plan, exactly as EM shows it. If several plans have this name, the task fails and lists them.
      - Quote a name that YAML would read as something else, such as V('007'), V('12:30') or V('no'); a number, a time or a boolean is refused.
    type: raw
    required: true
  tenant:
    description: Name of the tenant that owns the plan, in quotes as O(plan). Use it if several plans share a name.
    type: raw
  backup_server:
    description: Name of the backup server that holds the plan, in quotes as O(plan). Use it if several plans share a name.
    type: raw
  action:
    description:
      - V(start) fails over for real. The VMs stay in failover until you undo it, make it permanent or fail back.
      - V(test) boots the replicas and pings them, without switching over to them. It leaves nothing in failover, so it needs no V(undo).
        EM 9.x does not support it.
      - V(undo) undoes the last failover of the plan, whoever started it. To undo only your own run, set O(only_if_latest).
    type: str
    choices: [start, test, undo]
    required: true
  restore_point_before:
    description:
      - Use the newest restore point of each VM that is older than this time, with O(action=start) only. By default, EM uses the newest one.
      - ISO 8601 with a time zone, or an age such as V(90m), V(24h) or V(7d). It is sent in whole seconds.
      - It selects restore points and does not schedule anything. The failover starts at once, so a time in the future is refused.
    type: str
  only_if_latest:
    description:
      - Undo only this session. Give the id that the start or test returned as V(failover_session.id). With O(action=undo) only.
      - If the plan was run again since, that is, if it has another session that did not exist before that run, nothing is undone and the task
        fails with RV(error.kind=superseded). A run that is not in EM's copy of its backup servers' data yet cannot be detected.
    type: str
  known_sessions:
    description:
      - Ids of the plan's sessions that existed before the run. Give RV(known_sessions) of the start or test. With O(only_if_latest) only.
      - Without them, every session that EM sorts before O(only_if_latest) counts as known. That is weaker, since EM's clock may have been
        set back. With 50 ids, sessions that EM sorts before all of them count as known, too.
    type: list
    elements: str
  force:
    description:
      - Request the action even if a session of the plan is running, which EM may refuse. For sessions that EM shows as running forever.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until the run has finished.
      - With V(false), the task ends as soon as EM has accepted the request and the session is known, usually within seconds. An undo usually
        has no session, so its EM task is followed for 20 seconds. If that still runs, RV(task.success) is V(null), which is not a success.
    type: bool
    default: true
  wait_timeout:
    description: Maximum number of seconds from the request on. Then the task fails; the run goes on. The last read can add its O(timeout).
    type: int
    default: 3600
  poll_interval:
    description: Seconds between two polls of the run, 1 or more; at most five until the session is known.
    type: int
    default: 5
notes:
  - The task fails with RV(error.kind=run_failed) if the run ends with V(Failed) or without a result, or if any VM failed.
    A run that ends with V(Warning) and without a failed VM only causes a warning. A failure returns the facts, too, so a playbook with its
    own rules can accept V(run_failed), as an example shows.
  - C(until) and C(retries) are refused with this module, since Ansible would start the plan again.
  - The user needs the role VM Restore Operator (or Portal Administrator). Reading the replica points at the end of a run also needs the role
    Portal User; without it their time and state are V(null), with a warning. One account can have both roles.
  - A running session counts as the plan's if name and backup server match. EM does not record whether it was a start, a test or an undo, so
    O(action=start) also joins a running test, with a warning. If a plan of another tenant has the same name there, the task fails.
  - If EM's reply or task is lost, the module watches for new sessions of the plan. If only one appears for 20 seconds, it is a candidate. If
    there are several, or none within two minutes, the task fails with RV(error.kind=in_doubt). Sessions never decide about an undo.
  - EM shows a copy of its backup servers' data, by default at most 15 minutes old, so a run started in the console may not be visible yet.
  - A lock prevents parallel starts on one machine. EM has none, so two machines can start a plan at the same moment, with a warning if seen.
  - O(action=undo) does not join a running session. It fails with RV(error.kind=busy), since VMs would stay in failover.
  - An interruption (Ctrl-C, a cancelled job) ends the task, but not the run in EM, which cannot be stopped through this API.
seealso:
  - module: dr_runbook.veeam_em.failover_session_wait
  - name: Guide to failover plans
    description: What is safe by design, and what that relies on.
    link: https://github.com/dr-runbook/veeam_em/blob/main/docs/failover.md
author:
  - dr_runbook contributors (@dr-runbook)
"""

EXAMPLES = r"""
# The connection options come from VEEAM_EM_URL, VEEAM_EM_USERNAME and VEEAM_EM_PASSWORD, or from module_defaults of
# group/dr_runbook.veeam_em.all, which docs/quick-start.md shows.

- name: Test a plan and wait until the test has finished
  dr_runbook.veeam_em.failover_plan:
    plan: ABC Company Failover Plan
    action: test
  register: drill

- name: Fail over for real
  dr_runbook.veeam_em.failover_plan:
    plan: ABC Company Failover Plan
    action: start
  register: failover

- name: Undo this failover, unless somebody has run the plan since
  dr_runbook.veeam_em.failover_plan:
    plan: ABC Company Failover Plan
    action: undo
    only_if_latest: "{{ failover.failover_session.id }}"
    known_sessions: "{{ failover.known_sessions }}"
  when: failover.session_source == 'task'

- name: Show what a start would do
  dr_runbook.veeam_em.failover_plan:
    plan: ABC Company Failover Plan
    action: start
  check_mode: true
  register: would

- name: Start a plan of one tenant with restore points that are at least two hours old, and do not wait
  dr_runbook.veeam_em.failover_plan:
    plan: ABC Company Failover Plan
    backup_server: 172.17.53.48
    action: start
    restore_point_before: 2h
    wait: false
  register: started

- name: Wait up to an hour for its end
  dr_runbook.veeam_em.failover_session_wait:
    id: "{{ started.failover_session.id }}"
    finish_timeout: 3600
  register: finished

- name: Start a plan and continue if its run fails, to judge it by your own rules
  dr_runbook.veeam_em.failover_plan:
    plan: ABC Company Failover Plan
    action: start
    wait_timeout: 7200
  register: run
  failed_when: run is failed and run.error.kind | default('') != 'run_failed'
"""

RETURN = r"""
changed:
  description:
    - Whether the action was requested and EM may have carried it out. In check mode, whether it would be requested.
    - In a failure that has RV(already_running), V(false) means that EM certainly did nothing. If Ansible itself ended the task, because of its
      time-out or because the module was killed, it is V(false) whatever happened.
  returned: always
  type: bool
  sample: true
action:
  description: The requested action.
  returned: always
  type: str
  sample: test
url:
  description: Scheme, host and port of EM. V(null) if the connection options are invalid.
  returned: always
  type: str
  sample: https://em.example.com:9398
plan:
  description:
    - Facts of the plan, as in RV(dr_runbook.veeam_em.failover_plan_info#module:failover_plans), V(null) if it was not found. Its commands are
      left out, since they may contain secrets, and so are the actions that EM offers.
  returned: always
  type: dict
  sample:
    id: 3d1a5c94-6f0e-4ac5-9f3e-6bb0c1d6c7b2
    uid: urn:veeam:CloudFailoverPlan:3d1a5c94-6f0e-4ac5-9f3e-6bb0c1d6c7b2
    name: ABC Company Failover Plan
    description: Web shop, database first
    tenant: {id: 0a1d6b1c-5a56-4a0b-9f1e-3f0b1c9d2e11, name: ABC Company}
    backup_server: {id: 8fff3b8e-c3f1-4ef5-aecc-561f07bf9982, name: 172.17.53.48}
    vms: [{id: 6a3f1c70-6a5e-4a11-9be5-0a4b2c4f8a10, name: filesrv03, order: 0}]
failover_session:
  description:
    - Facts of the action's session, or of the session that was already running, in the structure of
      RV(dr_runbook.veeam_em.failover_session_wait#module:failover_session), of which the sample shows some facts.
    - V(null) in check mode if nothing is running, for an undo without a session (the documented case), and if no session is known.
  returned: always
  type: dict
  sample:
    id: 475420ee-d045-4493-9869-0a970e08f6f9
    name: ABC Company Failover Plan
    state: Stopped
    result: Success
    creation_time: "2026-03-02T08:00:01.500000Z"
    duration: 278.5
    succeeded: true
    tasks: [{vm_name: filesrv03, state: Stopped, result: Success, duration: 125.39}]
    tasks_kept_at: "2026-03-02T08:04:36.000000Z"
session_source:
  description:
    - How RV(failover_session) was identified. V(task) if EM's task links to it, V(null) if there is none or it was already running.
    - V(inferred) if EM gave no link and it is the only new session of the plan. Somebody else may have started it, so do not base anything
      irreversible on it.
  returned: always
  type: str
  sample: task
known_sessions:
  description: Ids of the plan's sessions that existed before the action, newest first, at most 50. Pass them to O(known_sessions) of an undo.
  returned: always
  type: list
  elements: str
  sample: [3f0b1c9d-6c53-4f7e-8a42-0b1c9d2e1104]
vms_in_failover:
  description:
    - Names of the plan's VMs that were already in failover immediately before a test, for example after a real failover that nobody has
      undone yet. An undo would affect that failover as well. A VM of the same name on the same backup server counts, too.
    - V(null) if that is not known, and for any other action than V(test).
  returned: always
  type: list
  elements: str
  sample: []
points_seen_at:
  description:
    - When the restore points were read, whose C(creation_time) and C(state) are in RV(failover_session) then. V(null) if they were not.
  returned: always
  type: str
  sample: "2026-03-02T08:04:41.000000Z"
may_read_points:
  description: Whether the user may read replica points. V(null) if that is not known.
  returned: in check mode
  type: bool
  sample: true
already_running:
  description: Whether a session of the plan was already running, so the action was not requested. RV(failover_session) is that session.
  returned: always
  type: bool
  sample: false
task:
  description: EM's task for the action, as last seen. It ends with the logon, so EM may forget it before it has finished.
  returned: always
  type: dict
  contains:
    state:
      description: EM's state of the task, V(Running), V(OperationFinished) or V(Finished). V(null) if there is no task or none is known.
      returned: always
      type: str
      sample: Finished
    success:
      description: Whether the task succeeded. That only means that the run was started (or the undo carried out). V(null) if not known.
      returned: always
      type: bool
      sample: true
    message:
      description: EM's message, cut to one line. V(null) if there is none.
      returned: always
      type: str
      sample: Ok
timed_out:
  description: Whether the task failed because O(wait_timeout) expired.
  returned: failure
  type: bool
  sample: false
error:
  description: What went wrong, for playbooks to branch on. RV(msg) has the sentence for people.
  returned: failure, unless an option is invalid or the run was interrupted
  type: dict
  contains:
    kind:
      description:
        - V(run_failed) if the run ended without success, V(refused) if EM accepted the request but its task failed,
          V(in_doubt) if it is not known whether the action was carried out or which session it created, V(busy) if the plan is running,
          V(superseded) if the plan was run again since the session O(only_if_latest), V(wait_timeout) if O(wait_timeout) expired.
        - V(not_found) or V(ambiguous) if no plan or more than one matches; V(not_found) also if EM does not list the session O(only_if_latest).
        - All others as in M(dr_runbook.veeam_em.failover_session_info).
      returned: always
      type: str
      sample: run_failed
    status:
      description: HTTP status of the response that caused the failure. V(null) if none did.
      returned: always
      type: int
      sample: 403
    message:
      description: The server's message, cut to one line. V(null) if there is none.
      returned: always
      type: str
      sample: Failover of 1 of 8 VMs failed
msg:
  description: What was tried, what the server said, what to check, and the URL.
  returned: failure
  type: str
  sample: >-
    Start of plan ABC Company Failover Plan failed: em.example.com:9398 accepted the request, but the task failed: 'No restore points'. The
    action is not retried. Check the plan in the console, its replicas and their restore points.
    (https://em.example.com:9398/api/cloud/cloudFailoverPlans/3d1a5c94-6f0e-4ac5-9f3e-6bb0c1d6c7b2?action=start)
"""

from typing import Any

from ..module_utils._connection import client_from_module
from ..module_utils._failover import clock
from ..module_utils._failover.criteria import check_names
from ..module_utils._failover.em_task import NO_TASK
from ..module_utils._failover.lock import plan_lock
from ..module_utils._failover.plan_action import PlanAction, start_date
from ..module_utils._failover.plans import ACTIONS, PlanReader
from ..module_utils._failover.replica_points import PointReader
from ..module_utils._failover.run_result import run_result
from ..module_utils._failover.times import utc_now
from ..module_utils._failover.undo_condition import undo_condition
from ..module_utils._module import check_seconds, create_module, fail_on_error

SPEC: dict[str, Any] = {
    "plan": {"type": "raw", "required": True},
    "tenant": {"type": "raw"},
    "backup_server": {"type": "raw"},
    "action": {"type": "str", "choices": list(ACTIONS), "required": True},
    "restore_point_before": {"type": "str"},
    "only_if_latest": {"type": "str"},
    "known_sessions": {"type": "list", "elements": "str"},
    "force": {"type": "bool", "default": False},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 3600},
    "poll_interval": {"type": "int", "default": 5},
}
LOCK_TIMEOUT = 300.0
"""Seconds to wait for another process on this machine that runs the same plan."""
PLAN_FACTS = ("id", "uid", "name", "description", "tenant", "backup_server", "vms")
"""What is returned of a plan: its commands may hold secrets."""


class Run:
    """One run of the module, and what its result is at each moment."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.action: PlanAction | None = None
        self.url: str | None = None
        self.points_seen_at: str | None = None

    def carry_out(self) -> None:
        """Do what the options say.

        :raises OptionError: an option cannot be used.
        :raises EmError: the action failed.
        """
        params = self.module.params
        check_names(params)
        check_seconds(self.module, "wait_timeout", "poll_interval")
        before = params["restore_point_before"]
        if before is not None:
            before = start_date(before, params["action"], utc_now())
        only = undo_condition(params["action"], params["only_if_latest"], params["known_sessions"])
        client = client_from_module(self.module)
        self.url = client.base_url
        with client:
            plan, ambiguous = PlanReader(client).find_plan(params["plan"], params["tenant"], params["backup_server"])
            action = self.action = PlanAction(client, plan, ambiguous, params["action"])
            if self.module.check_mode:
                action.check_running(params["force"], only)
                would = {"changed": not action.already_running, "may_read_points": PointReader(client).may_read()}
                self.module.exit_json(**{**self.result(), **would})
            with plan_lock(client.base_url, plan["id"], LOCK_TIMEOUT, action.operation, self.module.warn):
                action.check_running(params["force"], only)
                started = clock.monotonic()
                if not action.already_running:
                    action.submit(before)
                    action.identify_session(params["wait_timeout"], params["poll_interval"], params["wait"])
            if params["wait"]:
                left = started + params["wait_timeout"] - clock.monotonic()
                action.wait(left, params["poll_interval"], started)
                if action.session:
                    (action.session,), self.points_seen_at = PointReader(client).fill([action.session])

    def result(self) -> dict[str, Any]:
        """What is known now."""
        action = self.action
        plan: dict[str, Any] = dict(action.plan) if action else {}
        return {
            "changed": action.submitted if action else False,
            "action": self.module.params["action"],
            "url": self.url,
            "plan": {name: plan[name] for name in PLAN_FACTS} if action else None,
            "failover_session": action.session if action else None,
            "session_source": action.session_source if action else None,
            "known_sessions": action.known_sessions if action else [],
            "already_running": action.already_running if action else False,
            "task": action.task if action else NO_TASK,
            "points_seen_at": self.points_seen_at,
            "vms_in_failover": action.vms_in_failover if action else None,
        }


def main() -> None:
    module = create_module(SPEC, supports_check_mode=True)
    run = Run(module)
    with fail_on_error(module, lambda: {**run.result(), "timed_out": False}):
        run.carry_out()
    result = run.result()
    if module.params["wait"] and result["failover_session"]:
        failure = run_result(result["failover_session"], module.warn)
        if failure:
            module.fail_json(**{**result, **failure})
    module.exit_json(**result)


if __name__ == "__main__":
    main()
