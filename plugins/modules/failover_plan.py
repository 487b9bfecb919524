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
  - Starts, tests or undoes one cloud failover plan in Veeam Backup Enterprise Manager (EM), and waits until its run has finished.
  - A plan is never started twice. The module looks for a running session of the plan, asks EM for the action exactly once, on a connection
    of its own, and never repeats a request that EM may have carried out.
  - EM's word decides. A session is taken for that of the action if EM's task links to it, and an undo has succeeded only if EM's task says
    so. Where EM does not say it, the only new session of the plan is returned as a candidate, marked by RV(session_source=inferred).
  - While it waits, each change is shown in the output of the playbook. The wait goes on if EM is unavailable for a while or restarts.
extends_documentation_fragment:
  - dr_runbook.veeam_em._attributes
  - dr_runbook.veeam_em._connection
attributes:
  check_mode:
    support: full
    details: It finds the plan, looks whether it is running, and says what would happen. EM is not asked for the action.
  diff_mode:
    support: N/A
    details: There is no state of a plan to compare.
  idempotent:
    support: partial
    details: While a run goes on, O(action=start) and O(action=test) join it. When it has finished, the next task makes another run.
  async:
    description: Supports being used with the C(async) keyword.
    support: full
    details: Changes are not shown then.
options:
  plan:
    description:
      - The plan, as id (GUID, URN or Href) or name, exactly as EM shows it.
      - If several plans have this name, the task fails and lists them.
    type: str
    required: true
  tenant:
    description: Name of the tenant that the plan must belong to, to tell plans of one name apart.
    type: str
  backup_server:
    description: Name of the backup server that the plan must be on, to tell plans of one name apart.
    type: str
  action:
    description:
      - V(start) fails over for real, until it is undone, made permanent or failed back.
      - V(test) boots the replicas and pings them, without a switch to them. It leaves nothing in failover, so it needs no V(undo).
        EM 9.x does not have V(test).
      - V(undo) undoes the last failover of the plan, whoever started it. See O(only_if_latest).
    type: str
    choices: [start, test, undo]
    required: true
  restore_point_before:
    description:
      - Use the newest restore point of each VM that is older than this moment. Without it EM uses the newest of all.
      - ISO 8601 with zone, or an age such as V(90m), V(24h) or V(7d). It is sent in whole seconds.
      - This picks restore points and is no timer. The failover begins at once, so a moment that lies ahead is refused.
      - With O(action=start) only.
    type: str
  only_if_latest:
    description:
      - With O(action=undo) only. The id of the session that is to be undone, as V(failover_session.id) of the start or test.
      - If the plan has any other session that was not there before that run, nothing is undone, and the task fails with
        RV(error.kind=superseded). It is checked under the lock, immediately before the request.
      - EM shows a copy of what its backup servers know. A run that it does not show yet cannot be seen here either.
    type: str
  known_sessions:
    description:
      - With O(only_if_latest). The ids of the plan's sessions that were there before the run, as RV(known_sessions) of the start or test.
      - Ids decide then, whatever EM's clock shows. Without them, the sessions that EM sorts before O(only_if_latest) count as known, which is
        weaker, since EM's clock may have been set back. If there are 50 ids, what EM sorts before all of them counts as known, too.
    type: list
    elements: str
  force:
    description:
      - Ask EM for the action even if a session of the plan is running.
      - It is meant for sessions that EM shows as running for ever. EM may refuse a second run, or make one.
    type: bool
    default: false
  wait:
    description:
      - Whether to wait until the run has finished.
      - If V(false), the task ends as soon as EM has accepted the request and the session is known, which takes seconds as a rule.
        An undo commonly has no session; its EM task is then followed for 20 seconds, in which EM may refuse it. If it still runs then, the task
        ends with RV(task.success=none), which is no success.
    type: bool
    default: true
  wait_timeout:
    description:
      - Seconds for the whole task after the request. When they have passed, the task fails; the run in EM goes on.
      - It can take longer by one read with its O(timeout) and O(retries).
    type: int
    default: 3600
  poll_interval:
    description:
      - Seconds between two polls of the run, 1 or more.
      - Until the session is known it is never more than five.
    type: int
    default: 5
