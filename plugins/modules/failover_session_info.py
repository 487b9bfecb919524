#!/usr/bin/python
# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_session_info
short_description: Read cloud failover sessions from Veeam Backup Enterprise Manager
version_added: 1.0.0
description:
  - Reads the cloud failover sessions that Veeam Backup Enterprise Manager (EM) has recorded, one for each run of a cloud failover plan,
    with the VMs of each run, and returns them as facts with one fixed structure.
  - It changes nothing. It logs on, reads as few pages as the criteria allow, and logs off whatever happens.
  - The answer is complete, as far as EM lists sessions, or the task fails. There is no partial answer.
extends_documentation_fragment:
  - dr_runbook.veeam_em._attributes
  - dr_runbook.veeam_em._attributes.info_module
  - dr_runbook.veeam_em._connection
  - dr_runbook.veeam_em._session_criteria
options:
  replica_points:
    description:
      - Read the restore points that the VMs used, which fills C(creation_time) and C(state) of
        RV(failover_sessions[].tasks[].replica_point). It takes one request for up to 100 restore points.
      - It needs the role Portal User or Portal Administrator. VM Restore Operator may not read restore points; an account can be given
        this role and Portal User.
      - What cannot be read is V(null), with a warning. It is not an error.
    type: bool
    default: false
notes:
  - Sessions of the last 30 days are documented to be listed. This module asks EM's query service, which may reach back as far as EM keeps
    its history, 13 weeks by default. Veeam does not say so, so do not rely on it. A plan without a session in EM cannot appear.
  - EM shows a copy of what its backup servers know. It refreshes that copy every 15 minutes by default, so a session that was started in
    the console can be missing or look running for that long.
  - A session says that failover was carried out, not that the VMs are in failover still; O(replica_points) shows that. It does not say
    either whether it was a start, a test or an undo of the plan. EM records none of that in a session.
  - Every sample of a finished session in Veeam's documentation has an empty list of VMs. EM may drop that list when a session ends;
    RV(failover_sessions[].tasks) is then empty and RV(failover_sessions[].task_summary) counts zero VMs.
seealso:
  - name: Evidence for what Enterprise Manager does
    description: Which behaviour Veeam documents, which was seen, and which is only assumed.
    link: https://github.com/dr-runbook/veeam_em/blob/main/docs/evidence.md
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

- name: Read all cloud failover sessions that Enterprise Manager has
  dr_runbook.veeam_em.failover_session_info:
  register: all_sessions

- name: Read the failed runs of one plan in the last week
  dr_runbook.veeam_em.failover_session_info:
    name: ABC Company Failover Plan
    result: Failed
    created_after: 7d
  register: failed

- name: Show the reason for each VM that failed
  ansible.builtin.debug:
    msg: "{{ item.0.name }}: {{ item.1.vm_name }}: {{ item.1.failure_message }}"
  loop: "{{ failed.failover_sessions | subelements('tasks') | selectattr('1.result', 'equalto', 'Failed') }}"
  loop_control:
    label: "{{ item.1.vm_name }}"

- name: Find the plans whose newest run did not succeed
  dr_runbook.veeam_em.failover_session_info:
    latest_per_plan: true
    result:
      - Warning
      - Failed
  register: open_findings

- name: Find the plans whose newest run is older than 14 days
  dr_runbook.veeam_em.failover_session_info:
    latest_per_plan: true
    created_before: 14d
  register: overdue

- name: Read the newest run of one plan
  dr_runbook.veeam_em.failover_session_info:
    name: ABC Company Failover Plan
    limit: 1
  register: newest_run

- name: Stop the runbook if the plan has no run, which is also the case for a misspelt name
  ansible.builtin.assert:
    that: newest_run.failover_sessions | length == 1
    quiet: true

- name: Read the newest run of one plan, with the age and the state of its restore points
  dr_runbook.veeam_em.failover_session_info:
    name: ABC Company Failover Plan
    limit: 1
    replica_points: true
  register: newest_run

- name: Show the VMs that are failed over now
  ansible.builtin.debug:
    msg: "{{ newest_run.failover_sessions[0].tasks | selectattr('replica_point.state', 'eq', 'Failover') | map(attribute='vm_name') | list }}"
  when: newest_run.points_seen_at is not none

