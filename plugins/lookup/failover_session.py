# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: failover_session
short_description: Look up cloud failover sessions of Veeam Backup Enterprise Manager
version_added: 1.0.0
description:
  - Looks up cloud failover sessions in Veeam Backup Enterprise Manager (EM) by plan name, by id or by other criteria,
    and returns the facts of P(dr_runbook.veeam_em.failover_session_info#module).
  - It changes nothing. It logs on once for all terms, reads as few pages as the criteria allow, and always logs off.
  - You get every matching session that EM lists, or an error, never a partial answer.
extends_documentation_fragment:
  - dr_runbook.veeam_em._connection
  - dr_runbook.veeam_em._connection.plugin
  - dr_runbook.veeam_em._session_criteria
  - dr_runbook.veeam_em._data_age
  - dr_runbook.veeam_em._history
  - dr_runbook.veeam_em._history.em_names
  - dr_runbook.veeam_em._history.source
  - dr_runbook.veeam_em._history.plugin
options:
  _terms:
    description:
      - What to look up. Each term is the name of a plan, exactly as EM shows it, or the id of a session as GUID, as URN or as Href.
      - Quote a name that YAML would read as something else, such as V('007'), V('12:30') or V('no'); a number, a time or a boolean is refused.
      - Sessions are returned in the order of the terms, and within a term in O(sort_order). A term without a matching session
        is an error, unless you set O(default).
      - A term can be a list of terms. An empty list is refused, whereas without any terms the criteria alone select. So pass a
        variable with names as one term, C(plans), not as C(*plans), which is no term at all if the list is empty.
    type: list
    elements: str
  id:
    description: Ids of sessions, as an alternative to terms. Do not give both.
  name:
    description: Names of plans, as an alternative to terms. Do not give both.
  limit:
    description: With terms, it applies to each term.
  latest:
    description:
      - Only the newest session for each term that matches the other criteria. Without terms, only the newest of all.
      - So with O(latest=true) and O(result=Failed) you get a plan's newest failed run. To check only its newest run, whatever its result,
        use O(latest_per_plan).
    type: bool
    default: false
  default:
    description:
      - The value to return for a term that matches nothing, or instead of an empty answer if there are no terms.
      - V(none) is a value, too. Errors of EM, such as a wrong password, remain errors.
    type: raw
notes:
  - R(lookup,query) unwraps a list of one session. Use C(query) if you always want a list.
  - A variable that contains a lookup runs it each time the variable is used, with a logon each time. If you need the answer
    twice, store it with M(ansible.builtin.set_fact), or use M(dr_runbook.veeam_em.failover_session_info).
  - It runs on the controller, so install the Python libraries there. The logon comes from there, too.
  - A criterion that is null is refused, so that a value that a runbook did not find does not select everything. With O(result), write
    C('None') in quotes for sessions without a result. C(omit) leaves an option out.
  - Veeam documents that EM lists the sessions of the last 30 days. The notes of P(dr_runbook.veeam_em.failover_session_info#module) explain
    what a session shows and what it does not.
seealso:
  - plugin: dr_runbook.veeam_em.failover_session_info
    plugin_type: module
  - plugin: dr_runbook.veeam_em.failover_session
    plugin_type: inventory
  - name: Guide to the lookup
    description: When a lookup runs, what it costs, and how to store its answer.
    link: https://github.com/dr-runbook/veeam_em/blob/main/docs/inventory.md
author:
  - dr_runbook contributors (@dr-runbook)
"""

EXAMPLES = r"""
# The connection options come from VEEAM_EM_URL, VEEAM_EM_USERNAME and VEEAM_EM_PASSWORD of the controller's environment, or
# from the variables veeam_em_url, veeam_em_username, veeam_em_password and so on.

- name: Show how the newest run of a plan ended
  ansible.builtin.debug:
    msg: "{{ lookup('dr_runbook.veeam_em.failover_session', 'ABC Company Failover Plan', latest=true).result }}"

- name: Store the newest runs of two plans, so that EM is queried only once
  ansible.builtin.set_fact:
    newest_runs: "{{ query('dr_runbook.veeam_em.failover_session', plans, latest=true) }}"
  vars:
    plans:
      - ABC Company Failover Plan
      - UCM Company Full SIte Failover

- name: Stop the runbook unless both succeeded
  ansible.builtin.assert:
    that: newest_runs | map(attribute='succeeded') | list == [true, true]
    fail_msg: "{{ newest_runs | rejectattr('succeeded', 'eq', true) | map(attribute='name') | join(', ') }} did not succeed"
  ignore_errors: true

# failover_session_id is the id of a session, passed on by an earlier job or task.
- name: Look up one session by its id
  ansible.builtin.debug:
    msg: "{{ lookup('dr_runbook.veeam_em.failover_session', failover_session_id).creation_time }}"

- name: Show the failed VMs of the last week
  ansible.builtin.debug:
    msg: "{{ item.1.vm_name }}: {{ item.1.failure_message }}"
  loop: "{{ query('dr_runbook.veeam_em.failover_session', result=['Warning', 'Failed'], created_after='7d')
    | subelements('tasks') | selectattr('1.result', 'eq', 'Failed') }}"
  loop_control:
    label: "{{ item.0.name }}"