notes:
  - The task fails if the run that it has waited for ends with V(Failed) or without a result, or if one of its VMs has failed.
    RV(error.kind) is then V(run_failed). It does not fail for V(Warning) without a failed VM, for which it warns. The facts are returned
    with a failure, too, so a playbook that judges for itself can accept V(run_failed), as an example shows.
  - C(until) and C(retries) are refused with this module, since Ansible would run the plan again.
  - The user needs the role VM Restore Operator (or Portal Administrator). Reading the replica points at the end of a run also needs the role
    Portal User; without it their time and state are V(null), with a warning. One account can have both.
  - EM does not say in a session whether it was a start, a test or an undo, nor to which plan it belongs. A running session is taken for the
    plan's if name and backup server are the same. So O(action=start) also joins a test of the plan that is running, with a warning.
    If another plan, of another tenant, has the same name and backup server, the task fails where it would have to guess.
  - If EM's reply to the request is lost, or its task is lost or has no link, the new sessions of the plan are watched. If there is only
    one for 20 seconds, it is a candidate. If there are several, or none within two minutes, the task fails with RV(error.kind=in_doubt).
    An undo is not judged by sessions at all.
  - EM shows a copy of what its backup servers know, and by default refreshes it every 15 minutes. A run that was started in the console
    may not be seen until then.
  - Parallel starts on one machine are prevented by a lock. EM has none, so two machines (or two containers) can start a plan at the
    same moment; if both sessions are seen, a warning names them.
  - O(action=undo) does not join a running session. It fails with RV(error.kind=busy), since VMs would be left in failover.
  - An interruption (Ctrl-C, a cancelled job) ends the task and not the run in EM, which cannot be stopped through this API.
seealso:
  - module: dr_runbook.veeam_em.failover_plan_info
  - module: dr_runbook.veeam_em.failover_session_wait
  - name: Guide to failover plans
    description: What is safe by construction, and what it rests on.
    link: https://github.com/dr-runbook/veeam_em/blob/main/docs/failover_plan.md
author:
  - dr_runbook contributors (@dr-runbook)
"""

EXAMPLES = r"""
# The connection options come from VEEAM_EM_URL, VEEAM_EM_USERNAME and VEEAM_EM_PASSWORD, or from module_defaults:
#
#   module_defaults:
#     group/dr_runbook.veeam_em.all:
#       url: https://em.example.com:9398
#       username: DR\robot
#       password: "{{ vault_veeam_em_password }}"

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

- name: Wait for its end, an hour at most
  dr_runbook.veeam_em.failover_session_wait:
    id: "{{ started.failover_session.id }}"
    finish_timeout: 3600
  register: finished

- name: Start a plan, and go on if its run fails, to judge it with own rules
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
    - Whether EM was asked for the action and may have carried it out. In check mode, whether it would be asked.
    - A failure has it, too. V(false) there means that EM surely did nothing, if RV(already_running) is there, too. A task that Ansible itself
      has ended, for its time-out or because the module was killed, has V(false) whatever happened.
  returned: always
  type: bool
  sample: true
action:
  description: The action that was asked for.
  returned: always
  type: str
  sample: test
url:
  description: Scheme, host and port of the EM that was asked. V(null) if the connection options could not be used.
  returned: always
  type: str
  sample: https://em.example.com:9398
plan:
  description: The plan, V(null) if it was not found. Its commands are left out, since they may hold secrets.
  returned: always
  type: dict
  contains:
    id:
      description: GUID of the plan, in lower case.
      returned: always
      type: str
      sample: 3d1a5c94-6f0e-4ac5-9f3e-6bb0c1d6c7b2
    uid:
      description: URN of the plan as EM writes it.
      returned: always
      type: str
      sample: urn:veeam:CloudFailoverPlan:3d1a5c94-6f0e-4ac5-9f3e-6bb0c1d6c7b2
    name:
      description: Name of the plan.
      returned: always
      type: str
      sample: ABC Company Failover Plan
    description:
      description: Description of the plan. V(null) if there is none.
      returned: always
      type: str
      sample: Web shop, database first
    tenant:
      description: The tenant with C(id) and C(name). V(null) if EM gives none.
      returned: always
      type: dict
      sample: {id: 0a1d6b1c-5a56-4a0b-9f1e-3f0b1c9d2e11, name: ABC Company}
    backup_server:
      description: The backup server with C(id) and C(name). V(null) if EM gives none.
      returned: always
      type: dict
      sample: {id: 8fff3b8e-c3f1-4ef5-aecc-561f07bf9982, name: 172.17.53.48}
    vms:
      description: The VMs with C(id), C(name) and C(order), in the order in which they start.
      returned: always
      type: list
      elements: dict
      sample: [{id: 6a3f1c70-6a5e-4a11-9be5-0a4b2c4f8a10, name: filesrv03, order: 0}]
