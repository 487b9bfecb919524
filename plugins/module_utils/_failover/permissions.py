# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this collection does with Enterprise Manager (EM), and which roles of EM allow it.

Source: docs/evidence.md, "Logon". The lists of what each role may do are documented for resources; for the query
service nothing is, so a query is taken to need what its resource needs.
"""

from __future__ import annotations

from .._api.errors import Operation

PORTAL_USER = "Portal User"
VM_RESTORE_OPERATOR = "VM Restore Operator"

_EITHER = f"{PORTAL_USER} or {VM_RESTORE_OPERATOR}"


def _role_hint(roles: str, note: str = "one account can have several roles") -> str:
    """For :class:`Operation`: the roles each of which is enough, and what else to know about them."""
    enough = f"{roles} in Enterprise Manager (Portal Administrator may do everything)"
    return f"Check that {{user}} has the role {enough}; {note}."


READ_SESSIONS = Operation(
    "Read cloud failover sessions", _role_hint(_EITHER, "tenants of a service provider have no sessions")
)
READ_PLANS = Operation("Read cloud failover plans", _role_hint(VM_RESTORE_OPERATOR))
READ_POINTS = Operation("Read replica points", _role_hint(PORTAL_USER))
READ_BACKUP_SERVERS = Operation("Read backup servers", _role_hint(PORTAL_USER))
READ_SYSTEM_SESSIONS = Operation(
    "Read system sessions",
    "Check that {user} has the role Portal Administrator in Enterprise Manager; Veeam names no other one for it.",
)


def plan_operation(name: str) -> Operation:
    """An action on a plan, such as ``Test of plan Acme``."""
    return Operation(name, _role_hint(VM_RESTORE_OPERATOR))


def collect_operation(name: str) -> Operation:
    """A collection of data, such as ``Data collection from backup server vbr1``."""
    return Operation(name, _role_hint(PORTAL_USER))


def task_operation(name: str) -> Operation:
    """A reading of EM's task, such as ``Test of plan Acme: read its task``."""
    return Operation(name, _role_hint(_EITHER))