- name: Handle a plan that has never run, without an error
  ansible.builtin.debug:
    msg: "{{ run.creation_time | default('never run') }}"
  vars:
    run: "{{ lookup('dr_runbook.veeam_em.failover_session', 'A plan without runs', latest=true, default={}) }}"

# The history comes from VEEAM_EM_STORE of the controller's environment, or from the variable veeam_em_store.
- name: Show how many runs of a plan the history has, which goes back further than EM
  ansible.builtin.debug:
    msg: "{{ query('dr_runbook.veeam_em.failover_session', 'ABC Company Failover Plan', source='history', default=none) | length }}"

- name: Show the running plans, unless EM's copy of the data is older than 20 minutes
  ansible.builtin.debug:
    msg: "{{ query('dr_runbook.veeam_em.failover_session', state=['Starting', 'Working', 'Stopping'], max_data_age='20m')
      | map(attribute='name') | list }}"
"""

RETURN = r"""
_raw:
  description:
    - The sessions found, in the order of the terms, with all facts described in
      RV(dr_runbook.veeam_em.failover_session_info#module:failover_sessions), of which the sample shows some.
    - For a term that matches nothing, the value of O(default).
  type: list
  elements: dict
  sample:
    - id: 475420ee-d045-4493-9869-0a970e08f6f9
      name: ABC Company Failover Plan
      state: Stopped
      result: Success
      creation_time: "2015-12-07T17:38:16.000000Z"
      duration: 80.0
      finished: true
      succeeded: true
      tasks: [{vm_name: filesrv03, state: Stopped, result: Success, duration: 71.0}]
"""

from dataclasses import replace
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.unsafe_proxy import wrap_var

from ..module_utils._api.errors import OptionError
from ..module_utils._connection import client_from_options
from ..module_utils._failover.criteria import SessionCriteria, guid_of_session
from ..module_utils._failover.data_age import DataAgeReader, max_age
from ..module_utils._failover.facts import Session
from ..module_utils._failover.plans import PlanReader
from ..module_utils._failover.sessions import SessionReader
from ..module_utils._history.reader import HistoryReader, open_instead_of_em
from ..plugin_utils._plugin import fail_on_error, flat_terms, set_options


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        with fail_on_error(AnsibleLookupError):
            set_options(self, variables or {}, kwargs)
            criteria = SessionCriteria.from_options(self.get_option)
            limit = max_age(self.get_option("max_data_age"))
            if self.get_option("latest"):
                criteria = replace(criteria, limit=1, descending=True)
            terms = flat_terms(terms, "Give the name of a plan, or the id of a session as GUID, URN or Href.")
            keys = [("id", guid) if (guid := guid_of_session(term)) else ("name", term) for term in terms]
            if keys and (criteria.ids or criteria.names):
                name = "id" if criteria.ids else "name"
                accepted = "Give plan names and ids as terms or as options, not both."
                raise OptionError(name, self.get_option(name), accepted)
            meant = ""
            if self.get_option("source") == "history":
                with open_instead_of_em(self.get_option, self._display.warning) as reader:
                    found = _read(reader, criteria, keys)
                where = f"in the history {reader.location}"
            else:
                with client_from_options(self.get_option, self._display.warning) as client:
                    if limit:
                        DataAgeReader(client).read(limit)
                    found = _read(SessionReader(client), criteria, keys)
                    unknown = [value for (kind, value), sessions in zip(keys, found) if kind == "name" and not sessions]
                    if unknown and "default" not in kwargs and (similar := PlanReader(client).similar_names(unknown)):
                        meant = f"{similar} "
                where = f"on {client.base_url}"
            missing = [repr(term) for term, sessions in zip(terms, found) if not sessions]
            if missing and "default" not in kwargs:
                raise AnsibleLookupError(
                    f"No cloud failover session found for {', '.join(missing)} {where}. {meant}A plan name must be written "
                    "as EM shows it, with its case and spaces, and all other criteria must hold too. Give default to go on without a session."
                )
            default = [kwargs["default"]] if "default" in kwargs else []
            return [item for sessions in found for item in (wrap_var(sessions) if sessions else default)]


def _read(
    reader: SessionReader | HistoryReader, criteria: SessionCriteria, keys: list[tuple[str, str]]
) -> list[list[Session]]:
    """The sessions for each key, read with as few queries as possible; without keys, all in one list."""
    if not keys:
        return [reader.list_sessions(criteria).sessions]
    names = list(dict.fromkeys(value for kind, value in keys if kind == "name"))
    ids = tuple(dict.fromkeys(value for kind, value in keys if kind == "id"))
    # A limit counts for each name, and spares EM the rest.
    batches = [[name] for name in names] if criteria.limit else [names] if names else []
    queries = [replace(criteria, names=frozenset(batch)) for batch in batches]
    if ids:
        queries.append(replace(criteria, ids=ids, limit=None))
    found: dict[tuple[str, str | None], list[Session]] = {}
    for query in queries:
        for session in reader.list_sessions(query).sessions:
            key = ("name", session["name"]) if query.ids is None else ("id", session["id"])
            found.setdefault(key, []).append(session)
    return [found.get(key, []) for key in keys]
