#!/usr/bin/python
# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_plan_info
short_description: Read cloud failover plans from Veeam Backup Enterprise Manager
version_added: 1.0.0
description:
  - Reads cloud failover plans from Veeam Backup Enterprise Manager (EM), with their tenants, backup servers and VMs.
  - It changes nothing. It logs on, reads all plans in one query if EM allows that, and always logs off.
extends_documentation_fragment:
  - dr_runbook.veeam_em._attributes
  - dr_runbook.veeam_em._attributes.info_module
  - dr_runbook.veeam_em._connection
options:
  id:
    description:
      - Ids of plans, each as GUID, URN or Href. An unknown id is not an error, see RV(missing_ids).
      - A plan must match all criteria. Several values in one criterion are alternatives.
    type: list
    elements: str
  name:
    description:
      - Name or list of names, exactly as EM shows them. Plans of two tenants may share a name.
      - A single text is not split at commas, since plan names may contain them.
      - Quote a name that YAML would read as something else, such as V('007'), V('12:30') or V('no'); a number, a time or a boolean is refused.
    type: raw
  tenant:
    description: Name or list of names of tenants, exactly as EM shows them, in the format of O(name).
    type: raw
  backup_server:
    description: Name or list of names of backup servers, exactly as EM shows them, in the format of O(name).
    type: raw
notes:
  - The commands of a plan are returned as EM gives them. If they contain passwords, the result, registered variables and, with C(-v), the
    output contain them, too. Set C(no_log=true) for the task, or better, remove the passwords from the commands.
  - A plan has no state. Only its sessions show whether it is running or was run.
seealso:
  - module: dr_runbook.veeam_em.failover_plan
  - module: dr_runbook.veeam_em.failover_session_info
author:
  - dr_runbook contributors (@dr-runbook)
"""

EXAMPLES = r"""
# The connection options come from VEEAM_EM_URL, VEEAM_EM_USERNAME and VEEAM_EM_PASSWORD, or from module_defaults of
# group/dr_runbook.veeam_em.all, which docs/quick-start.md shows.

- name: Read all plans
  dr_runbook.veeam_em.failover_plan_info:
  register: all_plans

- name: Read one plan
  dr_runbook.veeam_em.failover_plan_info:
    name: ABC Company Failover Plan
  register: found

- name: Show the start order of its VMs
  ansible.builtin.debug:
    msg: "{{ found.failover_plans[0].vms | map(attribute='name') | join(', then ') }}"

- name: Stop if the plan is missing, is not unique or may not be tested
  ansible.builtin.assert:
    that:
      - found.failover_plans | length == 1
      - "'test' in found.failover_plans[0].actions"
    quiet: true
"""

RETURN = r"""
failover_plans:
  description: The plans that match all criteria, sorted by name.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: GUID of the plan, in lower case.
      type: str
      sample: 3d1a5c94-6f0e-4ac5-9f3e-6bb0c1d6c7b2
    uid:
      description: URN of the plan as EM writes it.
      type: str
      sample: urn:veeam:CloudFailoverPlan:3d1a5c94-6f0e-4ac5-9f3e-6bb0c1d6c7b2
    name:
      description: Name of the plan.
      type: str
      sample: ABC Company Failover Plan
    description:
      description: Description of the plan. V(null) if there is none.
      type: str
      sample: Web shop, database first
    tenant:
      description: The tenant that the plan belongs to. V(null) if EM gives none.
      type: dict
      contains:
        id:
          description: GUID of the tenant.
          type: str
          sample: 0a1d6b1c-5a56-4a0b-9f1e-3f0b1c9d2e11
        name:
          description: Name of the tenant.
          type: str
          sample: ABC Company
    backup_server:
      description: The backup server that holds the plan. V(null) if EM gives none.
      type: dict
      contains:
        id:
          description: GUID of the backup server in EM.
          type: str
          sample: 8fff3b8e-c3f1-4ef5-aecc-561f07bf9982
        name:
          description: Name of the backup server as EM shows it.
          type: str
          sample: 172.17.53.48
    pre_command:
      description: Script that runs before the failover.
      type: dict
      contains:
        enabled:
          description: Whether it is enabled. V(null) if EM does not say.
          type: bool
          sample: true
        command:
          description: The script, as EM gives it. It may contain secrets. V(null) if there is none.
          type: str
          sample: C:\scripts\before.ps1
    post_command:
      description: Script that runs after the failover.
      type: dict
      contains:
        enabled:
          description: Whether it is enabled. V(null) if EM does not say.
          type: bool
          sample: false
        command:
          description: The script, as EM gives it. It may contain secrets. V(null) if there is none.
          type: str
          sample: C:\scripts\after.ps1
    vms:
      description: The VMs in their start order.
      type: list
      elements: dict
      contains:
        id:
          description: Id of the VM in the plan, as EM gives it.
          type: str
          sample: 6a3f1c70-6a5e-4a11-9be5-0a4b2c4f8a10
        name:
          description: Name of the VM.
          type: str
          sample: filesrv03
        order:
          description: Position in the start order, from 0. V(null) if EM gives none.
          type: int
          sample: 0
    actions:
      description: Those of V(start), V(test) and V(undo) that EM offers a link for. A missing one may mean a missing permission (assumed).
      type: list
      elements: str
      sample: [start, test, undo]
missing_ids:
  description:
    - GUIDs in O(id) that EM does not know. That is not an error.
    - A GUID is reported only after EM returned a list of plans without it.
  returned: success
  type: list
  elements: str
  sample: []
error:
  description: What went wrong, for playbooks to branch on. RV(msg) has the sentence for people.
  returned: failure, unless an option is invalid or the run was interrupted
  type: dict
  contains:
    kind:
      description:
        - V(auth), V(permission), V(not_found), V(connection), V(tls), V(timeout), V(protocol) or V(server), as in
          M(dr_runbook.veeam_em.failover_session_info).
      returned: always
      type: str
      sample: permission
    status:
      description: HTTP status of the response that caused the failure. V(null) if none did, as with V(connection), V(tls) and V(timeout).
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
    Read cloud failover plans failed: em.example.com:9398 answered with HTTP 403 and the message 'Access is denied'. Check that DR\robot has the
    role VM Restore Operator in Enterprise Manager (Portal Administrator may do everything); one account can have several roles.
    (https://em.example.com:9398/api/cloud/cloudFailoverPlans?format=Entity)
"""

from typing import Any

from ..module_utils._connection import client_from_module
from ..module_utils._failover.plans import PlanCriteria, PlanReader
from ..module_utils._module import check_times, create_module, fail_on_error

SPEC: dict[str, Any] = {
    "id": {"type": "list", "elements": "str"},
    # Names are raw: a text would be made of a number, and a list split at commas.
    "name": {"type": "raw"},
    "tenant": {"type": "raw"},
    "backup_server": {"type": "raw"},
}


def main() -> None:
    module = create_module(SPEC, supports_check_mode=True)
    with fail_on_error(module):
        check_times(module)
        criteria = PlanCriteria.from_options(module.params.get)
        with client_from_module(module) as client:
            result = PlanReader(client).list_plans(criteria)
        module.exit_json(changed=False, failover_plans=result.plans, missing_ids=result.missing_ids)


if __name__ == "__main__":
    main()
