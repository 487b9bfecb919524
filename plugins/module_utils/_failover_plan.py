# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""Cloud failover plans: criteria -> query -> facts, and what can be done with one of them: start, test, undo.

Source of the fields and their quirks: docs/evidence.md, "Cloud failover plans", "Actions of plans", "Tasks of EM".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import _query, _wait, _xml
from ._client import LONGEST_MESSAGE, EnterpriseManager
from ._criteria import Criteria, Fact, _bound, _names, _values
from ._errors import (
    CHECK_EM,
    EmAmbiguousError,
    EmBusyError,
    EmError,
    EmInDoubtError,
    EmNotFoundError,
    EmProtocolError,
    EmRefusedError,
    EmServerError,
    EmWaitError,
    OptionError,
    cut,
    one_line,
)
from ._failover_session import backup_server
from ._failover_session import find as find_sessions
from ._signals import Interrupted

COLLECTION = "/api/cloud/cloudFailoverPlans"
ENTITY_TYPE = "CloudFailoverPlan"
TRIED = "Read cloud failover plans"
ACTIONS = ("start", "test", "undo")

DIRECT_READS = 5
"""Up to so many ids are read one by one; for more, all plans are read at once."""
SETTLE = 120.0
"""Seconds for which the session of an action is looked for, counted from the first time that EM can be asked."""
CLAIM = 20.0
"""Seconds after which the only new session of a plan is taken for the action's own, though its task is still running."""
SETTLE_INTERVAL = 5.0
"""Seconds between two looks, at most."""
LOCK_TIME = 300.0
"""Seconds to wait for another process on this machine that takes an action on the same plan."""
NO_TASK: Fact = {"state": None, "success": None, "message": None}
MAX_UNKNOWN = 3
"""So often in a row EM may not know its own task: right after it was made that can pass (seen)."""

_ID = re.compile(rf"(?:urn:veeam:\w*Plan\w*:|\S*/cloudFailoverPlans/)?({_xml.GUID.pattern})/?(?:\?\S*)?", re.IGNORECASE)


# Finding


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
    reading = _query.Reading(client, ENTITY_TYPE, COLLECTION, TRIED, expression, sort="Name")
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
        ids = _values(option, "id")
        return cls(
            ids=None if ids is None else tuple(dict.fromkeys(_plan_id(value) for value in ids)),
            names=_names(option, "name"),
            tenants=_names(option, "tenant"),
            backup_servers=_names(option, "backup_server"),
        )

    def hold_for(self, fact: Fact) -> bool:
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
    wanted = [(item, fact) for item in whole if criteria.hold_for(fact := plan_facts(item))]
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
    document = client.get(COLLECTION, TRIED)
    _query.expect_list(client, document, _query.COLLECTION_SHAPES, TRIED, COLLECTION, "plans")
    listed = {_xml.identity(item) for item in document.items}
    for guid in missing:
        if guid in listed:
            happened = f"lists the plan {guid} and does not know it when asked for it"
            check = "Try again, and check the state of Enterprise Manager."
            raise EmProtocolError(TRIED, client.on_base_url(COLLECTION), happened, check, 200)


def _entity(client: EnterpriseManager, guid: str) -> _xml.Entity | None:
    """One plan by its id (a reference where EM gives only that), or None where EM does not know it.

    :raises EmProtocolError: EM gives something else than that plan.
    """
    path = f"{COLLECTION}/{guid}?format=Entity"
    try:
        document = client.get(path, TRIED, about=guid)
    except EmNotFoundError:
        return None
    if document.shape in (_xml.ENTITY, _xml.REFERENCE):
        item = document.items[0]
        if guid in (_xml.guid(_xml.text(item, "UID")), _xml.guid(_xml.text(item, "Href"))):
            return item
    happened = f"was answered with a document {client.shown(document.root)} that is not the entity of this plan"
    raise EmProtocolError(TRIED, client.on_base_url(path), happened, CHECK_EM, 200)


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
        "enabled": _flag(_xml.text(options, f"{when}FailoverPlanCommandEnabled")),
        "command": _xml.text(options, f"{when}FailoverPlanCommand"),
    }


def _flag(value: str | None) -> bool | None:
    """A boolean, whose spelling may vary; None where EM gives none."""
    return None if value is None else value.strip().lower() in ("true", "1")


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
    wanted = f"plan {client.shown(plan)}"
    wanted += f" of tenant {client.shown(tenant)}" if tenant is not None else ""
    wanted += f" on backup server {client.shown(server)}" if server is not None else ""
    url = client.on_base_url(COLLECTION)
    if not fitting:
        others = f", but {_listed(client, namesakes)}" if namesakes else ""
        check = "Check plan (the id, or the name exactly as EM shows it), tenant and backup_server; failover_plan_info lists all plans."
        raise EmNotFoundError(TRIED, url, f"lists no {wanted}{others}", check, 200)
    if len(fitting) > 1:
        check = "Give the id of one of them as plan, or tell them apart with tenant or backup_server."
        happened = f"lists {len(fitting)} plans that fit {wanted}: {_listed(client, fitting)}"
        raise EmAmbiguousError(TRIED, url, happened, check, 200)
    (fact,) = fitting
    twins = [other for other in namesakes if other["id"] != fact["id"] and _same_server(other, fact)]
    return fact, twins


