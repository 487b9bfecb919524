# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""Cloud failover sessions: criteria -> query -> facts. Every front end calls :func:`find`.

Source of the fields, their values and their quirks: docs/evidence.md, "The cloud failover session".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

from . import _query, _xml
from ._client import EnterpriseManager
from ._errors import CHECK_EM, EmNotFoundError, EmProtocolError, OptionError

Fact = dict[str, Any]

COLLECTION = "/api/cloud/failoverSessions"
ENTITY_TYPE = "CloudFailoverSession"
TRIED = "Read cloud failover sessions"

STATES = ("Starting", "Working", "Stopping", "Stopped")
RESULTS = ("None", "Success", "Warning", "Failed")
SORT_ORDERS = ("descending", "ascending")
LARGEST_PAGE = 1000

DIRECT_READS = 5
"""Up to so many ids are read one by one; of those that a query has not found, the first so many are asked for again."""
FIRST_FEW = 10
"""So many sessions are looked at even if fewer are wanted: enough to see whether EM sorts as it was asked to."""

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ID = re.compile(rf"(?:urn:veeam:\w*Session\w*:|\S*/failoverSessions/)?({_GUID.pattern})/?(?:\?\S*)?", re.IGNORECASE)
_TIME = re.compile(r"(\d{4})(-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d)?(?:[.,](\d+))? ?(Z|[+-]\d\d(?::?\d\d)?)?", re.IGNORECASE)
_AGE = re.compile(r"(\d{1,6})\s*([smhdw])", re.IGNORECASE)
_AGE_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


# Times


def moment(value: str | None) -> datetime | None:
    """A time as EM writes it (``2015-12-07T17:38:16Z``, 0 to 8 fraction digits), as naive UTC.

    A value without zone is read as UTC. None for missing or unreadable text, and for years before 1971 and from 9999
    on, which mean "never" (docs/evidence.md, "Date and time").
    """
    match = _TIME.fullmatch(value.strip()) if value else None
    if match is None:
        return None
    year, date, minutes, seconds, fraction, zone = match.groups()
    if not 1970 < int(year) < 9999:
        return None
    try:
        when = datetime.fromisoformat(f"{year}{date}T{minutes}{seconds or ':00'}.{(fraction or '0')[:6]:0<6}")
        if zone and zone.upper() != "Z":
            ahead = timedelta(hours=int(zone[1:3]), minutes=int(zone[3:].lstrip(":") or 0))
            when = when - ahead if zone[0] == "+" else when + ahead
        return when
    except (ValueError, OverflowError):
        return None


def timestamp(when: datetime | None) -> str | None:
    """The one format of times in facts: UTC, six digits, ``Z``. It sorts as text."""
    return None if when is None else when.isoformat(timespec="microseconds") + "Z"


# Criteria


