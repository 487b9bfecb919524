# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the restore points that the VMs of sessions used: when they were created, and whether they are in failover now.

What EM does not show is null, never an error: the facts of a run are no worse for it. Source of the fields and of who
may read them: docs/evidence.md, "Replica points".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from .._api import xml
from .._api.client import EnterpriseManager
from .._api.errors import EmError, EmNotFoundError, EmPermissionError
from .._api.filters import any_of, batches, quoted
from .._api.query import is_refusal, query_path
from .._api.resource import ResourceType, is_reference, read_list, read_resource
from .facts import IN_FAILOVER, READY, PointFacts, Session, SessionTask, point_ids
from .permissions import PORTAL_USER, READ_POINTS, VM_RESTORE_OPERATOR
from .session_facts import backup_server
from .times import format_time, parse_time, utc_now

ENTITY_TYPE = "CloudVmReplicaPoint"
POINTS = ResourceType(ENTITY_TYPE, "replica point", "/api/cloud/vmReplicaPoints", READ_POINTS)

BATCH = 100
"""Maximum number of points in one query: EM's own page size, so that the answer is one page."""
MAX_PAGES = 20
"""Maximum number of pages of points that are not ready."""
MAX_READINGS = 3
"""How often they are read at most until nothing has changed in between."""

_SORT = "sortAsc=Name"
_NO_POINT = "00000000-0000-0000-0000-000000000000"


