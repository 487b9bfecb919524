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
  - Reads cloud failover sessions from Veeam Backup Enterprise Manager (EM), one for each run of a cloud failover plan, with the VMs of
    each run, and returns them as facts in one fixed structure.
  - It changes nothing. It logs on, reads as few pages as the criteria allow, and always logs off.
  - You get every matching session that EM lists, or a failed task, never a partial answer.
extends_documentation_fragment:
  - dr_runbook.veeam_em._attributes
  - dr_runbook.veeam_em._attributes.info_module
  - dr_runbook.veeam_em._connection
  - dr_runbook.veeam_em._session_criteria
  - dr_runbook.veeam_em._data_age
  - dr_runbook.veeam_em._history
  - dr_runbook.veeam_em._history.em_names
  - dr_runbook.veeam_em._history.source
options:
  url:
    required: false
  username:
    required: false
  password:
    required: false
  fields:
    description:
      - Names of the facts to return for each session. If not set, all are returned.
      - Set it for answers of thousands of sessions. Ansible spends most of the time of a large answer on storing facts that the playbook may
        not use, above all V(tasks) with its entry for each VM. What is read from EM and compared stays the same.
    type: list
    elements: str
    choices: [id, uid, name, job_type, state, result, progress, failure_message, creation_time, end_time, duration, finished, succeeded,
      backup_server, href, tasks, task_summary, tasks_kept_at, em_name, seen_at]
  replica_points:
    description:
      - Whether to read the restore points that the VMs used. This fills C(creation_time) and C(state) of
        RV(failover_sessions[].tasks[].replica_point) and takes one request for up to 100 restore points.
      - It needs the role Portal User or Portal Administrator. VM Restore Operator may not read restore points; one account can have both.
      - What cannot be read is V(null), with a warning. With O(fields), V(tasks) must be one of them.
      - With O(source=history) it makes no difference; what is known is always returned.
    type: bool
    default: false
  data_age:
    description:
      - Whether to return how old the data is that EM shows, as RV(query.data_age). It takes one request more.
      - If EM refuses to show it, it is V(null), with a warning. Set O(max_data_age) for a task that fails then.
    type: bool
    default: false
notes:
  - Veeam documents that EM lists the sessions of the last 30 days. This module uses EM's query service, which may reach back as far as EM
    keeps its history, 13 weeks by default. Veeam does not document that, so do not rely on it. A plan without a session in EM cannot appear.
  - EM shows a copy of its backup servers' data, refreshed every 15 minutes by default. For that long, a session that was started in the
    console can be missing, or appear to be running. O(max_data_age) refuses older data, and M(dr_runbook.veeam_em.data_collection) has EM
    refresh it now.
  - A session shows that a failover was carried out, not that its VMs are still in failover; O(replica_points) shows that. EM does not
    record in a session whether it was a start, a test or an undo of the plan.
  - Every sample of a finished session in Veeam's documentation has an empty list of VMs. If EM drops that list when a session ends,
    RV(failover_sessions[].tasks) is empty and RV(failover_sessions[].task_summary) counts zero VMs.
seealso:
  - name: Evidence for what Enterprise Manager does
    description: Which behaviour Veeam documents, which was seen, and which is assumed.
    link: https://github.com/dr-runbook/veeam_em/blob/main/docs/evidence.md
author:
  - dr_runbook contributors (@dr-runbook)
"""

EXAMPLES = r"""
# The connection options come from VEEAM_EM_URL, VEEAM_EM_USERNAME and VEEAM_EM_PASSWORD, or from module_defaults of
# group/dr_runbook.veeam_em.all, which docs/quick-start.md shows.

- name: Read all cloud failover sessions
  dr_runbook.veeam_em.failover_session_info:
  register: all_sessions

- name: Read only what a list of thousands of runs shows, which is quick
  dr_runbook.veeam_em.failover_session_info:
    fields: [id, name, state, result, creation_time, duration]
  register: overview

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
    result: [Warning, Failed]
  register: open_findings

- name: Read the newest run of one plan, with the age and the state of its restore points
  dr_runbook.veeam_em.failover_session_info:
    name: ABC Company Failover Plan
    limit: 1
    replica_points: true
  register: newest_run

- name: Stop the runbook if the plan has no run (or its name is misspelt)
  ansible.builtin.assert:
    that: newest_run.failover_sessions | length == 1
    quiet: true

- name: Show the VMs that are failed over now
  ansible.builtin.debug:
    msg: "{{ newest_run.failover_sessions[0].tasks | selectattr('replica_point.state', 'eq', 'Failover') | map(attribute='vm_name') | list }}"
  when: newest_run.points_seen_at is not none

- name: Read the running sessions, unless EM's copy of the data is older than 20 minutes
  dr_runbook.veeam_em.failover_session_info:
    state: [Starting, Working, Stopping]
    max_data_age: 20m
  register: running

