# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: failover_session
short_description: VMs of cloud failover sessions of Veeam Backup Enterprise Manager as hosts
version_added: 1.0.0
description:
  - Adds each VM of the selected cloud failover sessions as a host, with its facts from the session as host variables. The next job
    can then run exactly on the VMs of the last failover, or only on those that failed.
  - The inventory file must be named V(veeam_em.yml), or its name must end with V(.veeam_em.yml). V(.yaml) works, too.
  - It changes nothing. It logs on once, reads as few pages as the criteria allow, and always logs off. With a cache, it
    queries Enterprise Manager (EM) only if the cache has no answer, or if C(--flush-cache) or C(meta=refresh_inventory) requests a new one.
extends_documentation_fragment:
  - dr_runbook.veeam_em._connection
  - dr_runbook.veeam_em._connection.plugin
  - dr_runbook.veeam_em._session_criteria
  - dr_runbook.veeam_em._data_age
  - dr_runbook.veeam_em._history
  - dr_runbook.veeam_em._history.em_names
  - dr_runbook.veeam_em._history.source
  - dr_runbook.veeam_em._history.plugin
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: Marks the file as an inventory of this plugin.
    type: str
    required: true
    choices:
      - dr_runbook.veeam_em.failover_session
  id:
    description:
      - Sessions with these ids, each as GUID, as URN or as Href. An id that EM does not know is an error here, since a play
        without hosts would look like a success.
      - Also set O(latest_per_plan=false), unless you want the sessions only if they are the newest of their plans. A warning names the
        sessions left out.
  latest_per_plan:
    description:
      - Only the newest session of each plan, so that a host shows the newest run of its plan. A plan is a name on a backup server.
      - The session must match the other criteria, too. So with O(result=Failed) you get the plans whose newest run failed, not the newest
        failed run of each plan.
    default: true
  sort_order:
    description: Order of the sessions by creation time. With O(limit), it decides which sessions are used.
  vm_source:
    description:
      - Where the VMs of a session come from.
      - V(tasks) uses the VMs that the session lists, with the state and the result of each.
      - V(plan) uses the VMs that the plan of the same name on the same backup server has now. The result of each VM is not known then,
        so C(state), C(result) and so on of the host are null. C(session) has those of the session.
      - V(tasks_or_plan) uses the plan if a session lists no VMs. All samples of finished sessions in Veeam's documentation
        list none, and it is not known whether that is the rule. All plans are read in one query.
      - V(history) uses the VMs that the session lists, and if it lists none, those that O(store) has of it, as they were when EM listed them
        for the last time (C(session.tasks_kept_at)). In the history, EM is O(em_name), by default the host of O(url).
      - If there is no plan of that name on that backup server, or more than one, the session gives no hosts, with a warning.
      - Reading plans needs the role VM Restore Operator or Portal Administrator in Enterprise Manager. For other users, for example with
        Portal User only, V(tasks_or_plan) uses the sessions that list VMs. The others give no hosts, and one warning names them. That is
        an error if O(strict=true) or if no session lists VMs. V(plan) is an error for such users, and V(tasks) reads no plans.
    type: str
    choices:
      - tasks
      - history
      - plan
      - tasks_or_plan
    default: tasks_or_plan
  hostname:
    description:
      - Jinja expression for the host name, with the host variables listed in the examples. By default, the name of the VM.
      - VMs with the same host name are one host. The VM of the newer session wins, with a warning, or with an error if O(strict=true).
        If two tenants have VMs of the same name, use an expression that makes host names unique. Names that differ only in case or
        Unicode form count as the same.
      - Names that mean something else give no hosts, with a warning, or with an error if O(strict=true). These are names of the controller
        (V(localhost), V(127.0.0.1), V(::1)), of groups, of hosts of other sources, of files with variables (V(../x), V(db01.yml)), names that
        start with V(-), look like templates, end like a port (V(db:22)), or have invisible characters.
    type: str
  hostvars_prefix:
    description: Prefix of all host variables.
    type: str
    default: veeam_
  max_data_age:
    description:
      - An answer in the cache counts with the age that its data had when it was read plus the time since then. If that is more, or is not
        known, EM is queried in spite of the cache.