def _listed(client: EnterpriseManager, plans: list[Fact]) -> str:
    return ", ".join(
        f"{fact['id']} (tenant {client.shown((fact['tenant'] or {}).get('name') or 'unknown')}, "
        f"backup server {client.shown((fact['backup_server'] or {}).get('name') or 'unknown')})"
        for fact in plans
    )


def _same_server(one: Fact, other: Fact) -> bool:
    """Whether two plans or sessions may be of the same backup server; where EM names none, they may."""
    first, second = one["backup_server"], other["backup_server"]
    if first is None or second is None:
        return True
    return bool(first["id"] and first["id"] == second["id"]) or bool(first["name"] and first["name"] == second["name"])


# Start, test, undo


def start_date(value: str, action: str, now: datetime) -> str:
    """Option ``restore_point_before`` as EM's ``StartDate``.

    :raises OptionError: it is no time, lies ahead, or the action has no use for it.
    """
    if action != "start":
        raise OptionError("restore_point_before", value, f"Leave it out: EM takes it with action start, not {action}.")
    bound = _bound("restore_point_before", value, now) or ""
    if bound[:19] > now.isoformat()[:19]:
        accepted = (
            "Give a moment that is over: it picks restore points and is no timer. Leave it out for the newest ones."
        )
        raise OptionError("restore_point_before", value, accepted)
    return f"{bound[:19]}Z"


