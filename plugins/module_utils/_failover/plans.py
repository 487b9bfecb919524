# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read cloud failover plans: by criteria, or exactly one. ``plan_action.py`` runs them.

Source of the fields and their quirks: docs/evidence.md, "Cloud failover plans".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from .._api import xml
from .._api.client import EnterpriseManager
from .._api.errors import EmAmbiguousError, EmError, EmNotFoundError
from .._api.query import QueryPager
from .._api.redaction import describe
from .._api.resource import ResourceType, is_reference, read_by_ids, read_list, read_resource
from .criteria import PlanCriteria, guid_of_plan
from .facts import Command, Plan, PlanVm, Reference, same_backup_server
from .names import did_you_mean
from .permissions import READ_PLANS
from .session_facts import backup_server

COLLECTION = "/api/cloud/cloudFailoverPlans"
ENTITY_TYPE = "CloudFailoverPlan"
ACTIONS = ("start", "test", "undo")

PLANS = ResourceType(ENTITY_TYPE, "plan", COLLECTION, READ_PLANS)


@dataclass
class PlanResult:
    """What :meth:`PlanReader.list_plans` found.

    :ivar plans: facts, sorted by name.
    :ivar missing_ids: GUIDs that were requested and that EM does not know.
    """

    plans: list[Plan]
    missing_ids: list[str]


class PlanReader:
    """Reads the cloud failover plans of one EM. Results are complete, or an :class:`EmError` is raised."""

    def __init__(self, client: EnterpriseManager) -> None:
        self._client = client

    def list_plans(self, criteria: PlanCriteria) -> PlanResult:
        """The plans for which all criteria hold."""
        missing: list[str] = []
        items: Iterable[xml.Entity]
        if criteria.ids is None:
            items = (item for page in self._pager(criteria) for item in page)
        else:  # of many, all plans are read
            items, missing = read_by_ids(
                self._client, PLANS, criteria.ids, self._pager(PlanCriteria()), reference_allowed=True
            )
        found: list[Plan] = []
        for item in items:
            if is_reference(item):  # it lacks most fields; where EM gives no more, it has to do
                item = read_resource(self._client, PLANS, xml.identity(item), reference_allowed=True) or item
            plan = plan_facts(item)
            if criteria.matches(plan):
                found.append(plan if has_vms(item) else {**plan, "vms": self._read_vms(plan["id"])})
        return PlanResult(sorted(found, key=lambda plan: (plan["name"] or "", plan["id"])), missing)

    def plans_named(self, names: Collection[str]) -> list[Any]:
        """All plans with one of these names: ``id``, ``name``, ``tenant``, ``backup_server`` and ``vms``.

        Plans of different tenants may share a name.
        """
        keys = ("id", "name", "tenant", "backup_server", "vms")
        plans: list[Any] = self.list_plans(PlanCriteria(names=frozenset(names))).plans
        return [{key: plan[key] for key in keys} for plan in plans]

    def find_plan(self, plan: str, tenant: str | None = None, server: str | None = None) -> tuple[Plan, list[Plan]]:
        """The one plan with this id or name, of this tenant and on this backup server where given.

        :returns: the plan, and other plans of its name on its backup server, whose sessions cannot be told from its own.
        :raises EmNotFoundError: there is none.
        :raises EmAmbiguousError: there are several; the sentence lists them.
        """
        guid = guid_of_plan(plan)
        name: str | None = plan
        if guid is not None:
            by_id = self.list_plans(PlanCriteria(ids=(guid,))).plans
            name = by_id[0]["name"] if by_id else None
        namesakes = [] if name is None else self.list_plans(PlanCriteria(names=frozenset({name}))).plans
        given = PlanCriteria(
            ids=None if guid is None else (guid,),
            tenants=None if tenant is None else frozenset({tenant}),
            backup_servers=None if server is None else frozenset({server}),
        )
        fitting = [namesake for namesake in namesakes if given.matches(namesake)]
        redact = self._client.redact
        wanted = f"named {redact(describe(plan))}" if guid is None else f"with the id {guid}"
        wanted += f" of tenant {redact(tenant)}" if tenant is not None else ""
        wanted += f" on backup server {redact(server)}" if server is not None else ""
        url = self._client.on_base_url(COLLECTION)
        if not fitting:
            others = f", but has {listed(self._client, namesakes)}" if namesakes else ""
            meant = self.similar_names([plan]) if not namesakes and guid is None else ""
            meant = meant or redact(_similar(tenant, (other["tenant"] for other in namesakes)))
            meant = meant or redact(_similar(server, (other["backup_server"] for other in namesakes)))
            hint = f"{meant} " if meant else ""
            hint += "Check plan (the id, or the name exactly as EM shows it), tenant and backup_server; failover_plan_info lists all plans."
            raise EmNotFoundError("", url, f"has no failover plan {wanted}{others}", hint)
        if len(fitting) > 1:
            problem = f"has {len(fitting)} failover plans {wanted}: {listed(self._client, fitting)}"
            hint = "Set plan to the id of one of them, or tell them apart with tenant or backup_server."
            raise EmAmbiguousError("", url, problem, hint)
        (found,) = fitting
        others_of_name = [other for other in namesakes if other["id"] != found["id"]]
        return found, [other for other in others_of_name if same_backup_server(other, found) is not False]

    def similar_names(self, names: Collection[str]) -> str:
        """Sentences about plans whose names look like these or are near to them.

        Nothing if there are none, for a name that a plan has, and where plans cannot be read: it is an error's hint only.
        """
        try:
            items = [item for page in self._pager(PlanCriteria()) for item in page]
        except EmError:
            return ""
        ids = {xml.text(item, "Name") or "": xml.identity(item) for item in items}
        found = {name: did_you_mean(name, ids) for name in names}
        sentences = [
            sentence if len(names) == 1 else f"For {describe(name)}: {sentence}"
            for name, sentence in found.items()
            if sentence
        ]
        return self._client.redact(" ".join(sentences))

    def _pager(self, criteria: PlanCriteria) -> QueryPager:
        return QueryPager(self._client, PLANS, criteria.to_filter(self._client.base_url), sort="Name")

    def _read_vms(self, guid: str) -> list[PlanVm]:
        path = f"{COLLECTION}/{guid}/includes"
        return _vms(read_list(self._client, path, READ_PLANS, "VMs").items)