@dataclass(frozen=True)
class Criteria:
    """What to select, checked and ready to use. Make it with :meth:`from_options`.

    Times are texts as in facts (see :func:`timestamp`); "after" is inclusive, "before" exclusive.
    """

    now: datetime
    ids: tuple[str, ...] | None = None
    names: frozenset[str] | None = None
    states: frozenset[str] | None = None
    results: frozenset[str] | None = None
    backup_servers: frozenset[str] | None = None
    created_after: str | None = None
    created_before: str | None = None
    ended_after: str | None = None
    ended_before: str | None = None
    latest_per_plan: bool = False
    descending: bool = True
    limit: int | None = None
    page_size: int = _query.DEFAULT_PAGE_SIZE

    @classmethod
    def from_options(cls, option: Callable[[str], Any], now: datetime | None = None) -> Criteria:
        """Check the options of DESIGN "Criteria" and make them a :class:`Criteria`.

        :arg option: gives the value of the option with that name, None where it is not set.
        :arg now: the moment ages count from, naive UTC; read once per run.
        :raises OptionError: names the option and what would be accepted.
        """
        now = now or datetime.now(timezone.utc).replace(tzinfo=None)
        limit = option("limit")
        if limit is not None and limit < 1:
            raise OptionError("limit", limit, "Give a whole number, 1 or more, or leave it out for all sessions.")
        page_size = option("page_size")
        if page_size is None:
            page_size = cls.page_size
        if not 1 <= page_size <= LARGEST_PAGE:
            raise OptionError("page_size", page_size, f"Give a whole number from 1 to {LARGEST_PAGE}.")
        order = option("sort_order") or SORT_ORDERS[0]
        if order not in SORT_ORDERS:
            raise OptionError("sort_order", order, f"Give one of: {', '.join(SORT_ORDERS)}.")
        ids = _values(option, "id")
        bounds = {
            name: _bound(name, option(name), now)
            for name in ("created_after", "created_before", "ended_after", "ended_before")
        }
        for event in ("created", "ended"):
            after, before = bounds[f"{event}_after"], bounds[f"{event}_before"]
            if after and before and after >= before:
                accepted = f"Give a moment before {event}_before, which is {before}; between the two no session can be."
                raise OptionError(f"{event}_after", option(f"{event}_after"), accepted)
        return cls(
            now=now,
            ids=None if ids is None else tuple(dict.fromkeys(session_id(value) for value in ids)),
            names=_names(option, "name"),
            states=_words(option, "state", STATES),
            results=_words(option, "result", RESULTS),
            backup_servers=_names(option, "backup_server"),
            latest_per_plan=bool(option("latest_per_plan")),
            descending=order == "descending",
            limit=limit,
            page_size=page_size,
            **bounds,
        )

    def hold_for(self, fact: Fact) -> bool:
        """Whether all criteria about one session by itself hold for its facts (all but ``latest_per_plan`` and ``limit``)."""
        server = fact["backup_server"]
        return (
            (self.ids is None or fact["id"] in self.ids)
            and (self.names is None or fact["name"] in self.names)
            and (self.states is None or fact["state"] in self.states)
            and (self.results is None or fact["result"] in self.results)
            and (self.backup_servers is None or (server is not None and server["name"] in self.backup_servers))
            and _within(fact["creation_time"], self.created_after, self.created_before)
            and _within(fact["end_time"], self.ended_after, self.ended_before)
        )


def session_id(value: str) -> str:
    """The GUID, in lower case, of a session given as GUID, URN or Href.

    :raises OptionError: it is none of these.
    """
    match = _ID.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        accepted = (
            "Give the id of a session as GUID (475420ee-d045-4493-9869-0a970e08f6f9), as URN (urn:veeam:CloudFailoverSession:<GUID>) "
            "or as Href (https://em.example.com:9398/api/cloud/failoverSessions/<GUID>)."
        )
        raise OptionError("id", value, accepted)
    return match.group(1).lower()


def _values(option: Callable[[str], Any], name: str) -> list[str] | None:
    values: list[str] | None = option(name)
    if values == []:
        # Reading it as "all" would answer a runbook that computed no ids with everything there is.
        accepted = "An empty list selects nothing; leave the option out (or give omit) to select all."
        raise OptionError(name, values, accepted)
    return values


def _names(option: Callable[[str], Any], name: str) -> frozenset[str] | None:
    values: Any = _values(option, name)
    if values is None:
        return None
    if not isinstance(values, list):
        values = [values]  # not split at commas, since names may contain them
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
            accepted = "Give a name or a list of names (in quotes); leave the option out (or give omit) to select all."
            raise OptionError(name, value, accepted)
    return frozenset(str(value) for value in values)


def _words(option: Callable[[str], Any], name: str, words: tuple[str, ...]) -> frozenset[str] | None:
    values = _values(option, name)
    for value in values or ():
        if value not in words:
            raise OptionError(name, value, f"Give one or more of: {', '.join(words)}.")
    return None if values is None else frozenset(values)


def _bound(name: str, value: str | None, now: datetime) -> str | None:
    """A time or age given by the user, as text that compares with facts."""
    if value is None:
        return None
    age = _AGE.fullmatch(value.strip())
    try:
        if age:
            return timestamp(now - timedelta(**{_AGE_UNITS[age.group(2).lower()]: int(age.group(1))}))
    except OverflowError:
        pass
    match = _TIME.fullmatch(value.strip())
    when = moment(value) if match and match.group(6) else None
    if when is None:
        accepted = (
            "Give a time after 1970 in ISO 8601 with zone, in quotes ('2026-03-01T00:00:00Z'), "
            "or an age in s, m, h, d or w (90m, 24h, 7d)."
        )
        raise OptionError(name, value, accepted)
    return timestamp(when)