- name: Read what runs at this moment
  dr_runbook.veeam_em.failover_session_info:
    state:
      - Starting
      - Working
      - Stopping
  register: running

# failover_session_id is the id of a session that an earlier job or task has handed over.
- name: Wait until that session has finished, for 30 minutes at most
  dr_runbook.veeam_em.failover_session_info:
    id: "{{ failover_session_id }}"
  register: session
  until: session is success and session.failover_sessions | map(attribute='finished') | list == [true]
  retries: 120
  delay: 15

- name: Stop the runbook unless it is that session and has succeeded
  ansible.builtin.assert:
    that:
      - session.failover_sessions | map(attribute='id') | list == [failover_session_id]
      - session.failover_sessions[0].succeeded is true
    quiet: true

# A failure has error.kind, unless an option could not be used or the run was interrupted; msg is the sentence for people in both cases.
- name: Read the newest session and tell a missing right from other failures
  block:
    - name: Read the newest session
      dr_runbook.veeam_em.failover_session_info:
        limit: 1
      register: newest
  rescue:
    - name: Say what to do
      ansible.builtin.fail:
        msg: >-
          {{ 'Ask for a role in Enterprise Manager.' if ansible_failed_result.error.kind | default('') == 'permission'
             else ansible_failed_result.msg }}