def listed(client: EnterpriseManager, plans: Iterable[Plan]) -> str:
    return ", ".join(
        f"{plan['id']} (tenant {_name(client, plan['tenant'])}, backup server {_name(client, plan['backup_server'])})"
        for plan in plans
    )


def _similar(wanted: str | None, references: Iterable[Reference | None]) -> str:
    """As :meth:`PlanReader.similar_names`, for the name of a tenant or backup server, which has no id that can be given."""
    names = {item["name"]: "" for item in references if item and item["name"]}
    return did_you_mean(wanted, names) if wanted else ""


def _name(client: EnterpriseManager, reference: Reference | None) -> str:
    return client.redact((reference or {"name": None})["name"] or "unknown")


# Facts


def plan_facts(item: xml.Entity) -> Plan:
    """The facts of a plan, as RETURN of failover_plan_info describes them; ``vms`` is empty unless :func:`has_vms`."""
    guid = xml.identity(item)
    tenant: Reference = {"id": xml.guid(xml.text(item, "TenantUid")), "name": xml.text(item, "TenantName")}
    offered = {(xml.text(link, "Rel") or "").lower() for link in xml.links(item)}
    infos = xml.objects(item, "CloudFailoverPlanInfo")
    return {
        "id": guid,
        "uid": xml.text(item, "UID") or f"urn:veeam:{ENTITY_TYPE}:{guid}",
        "name": xml.text(item, "Name"),
        "description": xml.text(item, "Description"),
        "tenant": tenant if tenant["id"] or tenant["name"] else _linked_tenant(item),
        "backup_server": backup_server(item),
        "pre_command": _command(item, "Pre"),
        "post_command": _command(item, "Post"),
        "vms": _vms(vm for info in infos for vm in xml.children(info, "Includes")),
        "actions": [action for action in ACTIONS if action in offered],
    }


def has_vms(item: xml.Entity) -> bool:
    """Whether EM sent the VMs with the plan. A reference has none, and an entity may leave them out."""
    return "CloudFailoverPlanInfo" in item


def _linked_tenant(item: xml.Entity) -> Reference | None:
    """References have the tenant as a link only."""
    for link in xml.links(item):
        if link.get("Rel") == "Related" and (xml.text(link, "Type") or "").startswith("CloudTenant"):
            return {"id": xml.guid(xml.text(link, "Href")), "name": xml.text(link, "Name")}
    return None


def _command(item: xml.Entity, when: str) -> Command:
    options = next(iter(xml.objects(item, "CloudFailoverPlanOptions")), {})
    return {
        "enabled": xml.flag(xml.text(options, f"{when}FailoverPlanCommandEnabled")),
        "command": xml.text(options, f"{when}FailoverPlanCommand"),
    }


def _vms(items: Iterable[xml.Entity]) -> list[PlanVm]:
    """In the order in which they are to start."""
    vms: list[PlanVm] = [
        {
            "id": xml.text(vm, "FailoverPlanVMId"),
            "name": xml.text(vm, "Name"),
            "order": xml.whole_number(xml.text(vm, "Order")),
        }
        for vm in items
    ]
    return sorted(vms, key=lambda vm: (vm["order"] is None, vm["order"] or 0))
