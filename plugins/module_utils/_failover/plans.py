# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""Cloud failover plans: criteria -> query -> facts, and exactly one of them. What runs a plan is in ``_failover_run.py``.

Source of the fields and their quirks: docs/evidence.md, "Cloud failover plans".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from .._api import query as _query
from .._api import xml as _xml
from .._api.client import EnterpriseManager
from .._api.errors import CHECK_EM, EmAmbiguousError, EmNotFoundError, EmProtocolError, OptionError
from .criteria import given_values, name_set
from .facts import Fact, Plan, same_backup_server
from .permissions import READ_PLANS
from .sessions import backup_server

COLLECTION = "/api/cloud/cloudFailoverPlans"
ENTITY_TYPE = "CloudFailoverPlan"
ACTIONS = ("start", "test", "undo")

DIRECT_READS = 5
"""Up to so many ids are read one by one; for more, all plans are read at once."""

_ID = re.compile(rf"(?:urn:veeam:\w*Plan\w*:|\S*/cloudFailoverPlans/)?({_xml.GUID.pattern})/?(?:\?\S*)?", re.IGNORECASE)


# Finding


@dataclass
class PlanResult:
    """What :meth:`PlanReader.list_plans` found.

    :ivar plans: facts, sorted by name.
    :ivar missing_ids: GUIDs that were asked for and that EM does not know.
    """

    plans: list[Plan]
    missing_ids: list[str]


class PlanReader:
    """Reads the cloud failover plans of one EM."""

    def __init__(self, client: EnterpriseManager) -> None:
        self._client = client

    def list_plans(self, criteria: PlanCriteria) -> PlanResult:
        """The plans for which all criteria hold.

        :raises EmError: EM could not be read completely; there is no partial answer.
        """
        return PlanResult(*find(self._client, criteria))

    def find_plan(self, plan: str, tenant: str | None = None, server: str | None = None) -> tuple[Plan, list[Plan]]:
        """The one plan with this id or name, and the other plans whose sessions cannot be told from its own."""
        return find_one(self._client, plan, tenant, server)

    def plans_named(self, names: Collection[str]) -> list[Any]:
        """All plans with one of these names: ``id``, ``name``, ``tenant``, ``backup_server`` and ``vms``."""
        return find_by_name(self._client, names)


def find_by_name(client: EnterpriseManager, names: Collection[str]) -> list[Fact]:
    """All plans with one of these names, exactly as EM shows them: :func:`plan_facts` and ``vms``.

    Plans of different tenants may share a name.

    :raises EmError: EM could not be read completely; there is no partial answer.
    """
    found = _by_query(client, _query.one_of("Name", names))
    return [{**plan_facts(item), "vms": _vms(client, item)} for item in found if _xml.text(item, "Name") in names]


def _by_query(client: EnterpriseManager, terms: list[str]) -> Iterator[_xml.Entity]:
    """All plans for which these terms hold; those that do not fit into a URL are left out."""
    terms = sorted(terms, key=len)
    while terms and not _query.fits(client, _query.all_of(terms)):
        terms.pop()
    expression = _query.all_of(terms) if terms else None
    reading = _query.Reading(client, ENTITY_TYPE, COLLECTION, READ_PLANS, expression, sort="Name")
    return (item for page in reading for item in page)


@dataclass(frozen=True)
class PlanCriteria:
    """Which plans are wanted, checked and ready to use. Make it with :meth:`from_options`."""

    ids: tuple[str, ...] | None = None
    names: frozenset[str] | None = None
    tenants: frozenset[str] | None = None
    backup_servers: frozenset[str] | None = None

    @classmethod
    def from_options(cls, option: Callable[[str], Any]) -> PlanCriteria:
        """Check the options of failover_plan_info.

        :arg option: gives the value of the option with that name, None where it is not set.
        :raises OptionError: names the option and what would be accepted.
        """
        ids = given_values(option, "id")
        return cls(
            ids=None if ids is None else tuple(dict.fromkeys(_plan_id(value) for value in ids)),
            names=name_set(option, "name"),
            tenants=name_set(option, "tenant"),
            backup_servers=name_set(option, "backup_server"),
        )

    def matches(self, fact: Fact) -> bool:
        return (
            (self.ids is None or fact["id"] in self.ids)
            and (self.names is None or fact["name"] in self.names)
            and (self.tenants is None or _is_called(fact["tenant"], self.tenants))
            and (self.backup_servers is None or _is_called(fact["backup_server"], self.backup_servers))
        )


