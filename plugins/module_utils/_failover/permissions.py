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

_SEVERAL = "one account can have several roles"

READ_SESSIONS = Operation(
    "Read cloud failover sessions",
    (PORTAL_USER, VM_RESTORE_OPERATOR),
    "tenants of a service provider have no sessions",
)
READ_PLANS = Operation("Read cloud failover plans", (VM_RESTORE_OPERATOR,), _SEVERAL)
READ_POINTS = Operation("Read replica points", (PORTAL_USER,), _SEVERAL)


def plan_operation(name: str) -> Operation:
    """An action on a plan, such as ``Test of plan Acme``."""
    return Operation(name, (VM_RESTORE_OPERATOR,), _SEVERAL)


def task_operation(name: str) -> Operation:
    """A reading of EM's task, such as ``Test of plan Acme: read its task``."""
    return Operation(name, (PORTAL_USER, VM_RESTORE_OPERATOR), _SEVERAL)
