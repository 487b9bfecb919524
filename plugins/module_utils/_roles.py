# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""Which role of Enterprise Manager (EM) allows what, for the sentences about HTTP 403.

Source: docs/evidence.md, "Logon". The lists of what each role may do are documented for resources; for the query
service nothing is, so a query is taken to need what its resource needs.
"""

from __future__ import annotations

import re

PORTAL_USER = "Portal User"
VM_RESTORE_OPERATOR = "VM Restore Operator"
PORTAL_ADMINISTRATOR = "Portal Administrator"

_SEVERAL = "one account can have several roles"
_NO_TENANTS = "tenants of a service provider have no sessions"

ROLES = (
    (r"cloud/failoverSessions|query\?type=CloudFailoverSession", (PORTAL_USER, VM_RESTORE_OPERATOR), _NO_TENANTS),
    (r"cloud/cloudFailoverPlans|query\?type=CloudFailoverPlan", (VM_RESTORE_OPERATOR,), _SEVERAL),
    (r"cloud/vmReplicaPoints|query\?type=CloudVmReplicaPoint", (PORTAL_USER,), _SEVERAL),
    (r"tasks", (PORTAL_USER, VM_RESTORE_OPERATOR), _SEVERAL),
)
"""What follows ``/api/`` in a URL, the roles each of which is enough for it, and what else to know."""


def missing_role(url: str, username: str) -> str:
    """What to check where EM forbids this user a request to this URL: a sentence that names the role."""
    user = f"Check that {username} has the role"
    for pattern, roles, hint in ROLES:
        if re.search(rf"/api/(?:{pattern})\b", url, re.IGNORECASE):
            return (
                f"{user} {' or '.join(roles)} in Enterprise Manager ({PORTAL_ADMINISTRATOR} may do everything); {hint}."
            )
    return f"{user} {PORTAL_ADMINISTRATOR} in Enterprise Manager."


def no_role(username: str) -> str:
    """What to check where EM forbids this user to log on."""
    return f"Check that {username} has a role in Enterprise Manager (Configuration, Roles)."