class PointReader:
    """Reads the replica points of one EM."""

    def __init__(self, client: EnterpriseManager) -> None:
        self._client = client
        self._queries_work = True

    def fill(self, sessions: list[Session]) -> tuple[list[Session], str | None]:
        """The sessions with ``creation_time`` and ``state`` of the replica points of their VMs, as new facts.

        What could not be read stays null, and a warning says why: nothing here raises EmError.

        :returns: the sessions, and when EM was asked: None if there was nothing to ask for, or no answer.
        """
        ids = point_ids(sessions)
        asked_at = format_time(utc_now())
        known: dict[str, PointFacts] = {}
        answered = False
        try:
            for point in self.iter_points(ids):
                known[point["id"] or ""] = point
            answered = bool(ids)
        except EmPermissionError:
            self._client.warn(
                "The replica points cannot be read (HTTP 403), so their creation times and states are unknown. "
                f"{self._client.username} needs the role {PORTAL_USER} in Enterprise Manager; {VM_RESTORE_OPERATOR} and "
                f"{PORTAL_USER} can both be given to one account."
            )
        except EmError as exc:
            self._client.warn(
                f"Not all replica points could be read; creation times and states of the others are unknown. {exc}"
            )
        if not (known or answered):
            return sessions, None
        return [
            {**session, "tasks": [fill_task(task, known) for task in session["tasks"]]} for session in sessions
        ], asked_at

    def iter_points(self, ids: Sequence[str]) -> Iterator[PointFacts]:
        """The points with these ids; those that EM no longer has are left out.

        :raises EmError: EM refuses the points, or it failed.
        """
        for start in range(0, len(ids), BATCH):
            yield from self._read_batch(ids[start : start + BATCH])

    def not_ready(self) -> list[PointFacts] | None:
        """Each point of any plan whose state is not ``Ready``, or None if EM does not filter by state.

        :raises EmError: EM refuses the points, or it failed.
        """
        return self._in_state("!=", READY, lambda state: state != READY)

    def in_failover(self) -> list[PointFacts] | None:
        """Each point of any plan that is in failover now, or None if that is not known; it never raises EmError."""
        try:
            return self._in_state("==", IN_FAILOVER, lambda state: state == IN_FAILOVER)
        except EmError:
            return None

    def _in_state(self, operator: str, word: str, fits: Callable[[str | None], bool]) -> list[PointFacts] | None:
        # A point that changes its state moves others to another page, so several pages must be the same twice.
        before: list[list[PointFacts]] = []
        for dummy in range(MAX_READINGS):
            pages: list[list[PointFacts]] = []
            complete = False
            for page, more in self._pages(quoted("State", operator, word), MAX_PAGES):
                pages.append(list(map(point_facts, page)))
                if not all(fits(point["state"]) for point in pages[-1]):
                    return None  # the filter does not work, and all points would be far too many
                complete = not more
            if not complete:
                return None
            if len(pages) == 1 or pages == before:
                return [point for page in pages for point in page]
            before = pages
        return None

    def may_read(self) -> bool | None:
        """Whether the user may read replica points, or None if that cannot be found out."""
        # Where a query is forbidden, a point that does not exist shows it; the list of all points can be very long.
        for path, guid in ((query_path(ENTITY_TYPE, None, _SORT, 1, 1), None), (POINTS.path(_NO_POINT), _NO_POINT)):
            try:
                self._client.get(path, READ_POINTS, about=guid)
                return True
            except EmPermissionError:
                continue
            except EmNotFoundError:
                return True if guid else None  # the role let the request for a point through
            except EmError:
                return None
        return False

    def _read_batch(self, batch: Sequence[str]) -> Iterator[PointFacts]:
        """What EM says of these points, by a query or, where EM does not answer that, one by one."""
        found = self._query(batch) if self._queries_work else {}
        yield from found.values()
        if found and self._queries_work:
            return  # EM no longer has the others
        for number, guid in enumerate(batch):
            if guid not in found:
                item = read_resource(self._client, POINTS, guid)
                if item is not None:
                    yield point_facts(item)
                elif number == 0 and self._queries_work:
                    return  # the query found none of them, and neither does this: retention has deleted them

    def _query(self, batch: Sequence[str]) -> dict[str, PointFacts]:
        found: dict[str, PointFacts] = {}
        # EM documents a GUID and a URN; the GUID is shorter, and the samples do not agree on the URN's type.
        terms = [quoted("UID", "==", guid) for guid in batch]
        try:
            for alternatives in batches(self._client.base_url, terms):
                for page, dummy in self._pages(any_of(alternatives), BATCH):
                    for item in page:
                        guid = xml.identity(item)
                        if guid in batch and not is_reference(item):
                            found[guid] = point_facts(item)
                        else:  # the filter does not work, and all points would be far too many
                            self._queries_work = False
                    if not self._queries_work:
                        return found
        except EmError as exc:
            # A user who may not query points may still be allowed to read them one by one (docs/evidence.md).
            if not (isinstance(exc, EmPermissionError) or is_refusal(exc)):
                raise
            self._queries_work = False
        return found

    def _pages(self, expression: str, max_pages: int) -> Iterator[tuple[list[xml.Entity], bool]]:
        """The pages of a query, each with whether another one follows. The list of all points is never read instead."""
        for number in range(1, max_pages + 1):
            path = query_path(ENTITY_TYPE, expression, _SORT, BATCH, number)
            document = read_list(self._client, path, READ_POINTS, "replica points", xml.QUERY)
            self._client.counters.pages += 1
            paging = document.paging
            more = bool(document.items and paging and (paging.has_next or number < paging.pages))
            yield document.items, more
            if not more:
                return


def fill_task(task: SessionTask, known: Mapping[str, PointFacts]) -> SessionTask:
    """The facts of a VM with what is known of its point: ``creation_time`` and ``state``."""
    point = task["replica_point"]
    if point is None:
        return task
    facts = known.get(point["id"] or "", point)
    return {**task, "replica_point": {**point, "creation_time": facts["creation_time"], "state": facts["state"]}}


def point_facts(item: xml.Entity) -> PointFacts:
    """The facts of a replica point from its entity."""
    name = xml.text(item, "Name")
    return {
        "id": xml.identity(item),
        "name": name,
        "creation_time": format_time(parse_time(xml.text(item, "CreationTimeUTC"))),
        "state": xml.text(item, "State"),
        # An attribute, an element in the schema only, or what its name begins with.
        "vm_name": xml.text(item, "VmDisplayName")
        or xml.text(item, "VmName")
        or (name or "").rpartition("@")[0]
        or None,
        "backup_server": backup_server(item),
    }