@dataclass
class Run:
    """One action on a plan, and what is known of it at each moment, so that an error can say how far it came.

    Use it in this order: :meth:`look`, and unless that finds that the plan is running already, :meth:`ask` and
    :meth:`settle`.

    :arg plan: as :func:`whole_facts`.
    :arg twins: other plans whose sessions cannot be told from those of this one.
    :ivar session: facts of the session that the action has made, or that is running already.
    :ivar already_running: whether the action was not asked for, since :attr:`session` is running.
    :ivar asked: whether EM was asked for the action, and may have carried it out.
    :ivar task: EM's task: ``state``, ``success`` and ``message``, each None where it is not known.
    """

    client: EnterpriseManager
    plan: Fact
    twins: list[Fact]
    action: str
    session: Fact | None = None
    already_running: bool = False
    asked: bool = False
    task: Fact = field(default_factory=NO_TASK.copy)
    _known: frozenset[str] = frozenset()
    _path: str | None = None
    _logon: int = 0
    _unknown: int = 0
    _linked: str | None = None
    _lost: EmError | None = None

    @property
    def tried(self) -> str:
        return f"{self.action.capitalize()} of plan {self.client.shown(self.plan['name'])}"

    @property
    def url(self) -> str:
        return self.client.on_base_url(f"{COLLECTION}/{self.plan['id']}?action={self.action}")

    def look(self, force: bool) -> None:
        """See what the plan does and what sessions it has, immediately before :meth:`ask`.

        :arg force: take the action even if a session is running.
        :raises EmBusyError: a session is running, and it cannot stand for what is asked for.
        """
        sessions = self._sessions()
        self._known = frozenset(fact["id"] for fact in sessions)
        running = [fact for fact in sessions if not fact["finished"]]
        if not running or force:
            return
        newest = running[-1]
        what = f"shows session {newest['id']} in state {newest['state']} since {newest['creation_time']}"
        check = "Wait for its end with failover_session_wait, or give force to take the action all the same."
        if self.action == "undo":
            happened = f"{what}, which may be a start, a test or an undo of this plan"
            raise EmBusyError(self.tried, self.url, happened, check, 200)
        if self.twins:
            happened = f"{what}, and it may belong to {_listed(self.client, [self.plan, *self.twins])}"
            raise EmBusyError(self.tried, self.url, happened, check, 200)
        self.session = _wait.with_kept_tasks(newest, None, None)
        self.already_running = True
        self.client.warn(
            f"Plan {self.client.shown(self.plan['name'])} has a session that is not over, {newest['id']} in state {newest['state']} "
            f"since {newest['creation_time']}, so no second one was made. EM does not say whether it is a start, a test or an undo."
        )

    def _sessions(self) -> list[Fact]:
        """The sessions of the plan (by name and backup server, for EM gives no other link), oldest first."""
        criteria = Criteria(now=_wait.utc_now(), names=frozenset({self.plan["name"]}), descending=False)
        return [fact for fact in find_sessions(self.client, criteria).sessions if _same_server(fact, self.plan)]

    def ask(self, before: str | None) -> None:
        """Send the action to EM, once.

        :arg before: restore points must be older than this; see :func:`start_date`.
        :raises EmError: EM has refused it. Where that is in doubt, :meth:`settle` finds out.
        """
        body = b""
        if self.action == "start":
            choice = f"<StartDate>{before}</StartDate>" if before else "<StartNow>true</StartNow>"
            kind = "CloudFailoverPlanManagementSpec"
            body = f'<{kind} xmlns="http://www.veeam.com/ent/v1.0">{choice}</{kind}>'.encode()
        self.asked = True
        path = f"{COLLECTION}/{self.plan['id']}?action={self.action}"
        try:
            with self._saying_so():
                document = self.client.post(path, self.tried, body)
        except EmError as exc:
            if not exc.in_doubt:
                self.asked = False
                raise
            self._lost = exc
        else:
            self._logon = self.client.logons
            task = document.items[0] if document.root == "Task" else {}
            number = _xml.text(task, "TaskId")
            self._path = _xml.text(task, "Href") or (f"/api/tasks/{number}" if number else None)
            if self._path:
                self._keep(task)
            else:
                happened = f"was answered with a document {self.client.shown(document.root)} that is no task"
                self._lost = EmProtocolError(self.tried, self.url, happened, CHECK_EM, 200)
        if self._lost:
            self.client.warn(f"{self._lost} It is looked for a session that it may have made.")

    @contextmanager
    def _saying_so(self) -> Iterator[None]:
        """What somebody must know who interrupts it."""
        try:
            yield
        except KeyboardInterrupt as exc:
            known = f" as session {self.session['id']}" if self.session else ""
            words = f"The {self.action} of plan {self.plan['name']} may go on in EM{known}"
            raise Interrupted(f"{str(exc) or 'Interrupted.'} {words}; check it there.") from None

    def settle(self, seconds: float, interval: float, wait: bool) -> None:
        """Follow EM's task until the session of the action is known, or an undo is over.

        What decides is the session that the task links to. Without a link it is a session of the plan that was not there
        before, if there is one only: EM's clock may be wrong, so times decide nothing.

        :arg seconds: give up after this time.
        :arg wait: if false, follow the task of an undo for :data:`CLAIM` seconds only, in which EM may refuse it.
        :raises EmRefusedError: the task did not succeed.
        :raises EmInDoubtError: it is not known whether the action was carried out, or which session is its own.
        :raises EmWaitError: the task is not over in time.
        """
        patience = _wait.Patience(self.client, seconds, min(interval, SETTLE_INTERVAL))
        with self._saying_so():
            until: float | None = None
            alone_since: float | None = None
            new: list[Fact] = []
            for new in patience.rounds(self._round):
                now = _wait.monotonic()
                until = until or now + SETTLE
                alone_since = (alone_since or now) if len(new) == 1 else None
                if self.task["success"] is False:
                    said = self.task["message"] or "no reason"
                    check = "Nothing is repeated. Look at the plan in the console, at its replicas and their restore points."
                    happened = f"took it as a task that did not succeed, with the message '{said}'"
                    raise EmRefusedError(self.tried, self.url, happened, check, 200, said)
                late = now >= until
                if self._settled(new, alone_since is not None and now - alone_since >= CLAIM):
                    break
                if late and (self._lost or self._task_is_over()):
                    raise self._in_doubt(new)
                if self.action == "undo" and not wait and now >= until - SETTLE + CLAIM:
                    break
            else:
                if self._lost or self._task_is_over() or patience.outage:
                    raise self._in_doubt(new, patience.outage)
                check = "It goes on in EM. Wait with failover_session_wait, or look at the plan in the console."
                happened = f"took it as a task that is still in state {self.task['state']} after {seconds:g} seconds"
                raise EmWaitError(self.tried, self.url, happened, check, 200)
        others = [fact["id"] for fact in new if self.session and fact["id"] != self.session["id"]]
        if others:
            self.client.warn(
                f"Plan {self.client.shown(self.plan['name'])} has more sessions that began at the same time: {', '.join(others)}. "
                "It was also started from elsewhere; EM has no lock against that."
            )

    def follow(self, seconds: float, interval: float) -> None:
        """Wait until :attr:`session` is over.

        :raises EmWaitError: it is not over after so many seconds.
        """
        if self.session is None or self.session["finished"]:
            return
        with self._saying_so():
            for fact in _wait.until_finished(self.client, self.session["id"], seconds, interval, self.session):
                self.session = fact

    def _round(self) -> list[Fact]:
        """Ask EM for the state of things; returns the sessions that were not there before."""
        new = [fact for fact in self._sessions() if fact["id"] not in self._known]
        self._read_task()
        if self._linked and self._linked not in [fact["id"] for fact in new]:
            linked = _wait.read(self.client, self._linked)
            new += [linked] if linked else []
        return new

    def _read_task(self) -> None:
        if self._task_is_over():
            return
        try:
            task = self.client.get(self._path or "", f"{self.tried}: read its task").items[0]
        except (EmNotFoundError, EmServerError, EmProtocolError, IndexError):
            # The sessions could just be read, so EM is well and does not know its task, be it with 404 or with 500.
            self._unknown += 1
            return
        if self.client.logons == self._logon:  # else this is a task of the new logon, which has other tasks
            self._unknown = 0
            self._keep(task)

    def _keep(self, task: _xml.Entity) -> None:
        result = next(iter(_xml.objects(task, "Result")), {})
        success = _flag(_xml.text(result, "Success"))
        if _flag(_xml.text(result, "CredentialsNeeded")) or _flag(_xml.text(result, "ConfirmationNeeded")):
            success = False  # nobody is there to give them
        message = self.client.shown(_xml.text(result, "Message") or "") or None
        self.task = {"state": _xml.text(task, "State"), "success": success, "message": message}
        for link in _xml.links(task):
            href = _xml.text(link, "Href") or ""
            if link.get("Rel") == "Related" and "/failoversessions/" in href.lower():
                self._linked = _xml.guid(href)

    def _task_is_over(self) -> bool:
        """Whether nothing more can be learned from the task: it is finished, or EM does not know it, or not any more."""
        gone = self._path is None or self._unknown >= MAX_UNKNOWN or self.client.logons != self._logon
        return gone or self.task["state"] == "Finished"

    def _settled(self, new: list[Fact], claim: bool) -> bool:
        """Whether the action's own session is known, or none is needed; then it is in :attr:`session`."""
        over = self._task_is_over()
        own = [fact for fact in new if fact["id"] == self._linked]
        if not own and len(new) == 1 and not self.twins and not self._linked and (claim or over):
            own = new
        if own:
            self.session = _wait.with_kept_tasks(own[0], self.session, None)
        if self.action == "undo":  # is over with its task; a session is not documented for it
            return over and (bool(own) or self.task["success"] is True)
        return bool(own)

    def _in_doubt(self, new: list[Fact], outage: EmError | None = None) -> EmInDoubtError:
        ids = ", ".join(fact["id"] for fact in new)
        if self._linked:
            happened = f"says that it made session {self._linked}, but does not show it"
        elif new:
            happened = f"does not say which session it made; new ones of this name are {ids}"
        elif self.task["success"]:
            happened = "says that it succeeded, but shows no new session of this plan"
        else:
            happened = "shows no new session of this plan, so it is not known whether it was carried out"
        if outage:
            happened = f"cannot be asked, so it is not known whether it was carried out ({str(outage).rstrip('.')})"
        if self._lost:
            happened += f", after this: {str(self._lost).rstrip('.')}"
        check = "Do not repeat it blindly. Check in the console whether the plan is running, and read its sessions with failover_session_info."
        return EmInDoubtError(self.tried, self.url, happened, check, self._lost.status if self._lost else 200)


