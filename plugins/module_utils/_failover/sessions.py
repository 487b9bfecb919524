# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""Cloud failover sessions: criteria -> query -> facts. Every front end calls :func:`find`.

Source of the fields, their values and their quirks: docs/evidence.md, "The cloud failover session".
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .._api import query as _query
from .._api import xml as _xml
from .._api.client import EnterpriseManager
from .._api.errors import CHECK_EM, EmNotFoundError, EmProtocolError
from .criteria import SessionCriteria
from .facts import RESULTS, STATES, Fact, Session, sort_key
from .permissions import READ_SESSIONS
from .times import parse_and_format_time, utc_now

COLLECTION = "/api/cloud/failoverSessions"
ENTITY_TYPE = "CloudFailoverSession"

DIRECT_READS = 5
"""Up to so many ids are read one by one; of those that a query has not found, the first so many are asked for again."""
FIRST_FEW = 10
"""So many sessions are looked at even if fewer are wanted: enough to see whether EM sorts as it was asked to."""


# Facts


def session_facts(entity: _xml.Entity) -> Fact:
    """The facts of one session, as RETURN of failover_session_info describes them, from an entity (not a reference).

    :raises ValueError: the entity has no id.
    """
    guid = _id(entity)
    tasks = [_task_facts(task) for task in _xml.children(entity, "CloudFailoverTasks")]
    return {
        "id": guid,
        "uid": _xml.text(entity, "UID") or f"urn:veeam:{ENTITY_TYPE}:{guid}",
        "name": _xml.text(entity, "Name") or _xml.text(entity, "CloudFailoverPlanName"),
        "job_type": _xml.text(entity, "JobType"),
        **_run_facts(entity),
        "backup_server": backup_server(entity),
        "href": _path(_xml.text(entity, "Href")) or f"{COLLECTION}/{guid}",
        "tasks": tasks,
        "task_summary": _task_summary(tasks),
    }


def _id(item: _xml.Entity) -> str:
    guid = _xml.guid(_xml.text(item, "UID")) or _xml.guid(_xml.text(item, "Href"))
    if guid is None:
        raise ValueError("a session has neither a UID nor an Href with a GUID")
    return guid


def _task_facts(task: _xml.Entity) -> Fact:
    link = next(iter(_xml.objects(task, "VmReplicaPointLink")), None)
    point = None if link is None else _point_behind(link)
    return {"vm_name": _xml.text(task, "VmName"), **_run_facts(task), "replica_point": point}


def _point_behind(link: _xml.Entity) -> Fact:
    """What a session says of a replica point; the rest is read by ``_replica_points``."""
    guid, name = _xml.guid(_xml.text(link, "Href")), _xml.text(link, "Name")
    return {"id": guid, "name": name, "creation_time": None, "state": None}


def _run_facts(entity: _xml.Entity) -> Fact:
    """What a session and a task have in common."""
    state = _xml.text(entity, "State")
    # "None" is EM's word while running. It also stands in for a missing result, which tells as little.
    result = _xml.text(entity, "Result") or "None"
    finished = state == "Stopped"  # the only word that ends a run; Progress and Result do not (docs/evidence.md)
    start, creation_time = parse_and_format_time(_xml.text(entity, "CreationTimeUTC"))
    end, end_time = parse_and_format_time(_xml.text(entity, "EndTimeUTC") if finished else None)
    duration = (end - start).total_seconds() if start and end and end >= start else None
    return {
        "state": state,
        "result": result,
        "progress": _xml.whole_number(_xml.text(entity, "Progress")),
        "failure_message": _xml.text(entity, "FailureMessage"),
        "creation_time": creation_time,
        "end_time": end_time,
        "duration": duration,
        "finished": finished,
        "succeeded": result == "Success" if finished else None,
    }


def _task_summary(tasks: list[Fact]) -> dict[str, int]:
    summary = {"total": len(tasks), "success": 0, "warning": 0, "failed": 0, "running": 0, "other": 0}
    for task in tasks:
        if task["finished"]:
            word = task["result"].lower()
            summary[word if word in ("success", "warning", "failed") else "other"] += 1
        else:
            summary["running"] += 1
    return summary


