# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""Cloud failover plans and their VMs: names -> query -> facts.

Source of the fields and their quirks: docs/evidence.md, "Cloud failover plans".
"""

from __future__ import annotations

from collections.abc import Collection

from . import _query, _xml
from ._client import EnterpriseManager
from ._criteria import Fact
from ._failover_session import backup_server

COLLECTION = "/api/cloud/cloudFailoverPlans"
ENTITY_TYPE = "CloudFailoverPlan"
TRIED = "Read cloud failover plans"


def find_by_name(client: EnterpriseManager, names: Collection[str]) -> list[Fact]:
    """All plans with one of these names, exactly as EM shows them: :func:`plan_facts` and ``vms``.

    Plans of different tenants may share a name.

    :raises EmError: EM could not be read completely; there is no partial answer.
    """
    terms = [term for term in _query.one_of("Name", names) if _query.fits(client, term)]
    reading = _query.Reading(client, ENTITY_TYPE, COLLECTION, TRIED, terms[0] if terms else None, sort="Name")
    found = (item for page in reading for item in page)
    return [{**plan_facts(item), "vms": _vms(client, item)} for item in found if _xml.text(item, "Name") in names]


def plan_facts(item: _xml.Entity) -> Fact:
    """``id``, ``name``, and ``tenant`` and ``backup_server`` (each ``id`` and ``name``, or None where EM gives none)."""
    tenant = {"id": _xml.guid(_xml.text(item, "TenantUid")), "name": _xml.text(item, "TenantName")}
    return {
        "id": _xml.identity(item),
        "name": _xml.text(item, "Name"),
        "tenant": tenant if any(tenant.values()) else None,
        "backup_server": backup_server(item),
    }


def _vms(client: EnterpriseManager, item: _xml.Entity) -> list[Fact]:
    """``id``, ``name`` and ``order`` (from 0) of each VM of a plan, in the order in which they are to start.

    :raises EmError: the plan had to be asked for them, since it is a reference or leaves them out, and that failed.
    """
    if "CloudFailoverPlanInfo" in item:
        found = [vm for info in _xml.objects(item, "CloudFailoverPlanInfo") for vm in _xml.children(info, "Includes")]
    else:
        path = f"{COLLECTION}/{_xml.identity(item)}/includes"
        document = client.get(path, TRIED)
        _query.expect_list(client, document, (_xml.ENTITIES,), TRIED, path, "VMs")
        found = document.items
    vms = [
        {
            "id": _xml.text(vm, "FailoverPlanVMId"),
            "name": _xml.text(vm, "Name"),
            "order": _xml.whole_number(_xml.text(vm, "Order")),
        }
        for vm in found
    ]
    return sorted(vms, key=lambda vm: (vm["order"] is None, vm["order"] or 0))