def _is_called(owner: Fact | None, names: Collection[str]) -> bool:
    return owner is not None and owner["name"] in names


def _plan_id(value: str) -> str:
    guid = guid_of_plan(value)
    if guid is None:
        accepted = "Give the id of a plan as GUID, as URN (urn:veeam:CloudFailoverPlan:<GUID>) or as Href."
        raise OptionError("id", value, accepted)
    return guid


def guid_of_plan(value: str) -> str | None:
    """The GUID, in lower case, of a plan given as GUID, URN or Href, or None if it is none of these."""
    match = _ID.fullmatch(value.strip())
    return match.group(1).lower() if match else None


def find(client: EnterpriseManager, criteria: PlanCriteria) -> tuple[list[Fact], list[str]]:
    """The plans for which all criteria hold, sorted by name, as :func:`whole_facts`; and ids that EM does not know.

    :raises EmError: EM could not be read completely; there is no partial answer.
    """
    missing: list[str] = []
    if criteria.ids is None:
        terms = [
            *_query.one_of("Name", criteria.names or ()),
            *_query.one_of("CloudTenantName", criteria.tenants or ()),
            *_query.one_of("BackupServerName", criteria.backup_servers or ()),
        ]
        items = list(_by_query(client, terms))
    else:
        items = list(_by_ids(client, criteria.ids, missing))
    whole = (_whole(client, item) for item in items)
    wanted = [(item, fact) for item in whole if criteria.matches(fact := plan_facts(item))]
    found = [whole_facts(client, item) for item, dummy in wanted]
    return sorted(found, key=lambda fact: (fact["name"] or "", fact["id"])), missing


def _by_ids(client: EnterpriseManager, ids: Collection[str], missing: list[str]) -> Iterator[_xml.Entity]:
    all_plans = {_xml.identity(item): item for item in _by_query(client, [])} if len(ids) > DIRECT_READS else {}
    for guid in ids:
        item = all_plans.get(guid) or _entity(client, guid)
        if item is None:
            missing.append(guid)
        else:
            yield item
    if not missing:
        return
    # Before ids are called unknown, EM must show that it can list plans at all, and that it does not list these.
    document = client.get(COLLECTION, READ_PLANS)
    _query.expect_list(client, document, _query.COLLECTION_SHAPES, READ_PLANS, COLLECTION, "plans")
    listed = {_xml.identity(item) for item in document.items}
    for guid in missing:
        if guid in listed:
            happened = f"lists the plan {guid} and does not know it when asked for it"
            check = "Try again, and check the state of Enterprise Manager."
            raise EmProtocolError(READ_PLANS, client.on_base_url(COLLECTION), happened, check, 200)


def _entity(client: EnterpriseManager, guid: str) -> _xml.Entity | None:
    """One plan by its id (a reference where EM gives only that), or None where EM does not know it.

    :raises EmProtocolError: EM gives something else than that plan.
    """
    path = f"{COLLECTION}/{guid}?format=Entity"
    try:
        document = client.get(path, READ_PLANS, about=guid)
    except EmNotFoundError:
        return None
    if document.shape in (_xml.ENTITY, _xml.REFERENCE):
        item = document.items[0]
        if guid in (_xml.guid(_xml.text(item, "UID")), _xml.guid(_xml.text(item, "Href"))):
            return item
    happened = f"answered with a document {client.redact(document.root)} that is not the entity of this plan"
    raise EmProtocolError(READ_PLANS, client.on_base_url(path), happened, CHECK_EM, 200)


def _whole(client: EnterpriseManager, item: _xml.Entity) -> _xml.Entity:
    """The entity for what may be a reference, which lacks most fields; the reference again where EM gives no more."""
    if (_xml.text(item, "Type") or "").endswith("Reference"):
        return _entity(client, _xml.identity(item)) or item
    return item


# Facts


def plan_facts(item: _xml.Entity) -> Fact:
    """``id``, ``name``, and ``tenant`` and ``backup_server`` (each ``id`` and ``name``, or None where EM gives none)."""
    tenant = {"id": _xml.guid(_xml.text(item, "TenantUid")), "name": _xml.text(item, "TenantName")}
    return {
        "id": _xml.identity(item),
        "name": _xml.text(item, "Name"),
        "tenant": tenant if any(tenant.values()) else _tenant_behind_link(item),
        "backup_server": backup_server(item),
    }


