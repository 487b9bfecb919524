#!/usr/bin/python
# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: failover_history
short_description: Record what Veeam Backup Enterprise Manager shows, before it forgets
version_added: 1.0.0
description:
  - Looks at Veeam Backup Enterprise Manager (EM) once, and records its cloud failover sessions with their VMs, its cloud failover plans
    without their commands, and the states of the restore points that the VMs used. EM lists sessions of the last 30 days, keeps
    13 weeks by default, and may drop the VMs of a run when it ends. Auditors ask for years.
  - It also records what a playbook hands over, its own runs, verdicts, and notes of people such as approvals, findings and waivers.
  - It changes nothing in EM. The history is append-only, and each record contains the hash of the one before it.
  - Run it every hour, and at least every 30 days. M(dr_runbook.veeam_em.failover_history_info) reads the history.
extends_documentation_fragment:
  - dr_runbook.veeam_em._attributes
  - dr_runbook.veeam_em._connection
  - dr_runbook.veeam_em._history
attributes:
  check_mode:
    support: full
    details: Reads EM and returns what would be recorded. Checks that it could be, but leaves nothing in the history and creates no file.
  diff_mode:
    support: none
  idempotent:
    support: full
    details: Each look is recorded, which does not count as a change.
options:
  url:
    required: false
  username:
    required: false
  password:
    required: false
  em_name:
    description:
      - What to call this Enterprise Manager in the history. By default, the host of O(url).
      - Keep it when EM moves to another host. Records of one EM under two names are those of two Enterprise Managers.
    type: str
  look:
    description:
      - Whether to look at EM. That requires O(url), O(username) and O(password).
      - With V(false), only what is handed over is recorded, no request is sent, and of these only O(url) is required, unless O(em_name) is
        set. The time of the records is then that of this machine's clock.
    type: bool
    default: true
  created_after:
    description:
      - Look only at sessions created at this time or later. ISO 8601 with a time zone, or an age such as V(7d). By default, at all
        that EM shows.
      - If it leaves out what was created since the last look, that is a gap.
    type: str
  page_size:
    description: Number of sessions per request, from 1 to 1000. All pages are read.
    type: int
    default: 100
  runs:
    description:
      - What this playbook has done, one dictionary for each run.
      - It needs C(session_id), the session of the run, and C(action), V(start), V(test) or V(undo), as
        M(dr_runbook.veeam_em.failover_plan) returns it.
      - Give C(session_source), too. With V(inferred), the session may be that of another run, so the run does not count as evidence of
        its kind.
      - All else is up to you, for example C(operator), C(change_id), C(job), C(checks). If C(undo.done) is V(true), the run was undone.
    type: list
    elements: dict
  verdicts:
    description:
      - Verdicts on runs, as the filter P(dr_runbook.veeam_em.failover_verdict#filter) returns them.
    type: list
    elements: dict
  notes:
    description:
      - Notes of people. Each is a dictionary with C(type), C(by) (who says it), C(text), and either C(session_id) or C(plan) (id or name).
      - C(type) is V(approval), V(comment), V(finding), V(waiver) or V(kind).
      - A V(finding) also needs C(severity), C(action), C(owner) and C(due).
      - A V(waiver) also needs C(until), when it ends.
      - A V(kind) says what kind of run a session was, and also needs C(kind), which is V(test), V(failover) or V(undo).
      - C(due) and C(until) are a date (V('2027-03-31')) or an ISO 8601 time with a time zone.
      - A note cannot be edited. To correct it, add another one.
    type: list
    elements: dict
  import_from:
    description:
      - A file that O(dr_runbook.veeam_em.failover_history_info#module:export) has written, to create O(store) from it, for example to move from
        a file to PostgreSQL. There must be no history in O(store) yet. EM is not contacted. Do not combine it with other options.
    type: path
notes:
  - If the sessions cannot be read completely, the task fails and nothing is recorded. If this user may not read plans, restore points or
    the age of EM's data, the rest is recorded, the look is marked as incomplete, and a warning names the missing role.
  - A session that goes on is recorded again when it has changed. If EM drops its VMs at the end, the last list is kept.
  - The passwords and tokens of the task, passwords in URLs, and the commands of plans are never recorded, even if they are handed over.
author:
  - dr_runbook contributors (@dr-runbook)
"""

EXAMPLES = r"""
# The connection options come from VEEAM_EM_URL, VEEAM_EM_USERNAME and VEEAM_EM_PASSWORD, and the history from VEEAM_EM_STORE, for
# example /var/lib/veeam_em/history.db.

- name: Record what Enterprise Manager shows
  dr_runbook.veeam_em.failover_history:
  register: recorded

- name: Warn if EM may have forgotten sessions since the last look
  ansible.builtin.debug:
    msg: "Nobody looked from {{ recorded.gap['from'] }} to {{ recorded.gap['to'] }}"
  when: recorded.gap is not none

- name: Show the head, for the change ticket
  ansible.builtin.debug:
    msg: "Record {{ recorded.head.sequence }}: {{ recorded.head.hash }}"

# failover_session_id is the id of a session, passed on by an earlier job or task.
- name: Note the approval of a test, and what it found
  dr_runbook.veeam_em.failover_history:
    look: false
    notes:
      - type: approval
        session_id: "{{ failover_session_id }}"
        by: J. Doe
        text: CHG0042 approved
      - type: finding
        session_id: "{{ failover_session_id }}"
        by: J. Doe
        text: filesrv03 took 40 minutes to start
        severity: medium
        action: Add a second disk controller
        owner: Storage team
        due: "2027-03-31"
"""

RETURN = r"""
changed:
  description: Whether anything was recorded that the history did not have. The look itself does not count.
  returned: always
  type: bool
recorded:
  description: Number of new records by kind. In check mode, those that would be recorded.
  returned: success
  type: dict
  sample: {look: 1, session: 2, plan: 0, points: 9, run: 0, verdict: 0, note: 0}
  contains:
    look:
      description: V(1), or V(0) with O(look=false).
      returned: always
      type: int
    session:
      description: Sessions that are new or have changed.
      returned: always
      type: int
    plan:
      description: Plans that are new, have changed, or are no longer listed.
      returned: always
      type: int
    points:
      description: Restore points that are new or whose state has changed.
      returned: always
      type: int
    run:
      description: Those of O(runs) that were not in the history.
      returned: always
      type: int
    verdict:
      description: Those of O(verdicts) that were not in the history.
      returned: always
      type: int
    note:
      description: Those of O(notes) that were not in the history.
      returned: always
      type: int
head:
  description:
    - The newest record of the history. Note it where nobody can change it, for example in the change ticket. With it,
      O(dr_runbook.veeam_em.failover_history_info#module:expected_head) finds that records were removed later.
  returned: success
  type: dict
  contains:
    sequence:
      description: Its number, V(0) in an empty history.
      returned: always
      type: int
      sample: 1207
    hash:
      description: Its hash, 64 hexadecimal digits.
      returned: always
      type: str
      sample: 6d1b7d2f1d9f0f5f5f0d9e0e1d7a3c1b2f4a6c8e0b1d3f5a7c9e1b3d5f7a9c0e
gap:
  description:
    - The times of the last look and of this one, if EM may have forgotten sessions in between, that is if they are more than 30 days
      apart, or if O(created_after) is later than the last look. V(null) if there is no gap.
  returned: success
  type: dict
  sample: {from: "2026-09-01T04:00:00.000000Z", to: "2026-11-22T03:12:45.000000Z"}
error:
  description: As in M(dr_runbook.veeam_em.failover_session_info). A problem with the history has none.
  returned: if EM could not be read
  type: dict
  sample: {kind: permission, status: 403, message: Access is denied}
msg:
  description: What was tried, what went wrong, and what to check.
  returned: failure
  type: str
  sample: >-
    The folder /var/lib/veeam_em of the history does not exist. Create it, or give another file (/var/lib/veeam_em/history.db)
"""

from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

from ..module_utils._api.client import EnterpriseManager
from ..module_utils._api.errors import OptionError
from ..module_utils._api.redaction import Redactor
from ..module_utils._argspec import OPTIONAL_CONNECTION_SPEC, STORE_SPEC
from ..module_utils._connection import client_from_module
from ..module_utils._failover.criteria import SessionCriteria
from ..module_utils._failover.times import format_time, utc_now
from ..module_utils._history.bodies import masked
from ..module_utils._history.errors import NoHistoryError, OvertakenError
from ..module_utils._history.export import import_records
from ..module_utils._history.handed_over import handed_over
from ..module_utils._history.options import name_of_em, open_history, store_location
from ..module_utils._history.recorder import Recorder
from ..module_utils._history.records import FIRST_HASH, KINDS, NewRecord
from ..module_utils._history.store import Store
from ..module_utils._module import Module, check_texts, create_module, fail_on_error

SPEC: dict[str, Any] = {
    **OPTIONAL_CONNECTION_SPEC,
    **STORE_SPEC,
    "em_name": {"type": "str"},
    "look": {"type": "bool", "default": True},
    "created_after": {"type": "str"},
    "page_size": {"type": "int", "default": 100},
    "runs": {"type": "list", "elements": "dict"},
    "verdicts": {"type": "list", "elements": "dict"},
    "notes": {"type": "list", "elements": "dict"},
    "import_from": {"type": "path"},
}
EMPTY = {"sequence": 0, "hash": FIRST_HASH}
"""The head of a history without records."""


def main() -> None:
    module = create_module(SPEC, supports_check_mode=True)
    with fail_on_error(module, lambda: {"changed": False}):
        check_texts(module, {**STORE_SPEC, "em_name": SPEC["em_name"]})
        result = _import(module) if module.params["import_from"] else None
        while result is None:
            with suppress(OvertakenError):
                result = _record(module)
    module.exit_json(**result)


def _record(module: Module) -> dict[str, Any]:
    """Look at EM if that is wanted, and record what was seen and what was handed over."""
    option = module.params.get
    client = client_from_module(module) if option("look") else None
    em_name = name_of_em(option("em_name"), option("url"))
    criteria = SessionCriteria.from_options(option)
    handed = handed_over(em_name, format_time(utc_now()) or "", option)
    seen: list[NewRecord] = []
    gap = None
    with ExitStack() as stack:
        store = _open(module)
        if store:
            stack.enter_context(store).check_writable()
        recorder = Recorder(store, em_name)
        if client:
            with client:
                look = recorder.look(client, criteria)
            gap, seen = look.gap, look.records
            handed = [replace(record, at=look.at) for record in handed]
        records = [*seen, *_without_secrets(module, client, handed)]
        counts = recorder.append(records, keep=not module.check_mode)
        head = store.head() if store else EMPTY
    recorded = {kind: counts.get(kind, 0) for kind in KINDS}
    return {"changed": any(recorded[kind] for kind in KINDS[1:]), "recorded": recorded, "head": head, "gap": gap}


def _without_secrets(module: Module, client: EnterpriseManager | None, records: list[NewRecord]) -> list[NewRecord]:
    """What was handed over, without the secrets of this task."""
    redactor = Redactor()
    redactor.add(*(module.params[name] or "" for name in ("password", "store_password")))

    def mask(text: str) -> str:
        text = redactor.mask_secrets(text)
        return client.mask_secrets(text) if client else text

    return [replace(record, body=masked(record.body, mask)) for record in records]


def _open(module: Module) -> Store | None:
    """The history; None in check mode if there is none yet."""
    if not module.check_mode:
        return open_history(module.params.get, create=True)
    try:
        return open_history(module.params.get)
    except NoHistoryError:
        return None


def _import(module: Module) -> dict[str, Any]:
    """Create the history from an export."""
    params = module.params
    for name in ("runs", "verdicts", "notes"):
        if params[name]:
            raise OptionError(name, params[name], "import_from records nothing else; hand it over in another task.")
    counts, head = import_records(params["import_from"], *store_location(params.get), keep=not module.check_mode)
    return {"changed": True, "recorded": {kind: counts.get(kind, 0) for kind in KINDS}, "head": head, "gap": None}


if __name__ == "__main__":
    main()