def backup_server(entity: _xml.Entity) -> dict[str, str | None] | None:
    """The server behind the link Up. A type decides, or the path: other objects have a second link Up to their parent."""
    for link in _xml.links(entity):
        href = _xml.text(link, "Href") or ""
        if link.get("Rel") == "Up" and (
            (_xml.text(link, "Type") or "").startswith("BackupServer") or "/backupServers/" in href
        ):
            return {"id": _xml.guid(href), "name": _xml.text(link, "Name")}
    return None


def _path(href: str | None) -> str | None:
    """Path of a link without query; the host is EM's own idea. None of what could lead to another host behind a URL."""
    if not href:
        return None
    rest = href.partition("://")[2]
    path = ("/" + rest.partition("/")[2] if rest else href).partition("?")[0]
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else None


# Finding


@dataclass
class SessionResult:
    """What :func:`find` found.

    :ivar sessions: facts, sorted and cut as the criteria say.
    :ivar missing_ids: GUIDs that were asked for and that EM does not know.
    :ivar filter: the filter that EM was sent and accepted, or None. Pieces of a long id list stand side by side (OR).
    :ivar from_collection: whether EM refused or forbade to query sessions, so that its collection was read, which covers 30 days.
    """

    sessions: list[Fact] = field(default_factory=list)
    missing_ids: list[str] = field(default_factory=list)
    filter: str | None = None
    from_collection: bool = False


class SessionReader:
    """Reads the cloud failover sessions of one EM."""

    def __init__(self, client: EnterpriseManager) -> None:
        self._client = client

    def list_sessions(self, criteria: SessionCriteria) -> SessionResult:
        """The sessions for which all criteria hold.

        :raises EmError: EM could not be read completely; there is no partial answer.
        """
        return find(self._client, criteria)

    def iter_sessions(self, criteria: SessionCriteria) -> Iterator[Session]:
        """The same, each as soon as its page is read; see :func:`iter_sessions`."""
        return iter_sessions(self._client, criteria)

    def read_session(self, guid: str) -> Session | None:
        """The facts of one session, or None where EM does not know it."""
        return next(iter(self.list_sessions(SessionCriteria(now=utc_now(), ids=(guid,))).sessions), None)


def find(client: EnterpriseManager, criteria: SessionCriteria) -> SessionResult:
    """Ask an EM for the sessions for which all criteria hold.

    What EM can filter is filtered by EM, and every criterion is checked again here: EM drops spaces in unquoted
    values, its case rules are unknown, and its 30-day window may differ between resources.

    :raises EmError: EM could not be read completely; there is no partial answer.
    """
    answer = SessionResult()
    with _collector_paused():
        found = _found(client, criteria, answer)
    found.sort(key=sort_key, reverse=criteria.descending)
    answer.sessions = found[: criteria.limit]
    return answer


@contextmanager
def _collector_paused() -> Iterator[None]:
    """While a long list grows, Python's garbage collector looks through all of it again and again, for cycles that pages and
    facts do not have: they go as soon as nobody holds them."""
    was_running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_running:
            gc.enable()


def _found(client: EnterpriseManager, criteria: SessionCriteria, answer: SessionResult) -> list[Fact]:
    """What :func:`find` finds, neither sorted nor cut."""
    if criteria.ids is not None:
        found = [fact for fact in _by_ids(client, criteria, answer) if criteria.matches(fact)]
        return _newest_of_their_plan(client, criteria, found, answer) if criteria.latest_per_plan and found else found
    if criteria.latest_per_plan:
        # Newest of its plan is a property of a session, so other sessions of the plan count even if they fail a criterion.
        newest = _newest_per_plan(_by_query(client, criteria, answer, plans_only=True))
        return [fact for fact in newest if criteria.matches(fact)]
    if criteria.limit is not None:
        return _first_few(client, criteria, criteria.limit, answer)
    return list(iter_sessions(client, criteria, answer))


