# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read cloud failover sessions: by criteria, by id, the newest of each plan, the first few.

Source of what EM does: docs/evidence.md, "The cloud failover session" and "Query service".
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn

from .._api import xml
from .._api.client import EnterpriseManager
from .._api.errors import EmProtocolError
from .._api.filters import any_of, batches, quoted
from .._api.query import QueryPager
from .._api.resource import DIRECT_READS, ResourceType, is_reference, read_by_ids, read_resource
from .criteria import SessionCriteria
from .facts import SESSIONS_PATH, Session, SessionResult, newest_per_plan, sort_key
from .permissions import READ_SESSIONS
from .session_facts import ENTITY_TYPE, session_facts

SESSIONS = ResourceType(
    ENTITY_TYPE, "session", SESSIONS_PATH, READ_SESSIONS, ", which Veeam documents to cover the last 30 days only"
)
MIN_PAGE_SIZE = 10
"""Sessions on a page if fewer are wanted: those that do not meet the criteria may come before those that do."""


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Pages and facts are thousands of objects without cycles; to look for cycles again and again as they grow takes time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


class SessionReader:
    """Reads the cloud failover sessions of one EM. Results are complete, or an :class:`EmError` is raised."""

    def __init__(self, client: EnterpriseManager) -> None:
        self._client = client

    @_without_garbage_collection()
    def list_sessions(self, criteria: SessionCriteria) -> SessionResult:
        """The sessions for which all criteria hold."""
        if criteria.ids is not None:
            result = self._with_ids(criteria, criteria.ids)
        elif criteria.latest_per_plan:
            # Newest of its plan is a property of a session, so other sessions of the plan count even if they fail a criterion.
            pager = self._pager(criteria, whole_plans=True)
            newest = newest_per_plan(self._sessions_of(pager))
            result = _result(pager, [session for session in newest if criteria.matches(session)])
        elif criteria.limit is not None:
            result = self._first(criteria, criteria.limit)
        else:
            pager = self._pager(criteria)
            result = _result(pager, [session for session in self._sessions_of(pager) if criteria.matches(session)])
        ordered = sorted(result.sessions, key=sort_key, reverse=criteria.descending)
        return replace(result, sessions=ordered[: criteria.limit])

    def iter_sessions(self, criteria: SessionCriteria) -> Iterator[Session]:
        """The sessions for which all criteria hold, each as soon as its page is read, oldest first.

        Memory is that of a few pages, however many there are. Ids, ``latest_per_plan``, ``limit`` and ``sort_order`` need
        all sessions at once, so they have no effect here. An error may come after sessions were given out: they are not
        all then.
        """
        for session in self._sessions_of(self._pager(criteria)):
            if criteria.matches(session):
                yield session

    def read_session(self, guid: str) -> Session | None:
        """One session by its id, or None where EM does not know it."""
        items, dummy = read_by_ids(self._client, SESSIONS, [guid], ())
        return session_facts(items[0]) if items else None

    def _pager(self, criteria: SessionCriteria, whole_plans: bool = False) -> QueryPager:
        """Pages of all sessions, oldest first: new ones then appear at the end."""
        return QueryPager(
            self._client,
            SESSIONS,
            criteria.to_filter(self._client.base_url, whole_plans),
            sort="CreationTime",
            page_size=criteria.page_size,
            unstable=criteria.unstable and not whole_plans,
        )

    def _sessions_of(self, pages: Iterable[list[xml.Entity]]) -> Iterator[Session]:
        """The facts of each item of each page. For a reference, which has no State, its entity is read first.

        :raises EmProtocolError: an item has no id or is of another type, or EM knows none of the sessions it lists.
        """
        unknown = known = 0
        for item in (item for page in pages for item in page):
            kind = xml.text(item, "Type") or ENTITY_TYPE
            if not kind.startswith(ENTITY_TYPE):
                self._fail(f"gave an answer in which an object is not a {ENTITY_TYPE} but a {kind}")
            guid = xml.identity(item)
            if xml.guid(guid) is None:
                self._fail("gave an answer in which a session has neither a UID nor an Href with a GUID")
            entity = read_resource(self._client, SESSIONS, guid) if is_reference(item) else item
            if entity is None:
                name = self._client.redact(xml.text(item, "Name") or "without a name")
                self._client.warn(f"EM lists a session {guid} ({name}) but does not know it by its id; it is left out.")
                unknown += 1
            else:
                known += 1
                yield session_facts(entity)
        if unknown and not known:
            self._fail(f"lists {unknown} sessions but knows none of them by its id")

    def _fail(self, problem: str) -> NoReturn:
        hint = "Nothing is returned, since it may be incomplete. Try again, and check the state of EM."
        url = self._client.on_base_url(SESSIONS_PATH)
        raise EmProtocolError(READ_SESSIONS, url, self._client.redact(problem), hint, 200)

    def _first(self, criteria: SessionCriteria, limit: int) -> SessionResult:
        """At least the first ``limit`` sessions in the order asked for, with no more pages than that takes."""
        pager = QueryPager(
            self._client,
            SESSIONS,
            criteria.to_filter(self._client.base_url),
            sort="CreationTime",
            descending=criteria.descending,
            # One more than wanted shows that no session of the same time as the last one is still to come.
            page_size=min(criteria.page_size, max(limit + 1, MIN_PAGE_SIZE)),
            unstable=criteria.unstable,
            prefetch=False,
        )
        found: list[Session] = []
        last: str | None = None
        for number, page in enumerate(pager, 1):
            for session in self._sessions_of([page]):
                last = session["creation_time"]
                if criteria.matches(session):
                    found.append(session)
            if pager.from_collection or (pager.unstable and number > 1):
                continue  # it is not sorted, or only another reading brings what moved up unseen
            if len(found) >= limit and last != found[limit - 1]["creation_time"]:
                break
        return _result(pager, found)

    def _with_ids(self, criteria: SessionCriteria, ids: Collection[str]) -> SessionResult:
        terms = [quoted("UID", "==", f"urn:veeam:{ENTITY_TYPE}:{guid}") for guid in ids]
        many = batches(self._client.base_url, terms) if len(ids) > DIRECT_READS else ()
        size = criteria.page_size
        pagers = [QueryPager(self._client, SESSIONS, any_of(one), "CreationTime", page_size=size) for one in many]
        items, missing = read_by_ids(self._client, SESSIONS, ids, _pages(pagers))
        found = [session for session in map(session_facts, items) if criteria.matches(session)]
        accepted = [pager.expression for pager in pagers if pager.expression is not None]
        result = SessionResult(
            found,
            missing,
            filter=",".join(accepted) if accepted and len(accepted) == len(pagers) else None,
            from_collection=any(pager.from_collection for pager in pagers),
        )
        if criteria.latest_per_plan and found:
            # Only those that no other session of their plan is newer than.
            names = {session["name"] for session in found}
            named = None if None in names else frozenset(filter(None, names))
            pager = self._pager(SessionCriteria(criteria.now, names=named, page_size=criteria.page_size))
            newest = {session["id"] for session in newest_per_plan([*self._sessions_of(pager), *found])}
            result.sessions = [session for session in found if session["id"] in newest]
            result.from_collection = result.from_collection or pager.from_collection
        return result


def _pages(pagers: Iterable[QueryPager]) -> Iterator[list[xml.Entity]]:
    """The pages of several queries; of only one if EM refuses its filter, since it then gives everything."""
    for pager in pagers:
        yield from pager
        if pager.expression is None:
            return


def _result(pager: QueryPager, sessions: list[Session]) -> SessionResult:
    return SessionResult(sessions, filter=pager.expression, from_collection=pager.from_collection)
