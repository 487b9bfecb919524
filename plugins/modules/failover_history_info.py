#!/usr/bin/python
# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_history_info
short_description: Read the history of cloud failover sessions
version_added: 1.0.0
description:
  - Reads what M(dr_runbook.veeam_em.failover_history) has recorded. It returns sessions by the criteria of
    M(dr_runbook.veeam_em.failover_session_info) with the same facts, what kind of run each was, the plans with their versions, and when
    somebody looked and when nobody did.
  - It contacts no Enterprise Manager (EM), and needs no connection option.
  - It can check that no record was changed or removed, and export all records for auditors.
extends_documentation_fragment:
  - dr_runbook.veeam_em._attributes
  - dr_runbook.veeam_em._attributes.info_module
  - dr_runbook.veeam_em._connection
  - dr_runbook.veeam_em._session_criteria
  - dr_runbook.veeam_em._history
  - dr_runbook.veeam_em._history.em_names
options:
  url:
    description: Not used. The connection options are accepted so that C(module_defaults) of the action group can contain them.
    required: false
  username:
    description: Not used.
    required: false
  password:
    description: Not used.
    required: false
  validate_certs:
    description: Not used.
  ca_path:
    description: Not used.
  timeout:
    description: Not used.
  retries:
    description: Not used.
  api_version:
    description: Not used.
  page_size:
    description: Not used.
  name:
    description: Plans with these names, and their sessions, exactly as EM shows them. A name, or a list of names.
  verify:
    description:
      - Whether to check all records and their hash chain. The task fails if it does not hold.
      - It takes about a second for 20,000 sessions.
    type: bool
    default: false
  expected_head:
    description:
      - A head that was noted before, as RV(head). The task fails if the history does not contain it, so that records removed from
        the end are found, too. This implies O(verify=true).
    type: dict
    suboptions:
      sequence:
        description: Its number.
        type: int
        required: true
      hash:
        description: Its hash.
        type: str
        required: true
  export:
    description:
      - A file to write all records of O(store) to, as JSON Lines with mode 0600. It is replaced if it exists.
      - It contains all records, whatever the criteria are. In check mode it is not written.
    type: path
author:
  - dr_runbook contributors (@dr-runbook)
"""

EXAMPLES = r"""
# The history comes from VEEAM_EM_STORE, for example /var/lib/veeam_em/history.db.

- name: Read all runs of the last year
  dr_runbook.veeam_em.failover_history_info:
    created_after: 52w
  register: history

- name: Show when which plan was tested
  ansible.builtin.debug:
    msg: "{{ item.name }} at {{ item.creation_time }}: {{ item.kind }} ({{ item.kind_basis }}), {{ item.result }}"
  loop: "{{ history.failover_sessions }}"
  loop_control:
    label: "{{ item.id }}"

# noted_head is a head from a change ticket, a dictionary of sequence and hash.
- name: Export the history for the auditors, if no record was changed or removed since then
  dr_runbook.veeam_em.failover_history_info:
    expected_head: "{{ noted_head }}"
    limit: 1
    export: ~/history.jsonl
