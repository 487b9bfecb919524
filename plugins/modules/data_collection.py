#!/usr/bin/python
# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: data_collection
short_description: Have Veeam Backup Enterprise Manager collect data from its backup servers now
version_added: 1.0.0
description:
  - Veeam Backup Enterprise Manager (EM) shows a copy of its backup servers' data, which it refreshes every 15 minutes by default. This module
    has EM refresh that copy now, and waits until the refresh has finished, so that the next task reads current data.
  - It sends one request for each backup server, and never repeats a request that EM may have carried out.
  - EM's task for it only says that a collection has started. So the module waits for the data collection job that EM did not list before,
    and that started after the request by EM's own clock.
  - It changes nothing but EM's copy.
extends_documentation_fragment:
  - dr_runbook.veeam_em._attributes
  - dr_runbook.veeam_em._connection
attributes:
  check_mode:
    support: full
    details: Finds the backup servers, with O(wait) also reads the data collection jobs, and reports a change. Nothing is requested.
  diff_mode:
    support: N/A
    details: There is no state to compare.
  idempotent:
    support: none
    details: Each run has EM collect data again, which is harmless.
  async:
    description: Supports being used with the C(async) keyword.
    support: full
options:
  backup_server:
    description:
      - Name or list of names of the backup servers to collect data from, exactly as EM shows them. By default, all backup servers.
      - They are collected from one after another, since Veeam does not document what EM does with a request while a collection runs.
    type: raw
  wait:
    description:
      - Whether to wait until the data is collected. This needs permission to read EM's own jobs. If the user may not, the task fails before
        anything is requested.
      - V(false) returns as soon as EM has accepted the requests.
    type: bool
    default: true
  wait_timeout:
    description: Maximum number of seconds to wait, for all backup servers together.
    type: int
    default: 900
  poll_interval:
    description: Seconds between two polls, 1 or more.
    type: int
    default: 5
notes:
  - The role Portal User is enough with O(wait=false). With O(wait=true), the role Portal Administrator is needed, since Veeam names no other
    role that may read EM's own jobs.
  - It can be repeated with C(until) and C(retries), since collecting data again is harmless.
  - Veeam documents that one data collection job collects from all backup servers at once. For a request that names one backup server, that
    is not documented.
seealso:
  - plugin: dr_runbook.veeam_em.failover_session_info
    plugin_type: module
  - name: Evidence for what Enterprise Manager does
    description: Which behaviour Veeam documents, which was seen, and which is assumed.
    link: https://github.com/dr-runbook/veeam_em/blob/main/docs/evidence.md
author:
  - dr_runbook contributors (@dr-runbook)
"""

EXAMPLES = r"""
# The connection options come from VEEAM_EM_URL, VEEAM_EM_USERNAME and VEEAM_EM_PASSWORD, or from module_defaults.

- name: Have EM collect data from all backup servers, and wait for it
  dr_runbook.veeam_em.data_collection:
  register: collection

- name: Read the running sessions from that data
  dr_runbook.veeam_em.failover_session_info:
    state:
      - Starting
      - Working
      - Stopping
    max_data_age: 5m
  register: running

- name: Collect from one backup server, twice if the first collection fails
  dr_runbook.veeam_em.data_collection:
    backup_server: sp-vbr1.example.net
    wait_timeout: 1800
  register: collection
  until: collection is succeeded
  retries: 1
  delay: 60

- name: Start a collection as a user who may not read EM's own jobs
  dr_runbook.veeam_em.data_collection:
    wait: false
"""

RETURN = r"""
collected_at:
  description:
    - When the collection started, in UTC by EM's clock. What EM shows now is at least as new. With several backup servers, the earliest one.
    - V(null) with O(wait=false) and in check mode.
  returned: always
  type: str
  sample: "2026-11-22T03:05:52.069837Z"
state:
  description:
    - How the collection ended, in EM's word, V(CompletedSuccessfully) or V(CompletedWarning). With several backup servers, the worst one.
    - V(CompletedWarning) is a success with a warning. A backup server may have been missed, so
      O(dr_runbook.veeam_em.failover_session_info#module:max_data_age) does not count it.
    - V(null) with O(wait=false) and in check mode.
  returned: always
  type: str
  sample: CompletedSuccessfully
error:
  description: What went wrong, for playbooks to branch on. RV(msg) has the sentence for people.
  returned: failure, unless an option is invalid or the run was interrupted
  type: dict
  contains:
    kind:
      description:
        - V(run_failed) if EM collected data, and that failed. V(refused) if EM accepted the request but its task failed. V(in_doubt) if it is
          not known whether EM has accepted the request. V(wait_timeout) if O(wait_timeout) expired.
        - V(not_found) if EM has no backup server of that name. V(permission) if a role is missing.
        - V(auth), V(connection), V(tls), V(timeout), V(protocol) and V(server) as in M(dr_runbook.veeam_em.failover_session_info).
      returned: always
      type: str
      sample: permission
    status:
      description: HTTP status of the response that caused the failure. V(null) if none did.
      returned: always
      type: int
      sample: 403
    message:
      description: The server's message, cut to one line. V(null) if there is none.
      returned: always
      type: str
      sample: Access is denied
msg:
  description: What was tried, what the server said, what to check, and the URL.
  returned: failure
  type: str
  sample: >-
    Read system sessions failed: em.example.com:9398 answered with HTTP 403 and the message 'Access is denied'. Check that DR\robot has the
    role Portal Administrator in Enterprise Manager; Veeam names no other one for it. (https://em.example.com:9398/api/systemSessions)
"""

from typing import Any

from ..module_utils._connection import client_from_module
from ..module_utils._failover.collection import DataCollection, find_backup_servers
from ..module_utils._failover.data_age import SEVERITY, CollectJob, list_collect_jobs
from ..module_utils._failover.plans import PlanCriteria
from ..module_utils._failover.times import format_time
from ..module_utils._failover.waiter import Poller
from ..module_utils._module import check_seconds, check_times, create_module, fail_on_error

SPEC: dict[str, Any] = {
    "backup_server": {"type": "raw"},
    "wait": {"type": "bool", "default": True},
    "wait_timeout": {"type": "int", "default": 900},
    "poll_interval": {"type": "int", "default": 5},
}


def main() -> None:
    module = create_module(SPEC, supports_check_mode=True)
    jobs: list[CollectJob] = []
    collections: list[DataCollection] = []

    def known() -> dict[str, Any]:
        return {
            "changed": any(collection.submitted for collection in collections),
            "collected_at": format_time(min((job.started for job in jobs), default=None)),
            "state": max((job.state for job in jobs if job.state), key=SEVERITY.index, default=None),
        }

    with fail_on_error(module, known):
        check_times(module)
        params = module.params
        check_seconds(module, "wait_timeout", "poll_interval")
        names = PlanCriteria.from_options({"backup_server": params["backup_server"]}.get).backup_servers
        with client_from_module(module) as client:
            servers = find_backup_servers(client, names)
            if params["wait"] and module.check_mode:
                list_collect_jobs(client)
            seconds = params["wait_timeout"]
            poller = Poller(client.warn, params["poll_interval"], seconds) if params["wait"] else None
            for server in [] if module.check_mode else servers:
                collections.append(DataCollection(client, server))
                job = collections[-1].collect(poller, seconds)
                jobs += [job] if job else []
        module.exit_json(**{**known(), "changed": True})


if __name__ == "__main__":
    main()