"""

RETURN = r"""
failover_sessions:
  description:
    - The sessions for which all criteria hold, newest first unless O(sort_order=ascending).
    - All times are UTC in one format with six fraction digits, so that they sort as text.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: GUID of the session, in lower case. Unique, unlike RV(failover_sessions[].name).
      returned: always
      type: str
      sample: 475420ee-d045-4493-9869-0a970e08f6f9
    uid:
      description: URN of the session as EM writes it.
      returned: always
      type: str
      sample: urn:veeam:CloudFailoverSession:475420ee-d045-4493-9869-0a970e08f6f9
    name:
      description: Name of the failover plan at the time of the run. All runs of a plan share it, and plans of two tenants may too.
      returned: always
      type: str
      sample: ABC Company Failover Plan
    job_type:
      description: EM's word for the kind of job. Only V(FailoverPlan) is documented. V(null) if EM gives none.
      returned: always
      type: str
      sample: FailoverPlan
    state:
      description: EM's word, V(Starting), V(Working), V(Stopping) or V(Stopped). A word that is not documented is passed through.
      returned: always
      type: str
      sample: Stopped
    result:
      description:
        - EM's word, V(Success), V(Warning) or V(Failed), and the text V(None) while the session runs. Other words are passed through.
        - The text V(None) in a session that has finished means that EM gives no result. It is not a success.
      returned: always
      type: str
      sample: Success
    progress:
      description: Percent as EM gives it, V(null) if it gives none. EM shows 0 and 100 only in its samples, so do not judge by it.
      returned: always
      type: int
      sample: 100
    failure_message:
      description: EM's reason for a failure. V(null) if EM gives none, which happens for failed sessions too.
      returned: always
      type: str
      sample: Failover of 1 of 8 VMs failed
    creation_time:
      description: Start of the run in UTC. V(null) if EM's text is no usable time.
      returned: always
      type: str
      sample: "2015-12-07T17:38:16.000000Z"
    end_time:
      description: End of the run in UTC. V(null) while it runs, and where EM gives no end or one of its dates for "never".
      returned: always
      type: str
      sample: "2015-12-07T17:39:36.000000Z"
    duration:
      description: Seconds from start to end. V(null) while the session runs, and where a time is missing or the end lies before the start.
      returned: always
      type: float
      sample: 80.0
    finished:
      description: Whether RV(failover_sessions[].state) is V(Stopped), the only word that ends a run.
      returned: always
      type: bool
      sample: true
    succeeded:
      description:
        - V(true) if the session is finished with result V(Success), V(false) if it is finished with anything else, V(Warning) included.
        - V(null) while it runs.
      returned: always
      type: bool
      sample: true
    backup_server:
      description: The backup server that ran the plan. V(null) if EM gives none.
      returned: always
      type: dict
      contains:
        id:
          description: GUID of the backup server in EM.
          returned: always
          type: str
          sample: 8fff3b8e-c3f1-4ef5-aecc-561f07bf9982
        name:
          description: Name of the backup server as EM shows it.
          returned: always
          type: str
          sample: 172.17.53.48
    href:
      description: Path of the session in EM's REST API, without host, since the host in EM's links is EM's own idea.
      returned: always
      type: str
      sample: /api/cloud/failoverSessions/475420ee-d045-4493-9869-0a970e08f6f9
    tasks:
      description: One entry for each VM of the run. Empty where EM gives none, as in all documented samples of finished sessions.
      returned: always
      type: list
      elements: dict
      contains:
        vm_name:
          description: Name of the VM.
          returned: always
          type: str
          sample: filesrv03
        state:
          description: As RV(failover_sessions[].state), for this VM.
          returned: always
          type: str
          sample: Stopped
        result:
          description: As RV(failover_sessions[].result), for this VM.
          returned: always
          type: str
          sample: Failed
        progress:
          description: As RV(failover_sessions[].progress), for this VM.
          returned: always
          type: int
          sample: 100
        failure_message:
          description: EM's reason why this VM failed. V(null) if EM gives none.
          returned: always
          type: str
          sample: "Failed to power on replica VM: insufficient memory on host esx07"
        creation_time:
          description: Start of the work on this VM in UTC.
          returned: always
          type: str
          sample: "2026-03-02T08:00:06.110000Z"
        end_time:
          description: End of the work on this VM in UTC. V(null) while it runs.
          returned: always
          type: str
          sample: "2026-03-02T08:02:11.500000Z"
        duration:
          description: Seconds from start to end, V(null) as in RV(failover_sessions[].duration).
          returned: always
          type: float
          sample: 125.39
        finished:
          description: Whether the work on this VM has ended.
          returned: always
          type: bool
          sample: true
        succeeded:
          description: As RV(failover_sessions[].succeeded), for this VM.
          returned: always
          type: bool
          sample: false
        replica_point:
          description: The restore point of the replica that was used. V(null) if EM gives none.
          returned: always
          type: dict
          contains:
            id:
              description: GUID of the restore point.
              returned: always
              type: str
              sample: c1beab6b-2b18-47f1-9e71-354ab8a49fc2
            name:
              description: Name of the restore point. The time in it has no zone; EM does not say which it is.
              returned: always
              type: str
              sample: filesrv03@2020-02-13 05:00:46
            creation_time:
              description: When the restore point was created, in UTC. V(null) unless O(replica_points=true) and EM still has it.
              returned: always
              type: str
              sample: "2020-02-13T05:00:46.000000Z"
            state:
              description:
                - EM's word for where the restore point stands at RV(points_seen_at), such as V(Ready), V(Failover), V(Failback),
                  V(PermanentFailover) or V(Unknown). With V(Failover), the VM is failed over now.
                - V(null) unless O(replica_points=true) and EM still has it.
              returned: always
              type: str
              sample: Ready
    task_summary:
      description: How many VMs stand where, counted from RV(failover_sessions[].tasks).
      returned: always
      type: dict
      contains:
        total:
          description: VMs in all.
          returned: always
          type: int
          sample: 2
        success:
          description: VMs finished with V(Success).
          returned: always
          type: int
          sample: 1
        warning:
          description: VMs finished with V(Warning).
          returned: always
          type: int
          sample: 0
        failed:
          description: VMs finished with V(Failed).
          returned: always
          type: int
          sample: 1
        running:
          description: VMs that are not finished.
          returned: always
          type: int
          sample: 0
        other:
          description: VMs finished with V(None) or a word that is not documented.
          returned: always
          type: int
          sample: 0
missing_ids:
  description:
    - GUIDs given in O(id) that EM does not know. That is no error.
    - Before it is said, EM must have answered with a list of sessions that does not hold these. Of more than five ids that a query has
      not found, the first five are asked for directly. If EM knows none of them, the query is believed for the others.
  returned: success
  type: list
  elements: str
  sample: []