failover_session:
  description:
    - Facts of the session of the action, or of the one that was running already, with the structure of an item of
      RV(dr_runbook.veeam_em.failover_session_info#module:failover_sessions), and one key more, C(tasks_kept_at).
    - EM may drop the list of VMs when a run ends. The last list seen is then returned as C(tasks), with its C(task_summary), and
      C(tasks_kept_at) says when EM gave it; a VM may have gone further since. It is V(null) where EM still gives the list, or never gave one.
    - V(null) in check mode if nothing is running, for an undo without a session (the documented case), and where no session is known.
  returned: always
  type: dict
  sample:
    id: 475420ee-d045-4493-9869-0a970e08f6f9
    uid: urn:veeam:CloudFailoverSession:475420ee-d045-4493-9869-0a970e08f6f9
    name: ABC Company Failover Plan
    job_type: FailoverPlan
    state: Stopped
    result: Success
    progress: 100
    failure_message: null
    creation_time: "2026-03-02T08:00:01.500000Z"
    end_time: "2026-03-02T08:04:40.000000Z"
    duration: 278.5
    finished: true
    succeeded: true
    backup_server: {id: 8fff3b8e-c3f1-4ef5-aecc-561f07bf9982, name: 172.17.53.48}
    href: /api/cloud/failoverSessions/475420ee-d045-4493-9869-0a970e08f6f9
    tasks:
      - vm_name: filesrv03
        state: Stopped
        result: Success
        progress: 100
        failure_message: null
        creation_time: "2026-03-02T08:00:06.110000Z"
        end_time: "2026-03-02T08:02:11.500000Z"
        duration: 125.39
        finished: true
        succeeded: true
        replica_point:
          id: c1beab6b-2b18-47f1-9e71-354ab8a49fc2
          name: filesrv03@2026-03-02 05:00:46
          creation_time: "2026-03-02T05:00:46.000000Z"
          state: Ready
    task_summary: {total: 1, success: 1, warning: 0, failed: 0, running: 0, other: 0}
    tasks_kept_at: "2026-03-02T08:04:36.000000Z"
session_source:
  description:
    - How it is known that RV(failover_session) is the session of this action. V(task) if EM's task links to it.
    - V(inferred) if EM did not say it, and it is the only new session of the plan. It may have been started by somebody else, so nothing
      irreversible should rest on it.
    - V(null) if there is no session, or if it was running already.
  returned: always
  type: str
  sample: task
known_sessions:
  description: Ids of the plan's sessions that were there before the action, newest first, 50 at most. O(known_sessions) of an undo takes them.
  returned: always
  type: list
  elements: str
  sample: [3f0b1c9d-6c53-4f7e-8a42-0b1c9d2e1104]
vms_in_failover:
  description:
    - Names of the VMs of the plan that were in failover immediately before a test, such as since a real failover that nobody has undone yet.
      An undo would concern that failover as well. A VM of the same name on the same backup server counts, too.
    - V(null) if that is not known, and with any other action than V(test).
  returned: always
  type: list
  elements: str
  sample: []
points_seen_at:
  description:
    - When the replica points of the run were read, which gives their C(creation_time) and C(state) in RV(failover_session). V(null) if they
      were not.
  returned: always
  type: str
  sample: "2026-03-02T08:04:41.000000Z"
may_read_points:
  description: Whether the user may read replica points. V(null) if that could not be found out.
  returned: in check mode
  type: bool
  sample: true
already_running:
  description: Whether a session of the plan was running already, so that EM was not asked for the action. RV(failover_session) is that session.
  returned: always
  type: bool
  sample: false
task:
  description: EM's task for the action, as far as it was followed. It ends with the logon, so EM may forget it before it is finished.
  returned: always
  type: dict
  contains:
    state:
      description: EM's word, V(Running), V(OperationFinished) or V(Finished). V(null) if there is no task, or none is known.
      returned: always
      type: str
      sample: Finished
    success:
      description: Whether the task succeeded, which only means that the run was started (or the undo carried out). V(null) if not known.
      returned: always
      type: bool
      sample: true
    message:
      description: EM's words, cut to one line. V(null) if it said nothing.
      returned: always
      type: str
      sample: Ok
timed_out:
  description: Whether the task failed because O(wait_timeout) was over.
  returned: failure
  type: bool
  sample: false
error:
  description: What went wrong, for playbooks to branch on. The sentence for people is in RV(msg).
  returned: failure, unless an option could not be used or the run was interrupted
  type: dict
  contains:
    kind:
      description:
        - V(run_failed) if the run ended without success, V(refused) if EM accepted the request and its task failed,
          V(in_doubt) if it is not known whether the action was carried out or which session it created, V(busy) if the plan is running,
          V(superseded) if the plan was run again since the session that O(only_if_latest) names, V(wait_timeout) if O(wait_timeout) was over.
        - V(not_found) and V(ambiguous) if no plan, or more than one, fits; V(not_found) also if EM does not list the session O(only_if_latest).
        - V(auth), V(permission), V(connection), V(tls), V(timeout), V(protocol) and V(server) as in
          M(dr_runbook.veeam_em.failover_session_info).
      returned: always
      type: str
      sample: run_failed
    status:
      description: HTTP status of the answer that carried the problem. V(null) if none did.
      returned: always
      type: int
      sample: 403
    message:
      description: The server's own words, cut to one line. V(null) if it said nothing.
      returned: always
      type: str
      sample: Failover of 1 of 8 VMs failed
msg:
  description: What was tried, what the server said, what to check, and the URL.
  returned: failure
  type: str
  sample: >-
    Start of plan ABC Company Failover Plan failed: em.example.com:9398 accepted the request, but the task failed: 'No restore points'. Nothing
    is repeated. Check the plan in the console, its replicas and their
    restore points.
    (https://em.example.com:9398/api/cloud/cloudFailoverPlans/3d1a5c94-6f0e-4ac5-9f3e-6bb0c1d6c7b2?action=start)
"""

from typing import Any

from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import EmWaitError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import clock
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.em_task import NO_TASK
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.lock import plan_lock
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.plan_action import PlanAction, start_date
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.plans import ACTIONS, PlanReader
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.replica_points import PointReader
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.run_result import run_result
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.times import utc_now
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.undo_condition import (
    UndoOnly,
    undo_condition,
)
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._module import (
    at_least,
    client_from_module,
    create_module,
    fail_on_error,
)

SPEC: dict[str, Any] = {
    "plan": {"type": "str", "required": True},
    "tenant": {"type": "str"},
    "backup_server": {"type": "str"},
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
        self.timed_out = False

    def carry_out(self) -> None:
        """Do what the options say.

        :raises OptionError: an option cannot be used.
        :raises EmError: the action failed.
        """
        params = self.module.params
        at_least(self.module, 1, "wait_timeout", "poll_interval")
        before = params["restore_point_before"]
        if before is not None:
            before = start_date(before, params["action"], utc_now())
        only = undo_condition(params["action"], params["only_if_latest"], params["known_sessions"])
        client = client_from_module(self.module)
        self.url = client.base_url
        with client:
            plan, ambiguous_plans = PlanReader(client).find_plan(
                params["plan"], params["tenant"], params["backup_server"]
            )
            self.action = PlanAction(client, plan, ambiguous_plans, params["action"])
            if self.module.check_mode:
                self.action.check_running(params["force"], only)
                may_read_points = PointReader(client).may_read()
                changed = not self.action.already_running
                self.module.exit_json(**{**self.result(), "changed": changed, "may_read_points": may_read_points})
            started = self.start(self.action, before, only)
            if params["wait"]:
                self.finish(self.action, started)

    def start(self, action: PlanAction, before: str | None, only: UndoOnly | None) -> float:
        """Check, submit and identify under the lock; returns when ``wait_timeout`` starts to count."""
        params, client = self.module.params, action.client
        with plan_lock(client.base_url, action.plan["id"], LOCK_TIMEOUT, action.operation, self.module.warn):
            action.check_running(params["force"], only)
            started = clock.monotonic()
            if not action.already_running:
                action.submit(before)
                action.identify_session(params["wait_timeout"], params["poll_interval"], params["wait"])
        return started

    def finish(self, action: PlanAction, started: float) -> None:
        """Wait for the end of the session, if there is one, and read the restore points of its VMs."""
        params = self.module.params
        action.wait(started + params["wait_timeout"] - clock.monotonic(), params["poll_interval"], started)
        if action.session:
            (action.session,), self.points_seen_at = PointReader(action.client).fill([action.session])

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
    with fail_on_error(module, lambda: {**run.result(), "timed_out": run.timed_out}):
        try:
            run.carry_out()
        except EmWaitError:
            run.timed_out = True
            raise
    result = run.result()
    if module.params["wait"] and result["failover_session"]:
        failure = run_result(result["failover_session"], module.warn)
        if failure:
            module.fail_json(**{**result, **failure})
    module.exit_json(**result)


if __name__ == "__main__":
    main()