def judge(session: Fact, warn: Callable[[str], None]) -> Fact:
    """What the result of a task gets besides for a run that is over: nothing, or what makes it a failure.

    :arg warn: is given a sentence for a run that has ended with ``Warning``.
    """
    reason = why_failed(session)
    if reason is None:
        if not session["succeeded"]:
            warn(f"Session {session['id']} has ended with result {session['result']}.")
        return {}
    error = {"kind": "run_failed", "status": None, "message": session["failure_message"]}
    return {"failed": True, "msg": reason, "error": error, "timed_out": False}


def why_failed(session: Fact) -> str | None:
    """A sentence if a run that is over cannot be called carried out, else None.

    ``Warning`` can, unless one of the VMs has failed; a session may be ``Warning`` or even ``Success`` all the same.
    """
    failed = [task for task in session["tasks"] if task["result"] == "Failed"]
    if session["result"] in ("Success", "Warning") and not failed:
        return None
    reasons = [
        cut(one_line(f"{task['vm_name']}: {task['failure_message'] or 'no reason given'}"), LONGEST_MESSAGE)
        for task in failed[:5]
    ]
    reasons += [f"and {len(failed) - 5} more"] if len(failed) > 5 else []
    said = cut(one_line(session["failure_message"] or ""), LONGEST_MESSAGE)
    result = "without a result" if session["result"] == "None" else f"with result {session['result']}"
    return (
        f"The run of plan {one_line(session['name'] or '')} (session {session['id']}) has ended {result}"
        + (f" and the message '{said}'" if said else "")
        + (f"; VMs that failed: {', '.join(reasons)}" if reasons else "")
        + ". Look at failover_session in this result, and at the session in the console."
    )