def iter_sessions(
    client: EnterpriseManager, criteria: SessionCriteria, answer: SessionResult | None = None
) -> Iterator[Fact]:
    """The sessions for which all criteria hold, each as soon as its page is read, in EM's order (oldest first).

    EventState is that of a few pages, however many there are. Ids, ``latest_per_plan``, ``limit`` and ``sort_order`` need
    all sessions at once, so they are those of :func:`find` only.

    :arg answer: is told the filter and the source when the iteration is over.
    :raises EmError: as :func:`find`, after sessions may have been given out: what has come then is not all.
    """
    for fact in _by_query(client, criteria, answer or SessionResult()):
        if criteria.matches(fact):
            yield fact


def _newest_per_plan(facts: Iterable[Fact]) -> list[Fact]:
    newest: dict[tuple[Any, Any], Fact] = {}
    for fact in facts:
        server = fact["backup_server"] or {}
        plan = (fact["name"], server.get("id") or server.get("name"))
        if plan not in newest or sort_key(fact) > sort_key(newest[plan]):
            newest[plan] = fact
    return list(newest.values())


def _newest_of_their_plan(
    client: EnterpriseManager, criteria: SessionCriteria, found: list[Fact], answer: SessionResult
) -> list[Fact]:
    """Of sessions found by id, those that no other session of their plan is newer than."""
    names = frozenset(fact["name"] for fact in found)
    plans = SessionCriteria(now=criteria.now, names=None if None in names else names, page_size=criteria.page_size)
    reading = _reading(client, plans, _expression(client, plans))
    newest = {fact["id"] for fact in _newest_per_plan([*_facts_of(client, reading), *found])}
    answer.from_collection = answer.from_collection or reading.from_collection
    return [fact for fact in found if fact["id"] in newest]


def _by_query(
    client: EnterpriseManager, criteria: SessionCriteria, answer: SessionResult, plans_only: bool = False
) -> Iterator[Fact]:
    """All sessions that EM filters out for the criteria, oldest first: new ones then appear at the end of the paging."""
    reading = _reading(client, criteria, _expression(client, criteria, plans_only), shrinking=not plans_only)
    yield from _facts_of(client, reading)
    answer.filter, answer.from_collection = reading.expression, reading.from_collection


def _first_few(client: EnterpriseManager, criteria: SessionCriteria, limit: int, answer: SessionResult) -> list[Fact]:
    """At least the first ``limit`` sessions by the order asked for, with no more pages read than that takes."""
    # One more than wanted shows that no session of the same moment as the last one is still to come.
    page_size = min(criteria.page_size, max(limit + 1, FIRST_FEW))
    expression = _expression(client, criteria)
    reading = _reading(client, criteria, expression, criteria.descending, page_size, shrinking=True, ahead=False)
    found: list[Fact] = []
    last: str | None = None
    in_order = True
    seen = 0
    for number, page in enumerate(reading, 1):
        for fact in _facts_of(client, [page]):
            seen += 1
            this = fact["creation_time"] or ""
            in_order = in_order and (last is None or (this <= last if criteria.descending else this >= last))
            last = this
            if criteria.matches(fact):
                found.append(fact)
        # If EM does not sort as asked, only reading everything shows which are the first.
        enough = len(found) >= limit and seen >= FIRST_FEW and last != (found[limit - 1]["creation_time"] or "")
        still = number == 1 or not reading.shrinking  # else what moved up unseen comes only with another reading
        if enough and in_order and still and not reading.from_collection:
            break
    answer.filter, answer.from_collection = reading.expression, reading.from_collection
    return found


def _reading(
    client: EnterpriseManager,
    criteria: SessionCriteria,
    expression: str | None,
    descending: bool = False,
    page_size: int | None = None,
    shrinking: bool = False,
    ahead: bool = True,
) -> _query.Reading:
    """The pages for a filter. It can shrink while they are read if it asks for what runs: a run may end meanwhile."""
    running = (criteria.states or frozenset()) - {"Stopped"} or "None" in (criteria.results or ())
    return _query.Reading(
        client,
        ENTITY_TYPE,
        COLLECTION,
        READ_SESSIONS,
        expression,
        sort="CreationTime",
        descending=descending,
        page_size=page_size or criteria.page_size,
        shrinking=bool(shrinking and running),
        ahead=ahead,
        collection_limit=", which Veeam documents to cover the last 30 days only",
    )