notes:
  - Connection options and criteria can be templates with extra variables (C(ansible-playbook -e), C(ansible-inventory -e)). An undefined
    variable is an error, and so is a criterion that is null.
  - If an inventory cannot be read, Ansible warns and continues without its hosts. Set
    E(ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED=true), so that a wrong password does not look like a failover without VMs.
  - The cache stores EM's answer before groups and variables are created, so changes to O(groups), O(compose) or O(hostname) apply at once.
    There is one cache entry per URL, user and criteria. It contains no password and no token.
  - Without O(groups) and O(keyed_groups) the hosts are in no group.
  - Plans or backup servers whose names differ only in characters that group names cannot have share a group of O(keyed_groups). A warning
    names it. Use an id as key to tell them apart.
  - Without C(ansible_host), DNS decides which machine the name of a VM means. Set it with O(compose), in a domain of the tenants. If such an
    address means the controller, the VM gives no host, with a warning, or with an error if O(strict=true).
  - Veeam documents that EM lists the sessions of the last 30 days. The notes of P(dr_runbook.veeam_em.failover_session_info#module) explain
    what a session shows and what it does not.
seealso:
  - plugin: dr_runbook.veeam_em.failover_session_info
    plugin_type: module
  - plugin: dr_runbook.veeam_em.failover_session
    plugin_type: lookup
  - name: Guide to the inventory
    description: Caching, groups for runbooks, and errors.
    link: https://github.com/dr-runbook/veeam_em/blob/main/docs/inventory.md
  - name: Guide to AWX
    description: The inventory as an inventory source, with a credential type that ships with this collection.
    link: https://github.com/dr-runbook/veeam_em/blob/main/docs/awx.md
author:
  - dr_runbook contributors (@dr-runbook)
"""

EXAMPLES = r"""
# Each document below is a separate file. In all of them the connection options come from the environment: VEEAM_EM_URL,
# VEEAM_EM_USERNAME, VEEAM_EM_PASSWORD, and VEEAM_EM_CA_PATH if the certificate needs it.

---
# veeam_em.yml: the VMs of the newest run of each plan. A host has these variables:
#
#   veeam_vm_name: filesrv03
#   veeam_vm_source: tasks          # or history; or plan: then all variables down to veeam_replica_point are null
#   veeam_state: Stopped            # of this VM: Starting, Working, Stopping or Stopped
#   veeam_result: Failed            # of this VM: Success, Warning, Failed, or the text None while it is not finished
#   veeam_failure_message: No restore point of filesrv03 is available for failover
#   veeam_creation_time: "2026-03-01T02:11:20.120000Z"
#   veeam_end_time: "2026-03-01T02:12:02.120000Z"     # null while it runs
#   veeam_duration: 42.0            # seconds, null while it runs
#   veeam_replica_point: {id: c1beab6b-2b18-47f1-9e71-354ab8a49fc2, name: "filesrv03@2026-02-28 23:00:46", creation_time: null, state: null}
#   veeam_session:                  # all facts of the session that failover_session_info returns, except its tasks
#     id: 475420ee-d045-4493-9869-0a970e08f6f9
#     uid: urn:veeam:CloudFailoverSession:475420ee-d045-4493-9869-0a970e08f6f9
#     name: ABC Company Failover Plan
#     job_type: FailoverPlan
#     state: Stopped
#     result: Warning
#     progress: 100
#     failure_message: null
#     creation_time: "2026-03-01T02:11:16.000000Z"
#     end_time: "2026-03-01T02:12:36.000000Z"
#     duration: 80.0
#     finished: true
#     succeeded: false
#     backup_server: {id: 8fff3b8e-c3f1-4ef5-aecc-561f07bf9982, name: 172.17.53.48}
#     href: /api/cloud/failoverSessions/475420ee-d045-4493-9869-0a970e08f6f9
#     task_summary: {total: 2, success: 1, warning: 0, failed: 1, running: 0, other: 0}
plugin: dr_runbook.veeam_em.failover_session

---
# runbook.veeam_em.yml: groups for a runbook, by the result of each VM, by plan and by backup server
plugin: dr_runbook.veeam_em.failover_session
strict: true
groups:
  succeeded: veeam_result == 'Success'
  warned: veeam_result == 'Warning'
  failed: veeam_result == 'Failed'
  still_running: veeam_vm_source == 'tasks' and veeam_state != 'Stopped'
  # Neither failed nor succeeded, as far as EM says. Handle it as a separate case.
  unknown: veeam_vm_source == 'plan' or (veeam_state == 'Stopped' and veeam_result not in ['Success', 'Warning', 'Failed'])
keyed_groups:
  - key: veeam_session.name
    prefix: plan
  - key: veeam_session.backup_server.name | default('unknown', true)
    prefix: backup_server
# VMs of different tenants can share a name, and so can plans on different backup servers.
hostname: >-
  veeam_vm_name ~ '.' ~ (veeam_session.name ~ '.' ~ veeam_session.backup_server.name | default('unknown', true))
  | lower | regex_replace('[^a-z0-9.]+', '-')
compose:
  ansible_host: veeam_vm_name ~ '.dr.example.com'

---
# session.veeam_em.yml: the VMs of one session, whose id an earlier job passed on as an extra variable:
#   ansible-playbook -i session.veeam_em.yml -e failover_session_id=475420ee-d045-4493-9869-0a970e08f6f9 checks.yml
plugin: dr_runbook.veeam_em.failover_session
id: "{{ failover_session_id }}"
latest_per_plan: false

---
# newest.veeam_em.yml: the VMs of the newest run of one plan, only if that run started in the last 4 hours
plugin: dr_runbook.veeam_em.failover_session
name: ABC Company Failover Plan
created_after: 4h

---
# rehearsal.veeam_em.yml: the VMs of the newest run of each plan from the history (VEEAM_EM_STORE), without Enterprise Manager
plugin: dr_runbook.veeam_em.failover_session
source: history

---
# cached.veeam_em.yml: EM is queried at most every 10 minutes. The cache outlives the run, and contains no password and no token.
# Keep it where nobody else can write, since whoever writes to it chooses the hosts.
plugin: dr_runbook.veeam_em.failover_session
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/veeam_em_inventory
cache_timeout: 600
"""

import hashlib
import json
import re
import time
from datetime import timedelta
from typing import Any

from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable, to_safe_group_name
from ansible.utils.unsafe_proxy import wrap_var

from ..module_utils._api.errors import OptionError
from ..module_utils._api.redaction import single_line
from ..module_utils._argspec import SESSION_CRITERIA_SPEC
from ..module_utils._failover.criteria import SessionCriteria
from ..module_utils._failover.data_age import max_age
from ..module_utils._failover.facts import Session, sort_key
from ..module_utils._failover.permissions import VM_RESTORE_OPERATOR
from ..plugin_utils._host_names import folded, means_controller
from ..plugin_utils._hosts import (
    BAD_ADDRESS,
    GROUP_LOOP,
    LIKE_GROUPS,
    Hosts,
    Meaning,
    list_some,
    mixed_groups,
    needs_plan,
    session_vms,
    short,
)
from ..plugin_utils._inventory_answer import WITHOUT_PLANS, Answer, read_em, read_history
from ..plugin_utils._plugin import check_options, connection_variables, fail_on_error, resolve_templates

ANSWER_FORMAT = 2
"""Part of the cache's key. Raise it when the shape of an answer or of its facts changes, so that an old one is not read."""


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    NAME = "dr_runbook.veeam_em.failover_session"

    def verify_file(self, path: str) -> bool:
        endings = ("/veeam_em.yml", "/veeam_em.yaml", ".veeam_em.yml", ".veeam_em.yaml")
        return bool(super().verify_file(path)) and path.endswith(endings)

    def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        """Called while the file is read: templates in it are resolved before the types of its options are checked."""
        if direct:
            self.templar.available_variables = self._vars
            direct = resolve_templates(direct, self.templar)
            var_options = connection_variables(self._vars, self.templar, direct)
            direct = check_options(direct, var_options, self.option_definitions)
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        with fail_on_error(AnsibleParserError):
            self._read_config_data(path)
            criteria = SessionCriteria.from_options(self.get_option)
            limit = max_age(self.get_option("max_data_age"))
            answer = self._cached(limit) if cache else None
            if answer is None:
                read = read_history if self.get_option("source") == "history" else read_em
                answer = read(self.get_option, criteria, self.display.warning)
                if self.get_option("cache"):
                    self._cache[self._key()] = answer
            self._populate(answer)

    # The cache

    def _key(self) -> str:
        """What the answer depends on, without the password: who may read a cache is decided by the file system."""
        names = ("url", "username", "vm_source", "source", "store", "em_name", *SESSION_CRITERIA_SPEC)
        options = {name: self.get_option(name) for name in names}
        text = json.dumps([ANSWER_FORMAT, options], sort_keys=True, default=str)
        return f"{self.NAME}_{hashlib.sha256(text.encode()).hexdigest()[:32]}"

    def _cached(self, limit: timedelta | None) -> Answer | None:
        if not self.get_option("cache"):
            return None
        try:
            answer: Answer = self._cache[self._key()]
            # Below 0 if this machine's clock was set back.
            if limit and not 0 <= time.time() - (answer["collected"] or 0) <= limit.total_seconds():
                return None
        except KeyError:
            return None
        except AnsibleError as exc:  # a broken file must not stop a runbook
            self.display.warning(f"The inventory cache cannot be read, so Enterprise Manager is read instead: {exc}")
            return None
        self.display.vv("Inventory from the cache; Enterprise Manager is not contacted.")
        return answer

    # Hosts

    def _populate(self, answer: Answer) -> None:
        if answer["plans"] is None:
            self._warn_without_plans(answer["sessions"])
        hosts = self._hosts(answer)
        self._meanings: dict[str, set[Meaning]] = {}
        self._groups = set(map(folded, [*self.inventory.groups, *map(to_safe_group_name, self.get_option("groups"))]))
        try:
            for host, variables in hosts.variables.items():
                # Ansible takes a host that is named like a group for the group.
                if folded(host) in self._groups:
                    hosts.leave_out(host, LIKE_GROUPS)
                elif reason := self._add_host(host, variables):
                    self._remove_host(host)
                    hosts.leave_out(host, reason)
            self._check_groups(hosts)
            for problem in hosts.problems():
                self._warn_or_fail(problem)
        except Exception:  # Ansible may go on without this inventory, and must not with a part of it
            for host in hosts.variables:
                self._remove_host(host)
            raise

    def _hosts(self, answer: Answer) -> Hosts:
        """The hosts, without contacting EM. Newer sessions come first, so that of VMs with one host name the newest wins."""
        prefix = self.get_option("hostvars_prefix")
        if not re.fullmatch(r"([A-Za-z_]\w*)?", prefix):
            accepted = "Give letters, digits and underscores, not starting with a digit."
            raise OptionError("hostvars_prefix", prefix, accepted)
        hosts = Hosts({folded(host) for host in self.inventory.hosts})
        for session in sorted(answer["sessions"], key=sort_key, reverse=True):
            vms = session_vms(session, self.get_option("vm_source"), answer["plans"], self.display.warning)
            run = f"{short(session['name'])} of {session['creation_time']} ({session['id']})"
            facts = wrap_var({name: value for name, value in session.items() if name != "tasks"})
            for vm in vms:
                variables = {f"{prefix}{name}": value for name, value in wrap_var(vm).items()}
                variables[f"{prefix}session"] = facts
                hosts.add(self._host_name(variables, vm["vm_name"], run), variables, run)
        return hosts

    def _host_name(self, variables: dict[str, Any], vm_name: str | None, run: str) -> str:
        expression = self.get_option("hostname")
        host: Any = vm_name
        if expression:
            try:
                host = self._compose(expression, variables)
            except Exception as exc:  # whatever an expression of the user may raise
                sentence = f"hostname: {expression!r} cannot be evaluated for the VM {short(vm_name)} of {run}: {exc}"
                raise AnsibleParserError(single_line(sentence)) from None
        # join() takes the mark off: ansible-inventory prints a marked text as an object, and AWX wants names to be texts.
        return "" if host is None else "".join(str(host))

    def _add_host(self, host: str, variables: dict[str, Any]) -> str | None:
        """Adds a host with its variables and groups; returns why it must not stay, if so."""
        strict, compose = self.get_option("strict"), self.get_option("compose")
        self.inventory.add_host(host)
        for name, value in variables.items():
            self.inventory.set_variable(host, name, value)
        # Given no variables, these take those of the host, with what compose has added.
        self._set_composite_vars(compose, variables, host, strict)
        has = self.inventory.hosts[host].vars
        addresses = [has[name] for name in compose if name in has and re.fullmatch("ansible_(.+_)?host", name)]
        # To Python, no address is the machine itself. ansible-core 2.16 makes a list of the name "['localhost']".
        if any(
            not isinstance(address, str) or not address or address.startswith("-") or means_controller(address)
            for address in addresses
        ):
            return BAD_ADDRESS
        self._session = variables[f"{self.get_option('hostvars_prefix')}session"]
        self._add_host_to_composed_groups(self.get_option("groups"), {}, host, strict)
        try:
            self._add_host_to_keyed_groups(self.get_option("keyed_groups"), {}, host, strict)
        except AnsibleParserError:  # the option itself is wrong
            raise
        except Exception:  # of any class, depending on ansible-core: names of tenants made a group its own parent
            return GROUP_LOOP
        return None

    def _remove_host(self, host: str) -> None:
        if host in self.inventory.hosts:
            self.inventory.remove_host(self.inventory.hosts[host])

    def _sanitize_group_name(self, name: str) -> str:
        """What ansible-core calls for the name of each group of a host; notes what the group stands for."""
        group: str = to_safe_group_name(name)
        self._groups.add(folded(group))
        self._meanings.setdefault(group, set()).add(Meaning.of(name, self._session))
        return group

    def _check_groups(self, hosts: Hosts) -> None:
        for host in hosts.variables:
            if folded(host) in self._groups and host in self.inventory.hosts:
                self._remove_host(host)
                hosts.leave_out(host, LIKE_GROUPS)
        for name in filter(means_controller, self._meanings):
            # Not by remove_group, which takes a name or a group, depending on ansible-core.
            group = self.inventory.groups.pop(name, None)
            if group:
                for host in list(group.hosts):
                    host.remove_group(group)
                self._warn_or_fail(
                    f"There is no group {name}, because its name means the controller. Set prefix in keyed_groups."
                )
        mixed = mixed_groups(self._meanings)
        if mixed:
            self.display.warning(
                f"Groups that stand for more than one name: {list_some(mixed)}. A group name keeps only letters, digits and underscores. "
                "Set a key with an id in keyed_groups, for example veeam_session.id."
            )

    def _warn_without_plans(self, sessions: list[Session]) -> None:
        needing = [session for session in sessions if needs_plan(session, self.get_option("vm_source"))]
        runs = [f"{short(session['name'])} ({session['id']})" for session in needing]
        self._warn_or_fail(
            f"Sessions that list no VMs give no hosts, because {self.get_option('username')} may not read their plans: "
            f"{list_some(runs)}. Check that this user has the role {VM_RESTORE_OPERATOR} in Enterprise Manager. {WITHOUT_PLANS}"
        )

    def _warn_or_fail(self, sentence: str) -> None:
        if self.get_option("strict"):
            raise AnsibleParserError(sentence)
        self.display.warning(sentence)
