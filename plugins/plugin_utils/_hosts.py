# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From sessions and plans to the hosts of an inventory; contacts no server."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..module_utils._api.redaction import single_line, some_of, truncate
from ..module_utils._failover.facts import Plan, Session, same_backup_server

RUN_FACTS = ("state", "result", "failure_message", "creation_time", "end_time", "duration", "replica_point")
"""Facts of a task that become variables of its host."""
MAX_LISTED = 3
"""Maximum number of items of a list that a warning names."""
MAX_NAME = 100
"""Maximum number of characters of a name in a warning."""


@dataclass
class Hosts:
    """Host variables by host name, and the VMs that give no host.

    :ivar groups: names that no host may have.
    :ivar runs: the run that a host comes from, in words.
    """

    groups: Collection[str]
    variables: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    nameless: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    like_groups: list[str] = field(default_factory=list)

    def add(self, host: str, variables: dict[str, Any], run: str) -> None:
        if not host.strip():
            self.nameless.append(run)
        elif host in self.groups:
            self.like_groups.append(host)
        elif host in self.variables:
            self.duplicates.append(f"{short(host)} (using the VM of {self.runs[host]}, ignoring that of {run})")
        else:
            self.variables[host], self.runs[host] = variables, run

    def problems(self) -> list[str]:
        problems = []
        if self.nameless:
            problems.append(
                f"VMs without a name in the sessions {list_some(self.nameless)}. Set hostname to name them."
            )
        if self.duplicates:
            problems.append(f"Duplicate host names: {list_some(self.duplicates)}. Set hostname to make names unique.")
        return problems


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