def _facts_of(client: EnterpriseManager, pages: Iterable[list[_xml.Entity]]) -> Iterator[Fact]:
    """Facts of each item of each page. A reference is no session (it has no State): its entity is read first.

    :raises EmProtocolError: an item has no id or is of another type, or EM knows none of the sessions it lists.
    """
    gone = 0
    known = 0
    for item in (item for page in pages for item in page):
        try:
            is_session, guid = _is_session(item), _id(item)
        except ValueError as exc:
            raise _not_whole(client, f"gave an answer in which {exc}") from None
        entity = item if is_session else _entity(client, guid)
        if entity is None:
            name = client.redact(_xml.text(item, "Name") or "without a name")
            client.warn(f"EM lists a session {guid} ({name}) but does not know it when asked for it; it is left out.")
            gone += 1
        else:
            known += 1
            yield session_facts(entity)
    if gone and not known:
        raise _not_whole(client, f"lists {gone} sessions and knows none of them when asked for it")


def _not_whole(client: EnterpriseManager, happened: str) -> EmProtocolError:
    check = "No part of the answer is returned, since it may not be whole. Try again, and check the state of EM."
    return EmProtocolError(READ_SESSIONS, client.on_base_url(COLLECTION), client.redact(happened), check, 200)


def _is_session(item: _xml.Entity) -> bool:
    """Tell the entity of a session from a reference to one.

    :raises ValueError: it is an object of another type.
    """
    kind = _xml.text(item, "Type")
    if kind is not None and not kind.startswith(ENTITY_TYPE):
        raise ValueError(f"an object is a {kind} and no {ENTITY_TYPE}")
    return kind == ENTITY_TYPE or (_xml.text(item, "State") is not None and kind is None)


def _entity(client: EnterpriseManager, guid: str) -> _xml.Entity | None:
    """One session by its id, or None where EM does not know it.

    :raises EmProtocolError: EM gives something else than that session.
    """
    path = f"{COLLECTION}/{guid}?format=Entity"
    try:
        document = client.get(path, READ_SESSIONS, about=guid)
    except EmNotFoundError:
        return None
    entity = document.items[0] if document.shape == _xml.ENTITY else {}
    try:
        if _is_session(entity) and guid in (_xml.guid(_xml.text(entity, "UID")), _xml.guid(_xml.text(entity, "Href"))):
            return entity
    except ValueError:
        pass
    happened = f"answered with a document {client.redact(document.root)} that is not the entity of this session"
    raise EmProtocolError(READ_SESSIONS, client.on_base_url(path), happened, CHECK_EM, 200)


# Finding by id


def _by_ids(client: EnterpriseManager, criteria: SessionCriteria, answer: SessionResult) -> list[Fact]:
    """The sessions with these ids. Few are read directly, which is the surest; many by queries of many ids each."""
    wanted = list(criteria.ids or ())
    found: dict[str, Fact] = {}
    # A query may see less than a direct read does. It is trusted for ids that it has not found only as long as direct
    # reads of the first few agree with it, and not at all where the collection with its 30 days had to stand in for it.
    trusted = False
    if len(wanted) > DIRECT_READS:
        found = _by_id_queries(client, criteria, wanted, answer)
        trusted = not answer.from_collection
    asked = 0
    for guid in wanted:
        if guid in found:
            continue
        asked += 1
        entity = None if trusted and asked > DIRECT_READS else _entity(client, guid)
        if entity is None:
            answer.missing_ids.append(guid)
        else:
            found[guid] = session_facts(entity)
            trusted = False
    if answer.missing_ids:
        _check_missing(client, answer.missing_ids)
    return list(found.values())