def _tenant_behind_link(item: _xml.Entity) -> Fact | None:
    """References have the tenant as a link only."""
    for link in _xml.links(item):
        if link.get("Rel") == "Related" and (_xml.text(link, "Type") or "").startswith("CloudTenant"):
            return {"id": _xml.guid(_xml.text(link, "Href")), "name": _xml.text(link, "Name")}
    return None


def whole_facts(client: EnterpriseManager, item: _xml.Entity) -> Fact:
    """The facts of a plan, as RETURN of failover_plan_info describes them."""
    fact = plan_facts(item)
    offered = {(_xml.text(link, "Rel") or "").lower() for link in _xml.links(item)}
    return {
        "id": fact["id"],
        "uid": _xml.text(item, "UID") or f"urn:veeam:{ENTITY_TYPE}:{fact['id']}",
        "name": fact["name"],
        "description": _xml.text(item, "Description"),
        "tenant": fact["tenant"],
        "backup_server": fact["backup_server"],
        "pre_command": _command(item, "Pre"),
        "post_command": _command(item, "Post"),
        "vms": _vms(client, item),
        "actions": [action for action in ACTIONS if action in offered],
    }


def _command(item: _xml.Entity, when: str) -> Fact:
    options = next(iter(_xml.objects(item, "CloudFailoverPlanOptions")), {})
    return {
        "enabled": _xml.flag(_xml.text(options, f"{when}FailoverPlanCommandEnabled")),
        "command": _xml.text(options, f"{when}FailoverPlanCommand"),
    }


def _vms(client: EnterpriseManager, item: _xml.Entity) -> list[Fact]:
    """``id``, ``name`` and ``order`` (from 0) of each VM of a plan, in the order in which they are to start.

    :raises EmError: the plan had to be asked for them, since it is a reference or leaves them out, and that failed.
    """
    if "CloudFailoverPlanInfo" in item:
        found = [vm for info in _xml.objects(item, "CloudFailoverPlanInfo") for vm in _xml.children(info, "Includes")]
    else:
        path = f"{COLLECTION}/{_xml.identity(item)}/includes"
        document = client.get(path, READ_PLANS)
        _query.expect_list(client, document, (_xml.ENTITIES,), READ_PLANS, path, "VMs")
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


# Exactly one plan


def find_one(
    client: EnterpriseManager, plan: str, tenant: str | None = None, server: str | None = None
) -> tuple[Fact, list[Fact]]:
    """The one plan with this id or name, of this tenant and on this backup server where given.

    :returns: the plan as :func:`whole_facts`, and its twins: other plans of its name on its backup server, whose
        sessions cannot be told from its own.
    :raises EmNotFoundError: there is none.
    :raises EmAmbiguousError: there are several; the sentence lists them.
    """
    guid = guid_of_plan(plan)
    name: str | None = plan
    if guid is not None:
        found, dummy = find(client, PlanCriteria(ids=(guid,)))
        name = found[0]["name"] if found else None
    namesakes = find(client, PlanCriteria(names=frozenset({name})))[0] if name is not None else []
    fitting = [
        fact
        for fact in namesakes
        if (guid is None or fact["id"] == guid)
        and (tenant is None or _is_called(fact["tenant"], [tenant]))
        and (server is None or _is_called(fact["backup_server"], [server]))
    ]
    wanted = f"plan {client.redact(plan)}"
    wanted += f" of tenant {client.redact(tenant)}" if tenant is not None else ""
    wanted += f" on backup server {client.redact(server)}" if server is not None else ""
    url = client.on_base_url(COLLECTION)
    if not fitting:
        others = f", but {listed(client, namesakes)}" if namesakes else ""
        check = "Check plan (the id, or the name exactly as EM shows it), tenant and backup_server; failover_plan_info lists all plans."
        raise EmNotFoundError(READ_PLANS, url, f"lists no {wanted}{others}", check)
    if len(fitting) > 1:
        check = "Give the id of one of them as plan, or tell them apart with tenant or backup_server."
        happened = f"lists {len(fitting)} plans that fit {wanted}: {listed(client, fitting)}"
        raise EmAmbiguousError(READ_PLANS, url, happened, check)
    (fact,) = fitting
    twins = [other for other in namesakes if other["id"] != fact["id"] and same_backup_server(other, fact) is not False]
    return fact, twins


def listed(client: EnterpriseManager, plans: list[Fact]) -> str:
    return ", ".join(
        f"{fact['id']} (tenant {client.redact((fact['tenant'] or {}).get('name') or 'unknown')}, "
        f"backup server {client.redact((fact['backup_server'] or {}).get('name') or 'unknown')})"
        for fact in plans
    )