points_seen_at:
  description: When EM was asked for the restore points, in UTC. V(null) unless O(replica_points=true) and EM has shown them.
  returned: success
  type: str
  sample: "2026-11-22T03:12:46.502113Z"
query:
  description: What was asked and what it cost.
  returned: success
  type: dict
  contains:
    filter:
      description:
        - The filter expression that EM was sent and accepted. V(null) if there was none, or if EM refused it and everything was read instead.
        - The pieces of a long list of ids are sent one after the other and are shown here joined by commas (OR).
        - Bounds in time are sent a second wider than asked for. All criteria are checked exactly on this side.
      returned: always
      type: str
      sample: (Name=="ABC Company Failover Plan";(Result==Failed))
    source:
      description:
        - V(query) if EM's query service was asked, or sessions were read directly by their ids.
        - V(collection) if EM refused the query, or forbade it to this user (HTTP 403), with a warning. The list of sessions
          was read instead, which is documented to cover the last 30 days only, and the criteria were checked here. The module fails only if the
          list is forbidden too.
      returned: always
      type: str
      sample: query
    requests:
      description: Requests sent, log on and log off included.
      returned: always
      type: int
      sample: 5
    pages:
      description: Pages of results read.
      returned: always
      type: int
      sample: 3
    queried_at:
      description: The moment that ages such as V(7d) count from, in UTC.
      returned: always
      type: str
      sample: "2026-11-22T03:12:45.123456Z"
    api_version:
      description: The API version asked for at log on.
      returned: always
      type: str
      sample: latest
error:
  description: What went wrong, for playbooks to branch on. The sentence for people is in RV(msg).
  returned: failure, unless an option could not be used or the run was interrupted
  type: dict
  contains:
    kind:
      description:
        - V(auth) for a wrong user or password, V(permission) for a missing right, V(not_found) for an unknown object,
          V(connection) if the server could not be reached, V(tls) if its certificate was refused, V(timeout) if it was too slow,
          V(protocol) for an answer that EM would not give, V(server) for an error in EM.
      returned: always
      type: str
      sample: auth
    status:
      description: HTTP status of the answer that carried the problem. V(null) if none did, as with V(connection), V(tls) and V(timeout).
      returned: always
      type: int
      sample: 401
    message:
      description: The server's own words, cut to one line. V(null) if it said nothing.
      returned: always
      type: str
      sample: The user name or password is incorrect
msg:
  description: What was tried, what the server said, what to check, and the URL.
  returned: failure
  type: str
  sample: >-
    Log on to Veeam Backup Enterprise Manager as DR\robot failed: em.example.com:9398 answered with HTTP 401 and the message 'The user name or
    password is incorrect'. Check username (DOMAIN\user, user@domain or a local user of the EM server) and password.
    (https://em.example.com:9398/api/sessionMngr/?v=latest)
"""

from typing import Any

from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.criteria import SessionCriteria
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.replica_points import PointReader
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.sessions import SessionReader
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.times import format_time
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._module import (
    SESSION_CRITERIA_SPEC,
    client_from_module,
    create_module,
    exit_with_facts,
    fail_on_error,
)

SPEC: dict[str, Any] = {**SESSION_CRITERIA_SPEC, "replica_points": {"type": "bool", "default": False}}


def main() -> None:
    module = create_module(SPEC, supports_check_mode=True)
    with fail_on_error(module):
        criteria = SessionCriteria.from_options(module.params.get)
        client = client_from_module(module)
        with client:
            answer = SessionReader(client).list_sessions(criteria)
            sessions, points_seen_at = answer.sessions, None
            if module.params["replica_points"]:
                sessions, points_seen_at = PointReader(client).fill(sessions)
        exit_with_facts(
            module,
            "failover_sessions",
            sessions,
            changed=False,
            missing_ids=answer.missing_ids,
            points_seen_at=points_seen_at,
            query={
                "filter": answer.filter,
                "source": "collection" if answer.from_collection else "query",
                "requests": client.counters.requests,
                "pages": client.counters.pages,
                "queried_at": format_time(criteria.now),
                "api_version": client.api_version,
            },
        )


if __name__ == "__main__":
    main()