def _within(value: str | None, after: str | None, before: str | None) -> bool:
    if after is None and before is None:
        return True
    return value is not None and (after is None or value >= after) and (before is None or value < before)


# Facts


def session_facts(entity: _xml.Entity) -> Fact:
    """The facts of one session as in DESIGN "Facts of a session", from an entity (not from a reference).

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
        "backup_server": _backup_server(entity),
        "href": _path(_xml.text(entity, "Href")) or f"{COLLECTION}/{guid}",
        "tasks": tasks,
        "task_summary": _task_summary(tasks),
    }


def _id(item: _xml.Entity) -> str:
    guid = _guid(_xml.text(item, "UID")) or _guid(_xml.text(item, "Href"))
    if guid is None:
        raise ValueError("a session has neither a UID nor an Href with a GUID")
    return guid


def _task_facts(task: _xml.Entity) -> Fact:
    link = next(iter(_xml.objects(task, "VmReplicaPointLink")), None)
    point = None if link is None else {"id": _guid(_xml.text(link, "Href")), "name": _xml.text(link, "Name")}
    return {"vm_name": _xml.text(task, "VmName"), **_run_facts(task), "replica_point": point}


def _run_facts(entity: _xml.Entity) -> Fact:
    """What a session and a task have in common."""
    state = _xml.text(entity, "State")
    # "None" is EM's word while running. It also stands in for a missing result, which tells as little.
    result = _xml.text(entity, "Result") or "None"
    finished = state == "Stopped"  # the only word that ends a run; Progress and Result do not (docs/evidence.md)
    start = moment(_xml.text(entity, "CreationTimeUTC"))
    end = moment(_xml.text(entity, "EndTimeUTC")) if finished else None
    duration = (end - start).total_seconds() if start and end and end >= start else None
    return {
        "state": state,
        "result": result,
        "progress": _xml.whole_number(_xml.text(entity, "Progress")),
        "failure_message": _xml.text(entity, "FailureMessage"),
        "creation_time": timestamp(start),
        "end_time": timestamp(end),
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


def _backup_server(entity: _xml.Entity) -> dict[str, str | None] | None:
    """The server behind the link Up. A type decides, or the path: other objects have a second link Up to their parent."""
    for link in _xml.links(entity):
        href = _xml.text(link, "Href") or ""
        if link.get("Rel") == "Up" and (
            (_xml.text(link, "Type") or "").startswith("BackupServer") or "/backupServers/" in href
        ):
            return {"id": _guid(href), "name": _xml.text(link, "Name")}
    return None


def _guid(value: str | None) -> str | None:
    """The last GUID in a URN or Href, in lower case."""
    found = _GUID.findall(value) if value else None
    return found[-1].lower() if found else None


def _path(href: str | None) -> str | None:
    """Path of a link without query; the host is EM's own idea."""
    if not href:
        return None
    rest = href.partition("://")[2]
    path = "/" + rest.partition("/")[2] if rest else href
    return path.partition("?")[0]


# Finding


@dataclass
class Answer:
    """What :func:`find` found.

    :ivar sessions: facts, sorted and cut as the criteria say.
    :ivar missing_ids: GUIDs that were asked for and that EM does not know.
    :ivar filter: the filter that EM was sent and accepted, or None. Pieces of a long id list stand side by side (OR).
    :ivar from_collection: whether EM refused to query sessions, so that its collection was read, which covers 30 days.
    """

    sessions: list[Fact] = field(default_factory=list)
    missing_ids: list[str] = field(default_factory=list)
    filter: str | None = None
    from_collection: bool = False