def _check_missing(client: EnterpriseManager, missing: list[str]) -> None:
    """Before ids are called unknown, EM must show that it can list sessions at all, and that it does not list these.

    :raises EmError: it cannot, so it is in no state to say what it does not know; or it lists one of them.
    """
    document = client.get(COLLECTION, READ_SESSIONS)
    _query.expect_list(client, document, _query.COLLECTION_SHAPES, READ_SESSIONS, COLLECTION, "sessions")
    listed = {_xml.identity(item) for item in document.items}
    contradicted = [guid for guid in missing if guid in listed]
    if contradicted:
        raise _not_whole(client, f"lists the session {contradicted[0]} and does not know it when asked for it")


def _by_id_queries(
    client: EnterpriseManager, criteria: SessionCriteria, wanted: list[str], answer: SessionResult
) -> dict[str, Fact]:
    """The sessions that queries by UID find: by URN and, if that finds nothing at all, by GUID; EM documents both."""
    found: dict[str, Fact] = {}
    for prefix in (f"urn:veeam:{ENTITY_TYPE}:", ""):
        sent: list[str] = []
        terms = [_query.quoted("UID", "==", f"{prefix}{guid}") for guid in wanted]
        for piece in _query.pieces(client, terms):
            reading = _reading(client, criteria, _query.any_of(piece))
            found.update((fact["id"], fact) for fact in _facts_of(client, reading))
            if reading.expression is None:  # refused, so everything has been read
                answer.from_collection = reading.from_collection
                return found
            sent.append(reading.expression)
        answer.filter = ",".join(sent)
        if found:
            break
    return found


# The filter for EM


def _expression(client: EnterpriseManager, criteria: SessionCriteria, plans_only: bool = False) -> str | None:
    """The filter expression for what EM can filter. It may let through too much, never too little.

    :arg plans_only: leave out what would hide the newest session of a plan.
    """
    terms = [
        *_query.one_of("Name", criteria.names or ()),
        *_query.one_of("BackupServerName", criteria.backup_servers or ()),
        *_not_before("CreationTime", criteria.created_after),
    ]
    if not plans_only:
        terms += [
            *_not_after("CreationTime", criteria.created_before),
            *_not_before("EndTime", criteria.ended_after),
            *_not_after("EndTime", criteria.ended_before),
            *_states(criteria.states),
            *_results(criteria.results),
            *_active_since(criteria.active_since),
        ]
    # Very many names make a longer filter than a URL can hold; the longest terms are then left to the check here.
    terms.sort(key=len)
    while terms and not _query.fits(client, _query.all_of(terms)):
        terms.pop()
    return _query.all_of(terms) if terms else None


# Bounds go out in whole seconds and a second wider than asked for: EM's database may round. The exact check follows.


def _not_before(name: str, bound: str | None) -> list[str]:
    return [] if bound is None else [_query.quoted(name, ">=", _whole_seconds(bound, -1))]


def _not_after(name: str, bound: str | None) -> list[str]:
    return [] if bound is None else [_query.quoted(name, "<=", _whole_seconds(bound, 2))]


def _active_since(bound: str | None) -> list[str]:
    """All three, since EM may give no end, and a run that has ended would drop out of what runs."""
    if bound is None:
        return []
    times = [*_not_before("CreationTime", bound), *_not_before("EndTime", bound)]
    return [_query.any_of([_query.comparison("State", "!=", "Stopped"), *times])]


def _whole_seconds(bound: str, later: int) -> str:
    return (datetime.fromisoformat(bound[:19]) + timedelta(seconds=later)).isoformat() + "Z"


def _states(states: frozenset[str] | None) -> list[str]:
    if states is None:
        return []
    return [_query.any_of([_query.comparison("State", "==", word) for word in STATES if word in states])]


def _results(results: frozenset[str] | None) -> list[str]:
    """``None`` is documented nowhere as a word for filters, so it is asked for by what it is not, or by the state."""
    if results is None or len(results) == len(RESULTS):
        return []
    if "None" not in results:
        return [_query.any_of([_query.comparison("Result", "==", word) for word in RESULTS if word in results])]
    others = [_query.comparison("Result", "!=", word) for word in RESULTS[1:] if word not in results]
    return [_query.any_of([_query.all_of(others), _query.comparison("State", "!=", "Stopped")])]
