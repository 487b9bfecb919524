# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which role a sentence names where EM forbids something (403), for what is read and for what is asked for."""

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import errors as _errors
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import Operation
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.permissions import (
    READ_PLANS,
    READ_POINTS,
    READ_SESSIONS,
    collect_operation,
    plan_operation,
    task_operation,
)

GUID = "475420ee-d045-4493-9869-0a970e08f6f9"
SESSIONS = "has the role Portal User or VM Restore Operator in Enterprise Manager"
PLANS = "has the role VM Restore Operator in Enterprise Manager"
POINTS = "has the role Portal User in Enterprise Manager"
OTHER = "has the role Portal Administrator in Enterprise Manager."
TENANTS = "tenants of a service provider have no sessions."
SEVERAL = "one account can have several roles."


@pytest.mark.parametrize(
    ("operation", "path", "role", "hint"),
    [
        (READ_SESSIONS, "/api/cloud/failoverSessions", SESSIONS, TENANTS),
        (READ_SESSIONS, f"/api/cloud/failoverSessions/{GUID}?format=Entity", SESSIONS, TENANTS),
        (READ_SESSIONS, "/api/query?type=CloudFailoverSession&format=Entities&page=2", SESSIONS, TENANTS),
        (READ_PLANS, "/api/cloud/cloudFailoverPlans?format=Entity", PLANS, SEVERAL),
        (READ_PLANS, f"/api/cloud/cloudFailoverPlans/{GUID}/includes", PLANS, SEVERAL),
        (
            READ_PLANS,
            "/api/query?type=CloudFailoverPlan&filter=Name%3D%3D%22%2Fapi%2Fcloud%2FfailoverSessions%22",
            PLANS,
            SEVERAL,
        ),
        (READ_POINTS, "/api/query?type=CloudVmReplicaPoint&pageSize=1", POINTS, SEVERAL),
        (READ_POINTS, f"/api/cloud/vmReplicaPoints/{GUID}", POINTS, SEVERAL),
        (task_operation("Read"), "/api/tasks/task-1", SESSIONS, SEVERAL),
        (collect_operation("Data collection"), "/api/backupServers", POINTS, SEVERAL),
        (Operation("Read"), "/api/systemSessions", OTHER, ""),
    ],
)
def test_what_is_read(em, connect, operation, path, role, hint):
    em.faults.add("status", status=403, path="^(?!/api/sessionMngr)")
    with pytest.raises(_errors.EmPermissionError) as failure, connect() as client:
        client.get(path, operation)
    assert f" Check that reader {role}" in str(failure.value)
    assert f"{hint} (http" in str(failure.value)
    assert ("Portal Administrator may do everything" in str(failure.value)) == (role is not OTHER)


@pytest.mark.parametrize("user", ["reader", "restricted"])
@pytest.mark.parametrize("action", ["start", "test", "undo"])
def test_what_is_asked_for(em, connect, user, action):
    plan = em.world.add_plan("Acme", ["vm"])
    path = f"/api/cloud/cloudFailoverPlans/{plan.id}?action={action}"
    with pytest.raises(_errors.EmPermissionError) as failure, connect(username=user) as client:
        client.post(path, plan_operation(f"{action.capitalize()} plan Acme"))
    assert f" Check that {user} {PLANS}" in str(failure.value)
    assert (failure.value.status, failure.value.in_doubt) == (403, False)