def find(client: EnterpriseManager, criteria: Criteria) -> Answer:
    """Ask an EM for the sessions for which all criteria hold.

    What EM can filter is filtered by EM, and every criterion is checked again here: EM drops spaces in unquoted
    values, its case rules are unknown, and its 30-day window may differ between resources.

    :raises EmError: EM could not be read completely; there is no partial answer.
    """
    answer = Answer()
    if criteria.ids is not None:
        found = [fact for fact in _by_ids(client, criteria, answer) if criteria.hold_for(fact)]
        if criteria.latest_per_plan and found:
            found = _newest_of_their_plan(client, criteria, found)
    elif criteria.latest_per_plan:
        # Newest of its plan is a property of a session, so other sessions of the plan count even if they fail a criterion.
        found = [
            fact
            for fact in _newest_per_plan(_by_query(client, criteria, answer, plans_only=True))
            if criteria.hold_for(fact)
        ]
    elif criteria.limit is not None:
        found = _first_few(client, criteria, criteria.limit, answer)
    else:
        found = [fact for fact in _by_query(client, criteria, answer) if criteria.hold_for(fact)]
    found.sort(key=_age_key, reverse=criteria.descending)
    answer.sessions = found[: criteria.limit]
    return answer


def _age_key(fact: Fact) -> tuple[str, str]:
    return (fact["creation_time"] or "", fact["id"])


def _newest_per_plan(facts: Iterable[Fact]) -> list[Fact]:
    newest: dict[tuple[Any, Any], Fact] = {}
    for fact in facts:
        server = fact["backup_server"] or {}
        plan = (fact["name"], server.get("id") or server.get("name"))
        if plan not in newest or _age_key(fact) > _age_key(newest[plan]):
            newest[plan] = fact
    return list(newest.values())


def _newest_of_their_plan(client: EnterpriseManager, criteria: Criteria, found: list[Fact]) -> list[Fact]:
    """Of sessions found by id, those that no other session of their plan is newer than."""
    names = frozenset(fact["name"] for fact in found)
    plans = Criteria(now=criteria.now, names=None if None in names else names, page_size=criteria.page_size)
    others = _facts_of(client, _reading(client, plans, _expression(client, plans)))
    newest = {fact["id"] for fact in _newest_per_plan([*others, *found])}
    return [fact for fact in found if fact["id"] in newest]


def _by_query(
    client: EnterpriseManager, criteria: Criteria, answer: Answer, plans_only: bool = False
) -> Iterator[Fact]:
    """All sessions that EM filters out for the criteria, oldest first: new ones then appear at the end of the paging."""
    reading = _reading(client, criteria, _expression(client, criteria, plans_only), shrinking=not plans_only)
    yield from _facts_of(client, reading)
    answer.filter, answer.from_collection = reading.expression, reading.from_collection


def _first_few(client: EnterpriseManager, criteria: Criteria, limit: int, answer: Answer) -> list[Fact]:
    """At least the first ``limit`` sessions by the order asked for, with no more pages read than that takes."""
    # One more than wanted shows that no session of the same moment as the last one is still to come.
    page_size = min(criteria.page_size, max(limit + 1, FIRST_FEW))
    expression = _expression(client, criteria)
    reading = _reading(client, criteria, expression, criteria.descending, page_size, shrinking=True)
    found: list[Fact] = []
    last: str | None = None
    in_order = True
    seen = 0
    for page in reading:
        for fact in _facts_of(client, [page]):
            seen += 1
            this = fact["creation_time"] or ""
            in_order = in_order and (last is None or (this <= last if criteria.descending else this >= last))
            last = this
            if criteria.hold_for(fact):
                found.append(fact)
        # If EM does not sort as asked, only reading everything shows which are the first.
        enough = len(found) >= limit and seen >= FIRST_FEW and last != (found[limit - 1]["creation_time"] or "")
        if enough and in_order and not reading.from_collection:
            break
    answer.filter, answer.from_collection = reading.expression, reading.from_collection
    return found


def _reading(
    client: EnterpriseManager,
    criteria: Criteria,
    expression: str | None,
    descending: bool = False,
    page_size: int | None = None,
    shrinking: bool = False,
) -> _query.Reading:
    """The pages for a filter. It can shrink while they are read if it asks for what runs: a run may end meanwhile."""
    running = (criteria.states or frozenset()) - {"Stopped"} or "None" in (criteria.results or ())
    return _query.Reading(
        client,
        ENTITY_TYPE,
        COLLECTION,
        TRIED,
        expression,
        sort="CreationTime",
        descending=descending,
        page_size=page_size or criteria.page_size,
        shrinking=bool(shrinking and running),
    )