"""

RETURN = r"""
failover_sessions:
  description:
    - The newest record of each session that matches, with the facts described in
      RV(dr_runbook.veeam_em.failover_session_info#module:failover_sessions), and with those below.
    - C(progress) is V(null), since it is not recorded. Times and states of restore points are there if they were ever seen.
  returned: success
  type: list
  elements: dict
  contains:
    em_name:
      description: The Enterprise Manager.
      returned: always
      type: str
      sample: em.example.com
    seen_at:
      description: When EM showed the session like this for the first time.
      returned: always
      type: str
      sample: "2026-11-22T03:12:45.000000Z"
    tasks_kept_at:
      description: When EM listed the VMs for the last time.
      returned: if EM no longer listed any when the record was made
      type: str
      sample: "2026-11-22T03:12:45.000000Z"
    kind:
      description: V(test), V(failover), V(undo) or V(unknown).
      returned: always
      type: str
      sample: test
    kind_basis:
      description:
        - V(recorded) if the run itself or a person has recorded it.
        - V(inferred) if it follows from the states of the restore points after the run. The guide has the rules.
        - V(none) if it is unknown.
      returned: always
      type: str
      sample: inferred
    kind_reasons:
      description: Sentences that say from what it is known, or why it is not.
      returned: always
      type: list
      elements: str
    run:
      description: The newest record of this run from O(dr_runbook.veeam_em.failover_history#module:runs). V(null) if there is none.
      returned: always
      type: dict
    verdict:
      description: The newest verdict on it. V(null) if there is none.
      returned: always
      type: dict
missing_ids:
  description: GUIDs in O(id) of which the history has no session.
  returned: success
  type: list
  elements: str
  sample: []
failover_plans:
  description: The newest record of each plan in O(name), or of all plans, without commands.
  returned: success
  type: list
  elements: dict
  contains:
    em_name:
      description: The Enterprise Manager.
      returned: always
      type: str
    seen_at:
      description: When EM showed the plan like this for the first time.
      returned: always
      type: str
    deleted:
      description: Whether EM no longer listed the plan at the newest look that could read plans.
      returned: always
      type: bool
    id:
      description: GUID of the plan.
      returned: always
      type: str
    uid:
      description: URN of the plan.
      returned: always
      type: str
    name:
      description: Name of the plan.
      returned: always
      type: str
    description:
      description: Description of the plan.
      returned: always
      type: str
    tenant:
      description: The tenant with C(id) and C(name).
      returned: always
      type: dict
    backup_server:
      description: The backup server with C(id) and C(name).
      returned: always
      type: dict
    vms:
      description: The VMs with C(id), C(name) and C(order), in their start order.
      returned: always
      type: list
      elements: dict
    versions:
      description: All states of the plan that were seen, newest first.
      returned: always
      type: list
      elements: dict
      contains:
        seen_at:
          description: When it was seen like this for the first time.
          returned: always
          type: str
        digest:
          description: SHA-256 of the record.
          returned: always
          type: str
        vms:
          description: The VMs.
          returned: always
          type: list
          elements: dict
looks:
  description:
    - The newest 100 looks at each Enterprise Manager before O(created_before), newest first.
    - With O(created_after), all that were made since then.
  returned: success
  type: list
  elements: dict
  contains:
    em_name:
      description: The Enterprise Manager.
      returned: always
      type: str
    seen_at:
      description: When the look was.
      returned: always
      type: str
    user:
      description: The user.
      returned: always
      type: str
    url:
      description: Scheme, host and port.
      returned: always
      type: str
    source:
      description: V(query), or V(collection) if EM's list of 30 days was read instead.
      returned: always
      type: str
    created_after:
      description: Sessions created before were left out. V(null) if none were.
      returned: always
      type: str
    clock:
      description: V(em), or V(local) if EM did not say what time it was.
      returned: always
      type: str
    collected_at:
      description: When EM had collected what it showed. V(null) if that is not known.
      returned: always
      type: str
    complete:
      description: Whether all was read.
      returned: always
      type: bool
    missing:
      description: What could not be read, V(data_age), V(plans), V(points).
      returned: always
      type: list
      elements: str
gaps:
  description:
    - C(from) and C(to), the times of two looks at C(em_name) between which EM may have forgotten sessions. All gaps of the history are
      listed, whatever the criteria are.
    - A look from the future, made while EM's clock was ahead, ends none once there is a later record of a look.
  returned: success
  type: list
  elements: dict
notes:
  description: Notes on the sessions and plans, with C(em_name) and C(seen_at), when they were recorded. Oldest first.
  returned: success
  type: list
  elements: dict
points:
  description:
    - The restore points of the sessions, and all that were not C(Ready) when they were seen last. C(em_name), C(seen_at) (since when it is
      so), C(id), C(name), C(vm_name), C(backup_server), C(creation_time), and C(state), which is V(null) if EM no longer has the point.
  returned: success
  type: list
  elements: dict
points_seen_at:
  description:
    - When all these points were seen in these states, of several Enterprise Managers the earliest time. V(null) if that is not known.
    - It is that of the newest look that could list all points that are not C(Ready), so that all others were C(Ready) or no longer there, or
      of a later look that read each of these points.
  returned: success
  type: str
head:
  description: The newest record, as in RV(dr_runbook.veeam_em.failover_history#module:head).
  returned: success
  type: dict
  sample: {sequence: 1207, hash: 6d1b7d2f1d9f0f5f5f0d9e0e1d7a3c1b2f4a6c8e0b1d3f5a7c9e1b3d5f7a9c0e}
verified:
  description: Whether all records are as they were recorded. V(null) unless O(verify=true) or O(expected_head) is set.
  returned: always
  type: bool
problems:
  description: What does not hold, as sentences.
  returned: if O(verify=true) or O(expected_head) is set
  type: list
  elements: str
exported:
  description: Number of records that were written to O(export). V(null) without it, and in check mode.
  returned: success
  type: int
msg:
  description: What went wrong, and what to check.
  returned: failure
  type: str
  sample: There is no history yet. Record with failover_history first (/var/lib/veeam_em/history.db)
"""

from typing import Any

from ..module_utils._argspec import EM_NAMES_SPEC, OPTIONAL_CONNECTION_SPEC, SESSION_CRITERIA_SPEC, STORE_SPEC
from ..module_utils._failover.criteria import SessionCriteria
from ..module_utils._history.export import export
from ..module_utils._history.options import open_history
from ..module_utils._history.reader import HistoryReader
from ..module_utils._history.verify import verify
from ..module_utils._module import check_texts, check_times, create_module, fail_on_error

SPEC: dict[str, Any] = {
    **OPTIONAL_CONNECTION_SPEC,
    **SESSION_CRITERIA_SPEC,
    **STORE_SPEC,
    **EM_NAMES_SPEC,
    "verify": {"type": "bool", "default": False},
    "expected_head": {
        "type": "dict",
        "options": {"sequence": {"type": "int", "required": True}, "hash": {"type": "str", "required": True}},
    },
    "export": {"type": "path"},
}


def main() -> None:
    module = create_module(SPEC, supports_check_mode=True)
    params = module.params
    with fail_on_error(module, lambda: {"verified": None}):
        check_times(module)
        check_texts(module, {**STORE_SPEC, **EM_NAMES_SPEC})
        criteria = SessionCriteria.from_options(params.get)
        with open_history(params.get, read_only=True) as store:
            problems = verify(store, params["expected_head"]) if params["verify"] or params["expected_head"] else None
            if problems:
                more = f" There are {len(problems) - 1} more problems, see problems." if len(problems) > 1 else ""
                module.fail_json(
                    msg=f"The history does not hold: {problems[0]}{more} Keep the file as it is for those who will look into it, "
                    f"and restore the history from a backup. ({store.location})",
                    verified=False,
                    problems=problems,
                )
            result = HistoryReader(store, params["em_name"], module.warn).read(criteria)
            exported = export(store, params["export"]) if params["export"] and not module.check_mode else None
    verified = {"verified": None} if problems is None else {"verified": True, "problems": problems}
    module.exit_json(changed=False, exported=exported, **verified, **result)


if __name__ == "__main__":
    main()
