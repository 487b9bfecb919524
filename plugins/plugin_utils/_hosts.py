# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From sessions and plans to the hosts of an inventory; contacts no server."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..module_utils._api.redaction import single_line, some_of, truncate
from ..module_utils._failover.facts import Plan, Session, same_backup_server
from ._host_names import folded, reason_against

OF_OTHERS = "another source of the inventory has hosts of these names"
LIKE_GROUPS = "groups have these names"
BAD_ADDRESS = "their address (ansible_host) is empty, means the controller, or is an option of ssh"
GROUP_LOOP = "a group of keyed_groups would contain itself"
CURES = {
    BAD_ADDRESS: "compose to give other addresses",
    GROUP_LOOP: "another prefix or parent_group in keyed_groups",
}
RUN_FACTS = ("state", "result", "failure_message", "creation_time", "end_time", "duration", "replica_point")
"""Facts of a task that become variables of its host."""
MAX_LISTED = 3
"""Maximum number of items of a list that a warning names."""
MAX_NAME = 100
"""Maximum number of characters of a name in a warning."""


@dataclass
class Hosts:
    """Host variables by host name, and the VMs that give no host.

    :ivar others: folded names of the hosts that other sources of the inventory have.
    :ivar runs: the run that a host comes from, in words.
    :ivar left_out: host names by the reason why they may not be hosts.
    """

    others: Collection[str]
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    nameless: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)
    _names: dict[str, str] = field(default_factory=dict)

    def add(self, host: str, variables: dict[str, Any], run: str) -> None:
        if not host.strip():
            self.nameless.append(run)
            return
        reason = reason_against(host) or (OF_OTHERS if folded(host) in self.others else None)
        if reason:
            self.leave_out(host, reason)
            return
        # To a reader and to DNS, names that differ only in case or Unicode form are one.
        taken = self._names.setdefault(folded(host), host)
        if taken in self.variables:
            like = "" if taken == host else f"looks like {short(taken)}, "
            self.duplicates.append(f"{short(host)} ({like}using the VM of {self.runs[taken]}, ignoring that of {run})")
        else:
            self.variables[host], self.runs[host] = variables, run

    def leave_out(self, host: str, reason: str) -> None:
        self.left_out.setdefault(reason, []).append(truncate(repr(str(host)), MAX_NAME))

    def problems(self) -> list[str]:
        problems = []
        if self.nameless:
            problems.append(
                f"VMs without a name in the sessions {list_some(self.nameless)}. Set hostname to name them."
            )
        if self.duplicates:
            problems.append(f"Duplicate host names: {list_some(self.duplicates)}. Set hostname to make names unique.")
        for reason, names in self.left_out.items():
            cure = CURES.get(reason, "hostname to give them other names")
            problems.append(f"VMs that give no hosts, because {reason}: {list_some(names)}. Set {cure}.")
        return problems


# Groups


class Meaning(NamedTuple):
    """What a group of keyed_groups stands for: its name before Ansible replaces characters in it, and the session of a host."""

    name: str
    plan: str
    server: str
    server_id: str

    @classmethod
    def of(cls, name: str, session: Session) -> Meaning:
        server = session["backup_server"] or {"name": None, "id": None}
        return cls(str(name), *(str(text or "") for text in (session["name"], server["name"], server["id"])))


def mixed_groups(meanings: Mapping[str, Collection[Meaning]]) -> list[str]:
    """The groups, with their names, that stand for several names, or for plans or backup servers that share one."""
    mixed = []
    for group, stands_for in meanings.items():
        names = {meaning.name for meaning in stands_for}
        of_plan = all(meaning.plan and meaning.name.endswith(meaning.plan) for meaning in stands_for)
        of_server = all(meaning.server and meaning.name.endswith(meaning.server) for meaning in stands_for)
        if len(names) == 1 and (of_plan or of_server):
            names = {
                f"{meaning.name} of the backup server {meaning.server} {meaning.server_id}" for meaning in stands_for
            }
        if len(names) > 1:
            mixed.append(f"{group} ({list_some(map(short, names))})")
    return mixed


# The VMs of a session


def needs_plan(session: Session, vm_source: str) -> bool:
    """Whether the VMs of a session come from its plan."""
    return vm_source == "plan" or (vm_source == "tasks_or_plan" and not session["tasks"])


def session_vms(
    session: Session, vm_source: str, plans: list[Plan] | None, warn: Callable[[str], Any]
) -> list[dict[str, Any]]:
    """The host variables of each VM of a session, without prefix; none, with a warning, if its VMs are not known.

    :arg plans: the plans of the sessions that need one, or None if they may not be read, about which one warning says enough.
    """
    if not needs_plan(session, vm_source):
        if not session["tasks"]:
            unrecorded = ", and the history has none" if vm_source == "history" else ""
            warn(
                f"The session {session['id']} of {short(session['name'])!r} lists no VMs{unrecorded}, so it gives no hosts. "
                "Set vm_source to tasks_or_plan to take them from its plan."
            )
        source = "history" if vm_source == "history" and session.get("tasks_kept_at") else "tasks"
        return [
            {"vm_source": source, **{name: value for name, value in task.items() if name in ("vm_name", *RUN_FACTS)}}
            for task in session["tasks"]
        ]
    if plans is None:
        return []
    fitting = [plan for plan in plans if plan["name"] == session["name"] and same_backup_server(plan, session) is True]
    if len(fitting) != 1:
        server = session["backup_server"] and session["backup_server"]["name"]
        warn(
            f"The session {session['id']} gives no hosts: there is {'more than one' if fitting else 'no'} plan named "
            f"{short(session['name'])!r} on the backup server {short(server)} to take its VMs from."
        )
        return []
    unknown = dict.fromkeys(RUN_FACTS)
    return [{"vm_source": "plan", "vm_name": vm["name"], **unknown} for vm in fitting[0]["vms"]]


# Words for sentences


def short(name: str | None) -> str:
    """A name from EM as it can stand in a sentence on a terminal."""
    return truncate(single_line(str(name)), MAX_NAME)


def list_some(items: Iterable[str]) -> str:
    """A list for a sentence, shortened."""
    return some_of(sorted(items), MAX_LISTED)