def _facts_of(client: EnterpriseManager, pages: Iterable[list[_xml.Entity]]) -> Iterator[Fact]:
    """Facts of each item of each page. A reference is no session (it has no State): its entity is read first.

    :raises EmProtocolError: an item has no id or is of another type, or EM knows none of the sessions it lists.
    """
    gone = 0
    known = 0
    for item in (item for page in pages for item in page):
        fact = None
        try:
            if _is_session(item):
                fact = session_facts(item)
            else:
                guid = _id(item)
        except ValueError as exc:
            raise _not_whole(client, f"gave an answer in which {exc}") from None
        if fact is None:
            entity = _entity(client, guid)
            if entity is not None:
                fact = session_facts(entity)
        if fact is None:
            name = _xml.text(item, "Name")
            client.warn(f"EM lists a session {guid} ({name}) but does not know it when asked for it; it is left out.")
            gone += 1
        else:
            known += 1
            yield fact
    if gone and not known:
        raise _not_whole(client, f"lists {gone} sessions and knows none of them when asked for it")


def _not_whole(client: EnterpriseManager, happened: str) -> EmProtocolError:
    check = "No part of the answer is returned, since it may not be whole. Try again, and check the state of EM."
    return EmProtocolError(TRIED, client.on_base_url(COLLECTION), happened, check, 200)


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
        document = client.get(path, TRIED, about=guid)
    except EmNotFoundError:
        return None
    entity = document.items[0] if document.shape == _xml.ENTITY else {}
    try:
        if _is_session(entity) and guid in (_guid(_xml.text(entity, "UID")), _guid(_xml.text(entity, "Href"))):
            return entity
    except ValueError:
        pass
    happened = f"was answered with a document {document.root} that is not the entity of this session"
    raise EmProtocolError(TRIED, client.on_base_url(path), happened, CHECK_EM, 200)


# Finding by id


def _by_ids(client: EnterpriseManager, criteria: Criteria, answer: Answer) -> list[Fact]:
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
    listed = {_xml.identity(item) for item in client.get(COLLECTION, TRIED).items}
    contradicted = [guid for guid in missing if guid in listed]
    if contradicted:
        raise _not_whole(client, f"lists the session {contradicted[0]} and does not know it when asked for it")


def _by_id_queries(client: EnterpriseManager, criteria: Criteria, wanted: list[str], answer: Answer) -> dict[str, Fact]:
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


def _expression(client: EnterpriseManager, criteria: Criteria, plans_only: bool = False) -> str | None:
    """The filter expression for what EM can filter. It may let through too much, never too little.

    :arg plans_only: leave out what would hide the newest session of a plan.
    """
    terms = [
        *_texts("Name", criteria.names),
        *_texts("BackupServerName", criteria.backup_servers),
        *_not_before("CreationTime", criteria.created_after),
    ]
    if not plans_only:
        terms += [
            *_not_after("CreationTime", criteria.created_before),
            *_not_before("EndTime", criteria.ended_after),
            *_not_after("EndTime", criteria.ended_before),
            *_states(criteria.states),
            *_results(criteria.results),
        ]
    # Very many names make a longer filter than a URL can hold; the longest terms are then left to the check here.
    terms.sort(key=len)
    while terms and not _query.fits(client, _query.all_of(terms)):
        terms.pop()
    return _query.all_of(terms) if terms else None


def _texts(name: str, values: frozenset[str] | None) -> list[str]:
    # Alternatives of which one cannot be sent must all be left out, or sessions of that one would be lost.
    if values is None or not all(_query.can_be_quoted(value) for value in values):
        return []
    return [_query.any_of([_query.quoted(name, "==", value) for value in sorted(values)])]


# Bounds go out in whole seconds and a second wider than asked for: EM's database may round. The exact check follows.


def _not_before(name: str, bound: str | None) -> list[str]:
    return [] if bound is None else [_query.quoted(name, ">=", _whole_seconds(bound, -1))]


def _not_after(name: str, bound: str | None) -> list[str]:
    return [] if bound is None else [_query.quoted(name, "<=", _whole_seconds(bound, 2))]


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