# The history comes from VEEAM_EM_STORE, for example /var/lib/veeam_em/history.db.
- name: Read the runs of the last year from the history, since EM lists 30 days
  dr_runbook.veeam_em.failover_session_info:
    source: history
    created_after: 52w
  register: last_year

# A failure has error.kind, unless an option is invalid or the run was interrupted. msg is always there, for people.
- name: Read the newest session, or go on without it if the user may not
  dr_runbook.veeam_em.failover_session_info:
    limit: 1
  register: newest
  failed_when: newest is failed and newest.error.kind | default('') != 'permission'
"""

RETURN = r"""
failover_sessions:
  description:
    - The sessions that match all criteria, newest first unless O(sort_order=ascending).
    - All times are UTC, in one format with six fraction digits, so they sort as text.
    - With O(fields), each session has only these facts.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: GUID of the session, in lower case. Unique, unlike RV(failover_sessions[].name).
      type: str
      sample: 475420ee-d045-4493-9869-0a970e08f6f9
    uid: {description: URN as EM writes it., type: str, sample: "urn:veeam:CloudFailoverSession:475420ee-d045-4493-9869-0a970e08f6f9"}
    name:
      description: Name of the failover plan at the time of the run. All runs of a plan share it, and plans of two tenants may too.
      type: str
      sample: ABC Company Failover Plan
    job_type: {description: EM's job type. Only V(FailoverPlan) is documented. V(null) if EM gives none., type: str, sample: FailoverPlan}
    state:
      description: EM's state, V(Starting), V(Working), V(Stopping) or V(Stopped). An undocumented state is returned as is.
      type: str
      sample: Stopped
    result:
      description:
        - EM's result, V(Success), V(Warning) or V(Failed), or the text V(None) while the session runs. An undocumented result is returned as is.
        - The text V(None) in a finished session means that EM gives no result. That is not a success.
      type: str
      sample: Success
    progress:
      description: Percentage as EM gives it. V(null) if it gives none. Veeam's samples show only 0 and 100, so do not base decisions on it.
      type: int
      sample: 100
    failure_message:
      description: EM's reason for a failure. V(null) if EM gives none, which also happens for failed sessions.
      type: str
      sample: Failover of 1 of 8 VMs failed
    creation_time: {description: Start of the run in UTC. V(null) if EM gives no valid time., type: str, sample: "2015-12-07T17:38:16.000000Z"}
    end_time:
      description: End of the run in UTC. V(null) while it runs, and if EM gives no end or one of its dates for "never".
      type: str
      sample: "2015-12-07T17:39:36.000000Z"
    duration:
      description: Seconds from start to end. V(null) while the session runs, and if a time is missing or the end is before the start.
      type: float
      sample: 80.0
    finished: {description: "Whether RV(failover_sessions[].state) is V(Stopped), the only state of a finished run.", type: bool, sample: true}
    succeeded:
      description:
        - V(true) if the session finished with result V(Success), V(false) if it finished with any other result, including V(Warning).
        - V(null) while it runs.
      type: bool
      sample: true
    backup_server:
      description: The backup server that ran the plan, with C(id) (its GUID in EM) and C(name). V(null) if EM gives none.
      type: dict
      sample: {id: 8fff3b8e-c3f1-4ef5-aecc-561f07bf9982, name: 172.17.53.48}
    href:
      description: Path of the session in EM's REST API. The host in EM's links is left out, since it may not be reachable.
      type: str
      sample: /api/cloud/failoverSessions/475420ee-d045-4493-9869-0a970e08f6f9
    tasks:
      description: One entry for each VM of the run. Empty if EM gives none, as in all documented samples of finished sessions.
      type: list
      elements: dict
      contains:
        vm_name: {description: Name of the VM., type: str, sample: filesrv03}
        state: {description: "As RV(failover_sessions[].state), for this VM.", type: str, sample: Stopped}
        result: {description: "As RV(failover_sessions[].result), for this VM.", type: str, sample: Failed}
        progress: {description: "As RV(failover_sessions[].progress), for this VM.", type: int, sample: 100}
        failure_message:
          description: EM's reason why this VM failed. V(null) if EM gives none.
          type: str
          sample: "Failed to power on replica VM: insufficient memory on host esx07"
        creation_time: {description: Start of this VM's failover in UTC., type: str, sample: "2026-03-02T08:00:06.110000Z"}
        end_time: {description: End of this VM's failover in UTC. V(null) while it runs., type: str, sample: "2026-03-02T08:02:11.500000Z"}
        duration: {description: "Seconds from start to end, V(null) as in RV(failover_sessions[].duration).", type: float, sample: 125.39}
        finished: {description: Whether this VM has finished., type: bool, sample: true}
        succeeded: {description: "As RV(failover_sessions[].succeeded), for this VM.", type: bool, sample: false}
        replica_point:
          description: The restore point that the VM used. V(null) if EM gives none.
          type: dict
          contains:
            id: {description: GUID of the restore point., type: str, sample: c1beab6b-2b18-47f1-9e71-354ab8a49fc2}
            name:
              description: Name of the restore point. The time in it has no time zone, and EM does not give one.
              type: str
              sample: filesrv03@2020-02-13 05:00:46
            creation_time:
              description: When the restore point was created, in UTC. V(null) unless O(replica_points=true) and EM still has it.
              type: str
              sample: "2020-02-13T05:00:46.000000Z"
            state:
              description:
                - EM's state of the restore point at RV(points_seen_at), such as V(Ready), V(Failover), V(Failback),
                  V(PermanentFailover) or V(Unknown). V(Failover) means that the VM was failed over at that time.
                - V(null) unless O(replica_points=true) and EM still has it, or it was recorded.
              type: str
              sample: Ready
    task_summary:
      description:
        - Number of VMs in RV(failover_sessions[].tasks), in C(total) and by result.
        - C(success), C(warning) and C(failed) have finished with that result, C(other) with V(None) or an undocumented one. C(running) have
          not finished.
      type: dict
      sample: {total: 2, success: 1, warning: 0, failed: 1, running: 0, other: 0}
    tasks_kept_at:
      description: When EM listed the VMs of the session for the last time.
      returned: with O(source=history), if EM no longer listed any when the session was recorded
      type: str
      sample: "2026-11-22T03:12:46.000000Z"
    em_name:
      description: The Enterprise Manager, as M(dr_runbook.veeam_em.failover_history) calls it.
      returned: with O(source=history)
      type: str
      sample: em.example.com
    seen_at:
      description: When EM showed the session like this for the first time.
      returned: with O(source=history)
      type: str
      sample: "2026-11-22T03:12:46.000000Z"
missing_ids:
  description:
    - GUIDs in O(id) that EM does not know. That is not an error.
    - A GUID is reported only after it was read directly, and EM returned a list of sessions without it.
  returned: success
  type: list
  elements: str
  sample: []
points_seen_at:
  description:
    - When the restore points were read, in UTC. V(null) unless O(replica_points=true) and they could be read.
    - With O(source=history), see RV(dr_runbook.veeam_em.failover_history_info#module:points_seen_at).
  returned: success
  type: str
  sample: "2026-11-22T03:12:46.502113Z"
query:
  description: What was requested, and what it cost.
  returned: success
  type: dict
  contains:
    filter:
      description:
        - The filter expression that EM accepted. V(null) if there was none, or if EM refused it and all sessions were read instead.
        - A long list of ids is sent in several queries, which are shown here joined by commas (OR).
        - Time limits are sent one second wider than given. All criteria are then checked exactly on the client.
      type: str
      sample: (Name=="ABC Company Failover Plan";(Result==Failed))
    source:
      description:
        - V(query) if EM's query service answered, or sessions were read directly by their ids.
        - V(collection), with a warning, if EM refused the query or this user may not run it (HTTP 403). Then the list of sessions was
          read instead, which is documented to cover the last 30 days only. The module fails if the user may not read the list either.
        - V(history) with O(source=history). No request was sent, V(requests) and V(pages) are 0, and V(api_version) is V(null).
      type: str
      sample: query
    requests: {description: "Requests sent, including logon and logoff.", type: int, sample: 5}
    pages: {description: Pages of results read., type: int, sample: 3}
    queried_at: {description: "The time that ages such as V(7d) count from, in UTC.", type: str, sample: "2026-11-22T03:12:45.123456Z"}
    api_version: {description: The API version requested at logon., type: str, sample: latest}
    data_age:
      description:
        - How old the data was that EM showed. V(null) unless O(data_age=true) or O(max_data_age) is set, or if it is not known.
        - By EM's own clock, from the start of its newest data collection job that completed successfully. It was read before the sessions.
      type: dict
      contains:
        collected_at: {description: "When that job started, in UTC.", type: str, sample: "2026-11-22T03:05:52.069837Z"}
        seconds: {description: Seconds from then to the reading of the age., type: float, sample: 412.930163}
error:
  description: What went wrong, for playbooks to branch on. RV(msg) has the sentence for people.
  returned: failure, unless an option is invalid or the run was interrupted
  type: dict
  contains:
    kind:
      description:
        - V(auth) for a wrong user or password, also of a proxy, V(permission) for a missing permission, V(not_found) for an unknown object,
          V(connection) if the server cannot be reached, V(tls) if its certificate is not trusted, V(timeout) if it is too slow,
          V(protocol) for a response that does not come from EM's API, V(server) for an error in EM,
          V(stale) if EM's data is older than O(max_data_age) or its age is not known.
      returned: always
      type: str
      sample: auth
    status:
      description: HTTP status of the response that caused the failure. V(null) if none did, as with V(connection), V(tls) and V(timeout).
      returned: always
      type: int
      sample: 401
    message: {description: "The server's message, cut to one line. V(null) if none.", returned: always, type: str, sample: Wrong user}
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

from ..module_utils._api.errors import OptionError
from ..module_utils._argspec import (
    EM_NAMES_SPEC,
    MAX_DATA_AGE_SPEC,
    OPTIONAL_CONNECTION_SPEC,
    SESSION_CRITERIA_SPEC,
    SOURCE_SPEC,
    STORE_SPEC,
)
from ..module_utils._failover.criteria import SessionCriteria
from ..module_utils._failover.facts import SessionResult
from ..module_utils._failover.times import format_time
from ..module_utils._module import Module, check_texts, check_times, create_module, fail_on_error

FIELDS = (
    *("id", "uid", "name", "job_type", "state", "result", "progress", "failure_message", "creation_time", "end_time"),
    *("duration", "finished", "succeeded", "backup_server", "href", "tasks", "task_summary"),
)
"""The facts of a session, in the order of RETURN."""
HISTORY_FIELDS = ("tasks_kept_at", "em_name", "seen_at")
"""Facts that only sessions of the history have."""
NO_QUERY = {"filter": None, "requests": 0, "pages": 0, "api_version": None, "data_age": None}
"""The facts of a query where EM was not asked."""

SPEC: dict[str, Any] = {
    **OPTIONAL_CONNECTION_SPEC,
    **SESSION_CRITERIA_SPEC,
    **MAX_DATA_AGE_SPEC,
    **STORE_SPEC,
    **EM_NAMES_SPEC,
    **SOURCE_SPEC,
    "data_age": {"type": "bool", "default": False},
    "fields": {"type": "list", "elements": "str", "choices": [*FIELDS, *HISTORY_FIELDS]},
    "replica_points": {"type": "bool", "default": False},
}


def main() -> None:
    module = create_module(SPEC, supports_check_mode=True)
    with fail_on_error(module):
        check_times(module)
        fields, replica_points = module.params["fields"], module.params["replica_points"]
        if fields == []:
            raise OptionError("fields", fields, "An empty list returns no facts; leave the option out to return all.")
        if fields and replica_points and "tasks" not in fields:
            accepted = "Restore points are returned in tasks: add tasks to fields, or leave replica_points out."
            raise OptionError("replica_points", replica_points, accepted)
        criteria = SessionCriteria.from_options(module.params.get)
        read = _read_history if module.params["source"] == "history" else _read_em
        result, points_seen_at, query = read(module, criteria)
    sessions: list[Any] = result.sessions
    if fields:
        sessions = [{name: session.get(name) for name in fields} for session in sessions]
    query = {**NO_QUERY, "queried_at": format_time(criteria.now), **query}
    module.exit_json(
        changed=False,
        failover_sessions=sessions,
        missing_ids=result.missing_ids,
        points_seen_at=points_seen_at,
        query=query,
    )


def _read_em(module: Module, criteria: SessionCriteria) -> tuple[SessionResult, str | None, dict[str, Any]]:
    # Only here, so that reading a history needs no client and no libraries.
    from ..module_utils._connection import client_from_module
    from ..module_utils._failover.data_age import DataAgeReader, max_age
    from ..module_utils._failover.replica_points import PointReader
    from ..module_utils._failover.sessions import SessionReader

    limit = max_age(module.params["max_data_age"])
    client = client_from_module(module)
    with client:
        data_age = DataAgeReader(client).read(limit) if limit or module.params["data_age"] else None
        result, points_seen_at = SessionReader(client).list_sessions(criteria), None
        if module.params["replica_points"]:
            result.sessions, points_seen_at = PointReader(client).fill(result.sessions)
    query = {
        "filter": result.filter,
        "source": "collection" if result.from_collection else "query",
        "requests": client.counters.requests,
        "pages": client.counters.pages,
        "api_version": module.params["api_version"],
        "data_age": data_age,
    }
    return result, points_seen_at, query


def _read_history(module: Module, criteria: SessionCriteria) -> tuple[SessionResult, str | None, dict[str, Any]]:
    # Only here, so that reading EM does not load a database.
    from ..module_utils._history.reader import open_instead_of_em

    check_texts(module, {**STORE_SPEC, **EM_NAMES_SPEC})
    with open_instead_of_em(module.params.get, module.warn) as reader:
        result = reader.list_sessions(criteria)
        return result, reader.points_seen_at(criteria, result.sessions), {"source": "history"}


if __name__ == "__main__":
    main()
