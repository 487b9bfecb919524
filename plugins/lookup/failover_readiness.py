# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: failover_readiness
short_description: Look up whether cloud failover plans are ready, as a gate for changes
version_added: 1.0.0
description:
  - Reads the history that M(dr_runbook.veeam_em.failover_history) has recorded, judges it as
    P(dr_runbook.veeam_em.failover_readiness#filter) does, and returns the plans that are asked for.
  - It contacts no Enterprise Manager (EM), and changes nothing.
  - You get each plan, or an error. A plan that the history does not know, a name of several plans, and a history that was changed are
    errors, so that a gate stays shut.
extends_documentation_fragment:
  - dr_runbook.veeam_em._history
  - dr_runbook.veeam_em._history.em_names
  - dr_runbook.veeam_em._history.plugin
options:
  _terms:
    description:
      - Names of plans, exactly as EM shows them, or their ids, where several have the same name. A term can be a list of them.
      - Quote a name that YAML would read as something else, such as V('007') or V('no'); a number, a time or a boolean is refused.
    type: list
    elements: str
    required: true
  policy:
    description: How often which plan has to be tested, see O(dr_runbook.veeam_em.failover_readiness#filter:policy).
    type: dict
    required: true
  now:
    description:
      - The time to judge at, with a zone, such as V(2026-11-28T20:00:00Z).
      - By default, the time of the controller's clock.
    type: str
  tenant:
    description: Only plans of the tenant with this name, since several may have plans with the same name.
    type: str
  verify:
    description:
      - Whether to check all records and their hash chain first, as O(dr_runbook.veeam_em.failover_history_info#module:verify) does.
        If they do not hold, it is an error.
      - Records that were removed from the end are only found with
        O(dr_runbook.veeam_em.failover_history_info#module:expected_head).
    type: bool
    default: true
notes:
  - R(lookup,query) unwraps a list of one plan. Use C(query) if you always want a list.
  - A variable that contains a lookup runs it each time the variable is used, and each call reads the whole history. Ask for several plans in
    one call.
  - It runs on the controller, and so must the history be within its reach. In AWX, use PostgreSQL.
seealso:
  - plugin: dr_runbook.veeam_em.failover_readiness
    plugin_type: filter
  - name: Guide to readiness
    description: All rules and statuses, and gates for changes.
    link: https://github.com/dr-runbook/veeam_em/blob/main/docs/readiness.md
  - name: Codes and metrics
    description: All reason codes.
    link: https://github.com/dr-runbook/veeam_em/blob/main/docs/codes.md
author:
  - dr_runbook contributors (@dr-runbook)
"""

EXAMPLES = r"""
# The history comes from VEEAM_EM_STORE of the controller's environment, or from the variable veeam_em_store.
# policy is a dictionary, such as {plans: [{match: "*", test_every: 90d, grace: 10d}]}.

- name: Refuse the change unless the plan has passed a test within its policy
  ansible.builtin.assert:
    that: plan.status in ['ready', 'due']
    fail_msg: "{{ plan.name }} is {{ plan.status }}. {{ plan.reasons | map(attribute='text') | join(' ') }}"
  vars:
    plan: "{{ lookup('dr_runbook.veeam_em.failover_readiness', 'Acme Web', policy=policy) }}"

- name: Show which of two plans to test next
  ansible.builtin.debug:
    msg: "{{ query('dr_runbook.veeam_em.failover_readiness', 'Acme ERP', 'Acme Web', policy=policy)
      | rejectattr('status', 'eq', 'ready') | map(attribute='name') | list }}"
"""

RETURN = r"""
_raw:
  description:
    - The plans, in the order of the terms, each as in RV(dr_runbook.veeam_em.failover_readiness#filter:_value.plans), of which the sample
      shows some.
  type: list
  elements: dict
  sample:
    - em_name: em.example.com
      name: Acme Web
      status: due
      reasons:
        - code: due
          vm: null
          text: The next test is due by 2026-12-01 08:18 UTC; overdue after 2026-12-11 08:18 UTC (grace of 10 d included).
      next_due: "2026-12-01T08:18:40.000000Z"
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible.utils.unsafe_proxy import wrap_var

from ..module_utils._api.errors import OptionError
from ..module_utils._api.redaction import single_line, some_of, truncate
from ..module_utils._failover.criteria import SessionCriteria
from ..module_utils._failover.names import MAX_NAME, did_you_mean
from ..module_utils._failover.times import format_time, utc_now
from ..module_utils._history.errors import HistoryError
from ..module_utils._history.options import open_history
from ..module_utils._history.reader import HistoryReader
from ..module_utils._history.verify import verify
from ..module_utils._readiness.policy import read_policies
from ..module_utils._readiness.status import readiness
from ..plugin_utils._plain import plain
from ..plugin_utils._plugin import fail_on_error, flat_terms, set_options

NAMES = "Give the names of plans, exactly as Enterprise Manager shows them."
MAX_SHOWN = 3
"""Plans of one name that are named in a sentence."""


class LookupModule(LookupBase):
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        with fail_on_error(AnsibleLookupError):
            policy = plain("policy", kwargs.get("policy"))
            read_policies(policy)  # before the history, which takes longer
            set_options(self, variables or {}, kwargs)
            names = flat_terms(terms, NAMES)
            if not names:  # an empty answer would let everything pass
                raise OptionError("term", None, NAMES)
            now = self.get_option("now") or format_time(utc_now())
            with open_history(self.get_option, read_only=True) as store:
                problems = verify(store) if self.get_option("verify") else []
                if problems:
                    hint = "Nothing is judged by it. Keep it as it is for those who will look into it, and restore it from a backup"
                    raise HistoryError(f"The history does not hold: {problems[0][:-1]}", hint, store.location)
                # Read whole, as for the filter: runs of other plans say what a restore point that is not Ready belongs to.
                reader = HistoryReader(store, self.get_option("em_name"))
                history = reader.read(SessionCriteria.from_options({}.get))
            plans = readiness(history, policy, now)["plans"]
            tenant = self.get_option("tenant")
            if tenant:
                plans = [plan for plan in plans if (plan["tenant"] or {}).get("name") == tenant]
            return [wrap_var(_only(plans, name, store.location)) for name in names]


def _only(plans: list[dict[str, Any]], name: str, location: str) -> dict[str, Any]:
    """The one plan of this name or id."""
    found = [plan for plan in plans if name in (plan["name"], plan["id"])]
    if len(found) == 1:
        return found[0]
    shown = truncate(single_line(repr(name)), MAX_NAME)
    if found:
        those = some_of([f"{plan['id']} ({_owner(plan)})" for plan in found], MAX_SHOWN)
        hint = "Give em_name or tenant, or an id instead of the name."
        raise AnsibleLookupError(f"{len(found)} plans are named {shown}: {those}. {hint} ({location})")
    meant = did_you_mean(name, {plan["name"] or "": str(plan["id"]) for plan in plans})
    hint = meant or "Give the name exactly as Enterprise Manager shows it, and check em_name, tenant and store."
    raise AnsibleLookupError(
        f"The history has no plan named {shown} that Enterprise Manager still lists. {hint} ({location})"
    )


def _owner(plan: dict[str, Any]) -> str:
    names = [(plan[key] or {}).get("name") for key in ("tenant", "backup_server")]
    return truncate(single_line(", ".join(filter(None, [*names, plan["em_name"]]))), 2 * MAX_NAME)
