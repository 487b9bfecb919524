# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the restore points that the VMs of sessions used: when they were created, and whether they are in failover now.

What EM does not show is null, never an error: the facts of a run are no worse for it. Source of the fields and of who
may read them: docs/evidence.md, "Replica points".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypedDict

from .._api import xml
from .._api.client import EnterpriseManager
from .._api.errors import EmError, EmNotFoundError, EmPermissionError
from .._api.filters import any_of, batches, quoted
from .._api.query import is_refusal, query_path
from .._api.resource import ResourceType, is_reference, read_list, read_resource
from .facts import PointState, Reference, Session, SessionTask
from .permissions import PORTAL_USER, READ_POINTS, VM_RESTORE_OPERATOR
from .session_facts import backup_server
from .times import format_time, parse_and_format_time, utc_now

ENTITY_TYPE = "CloudVmReplicaPoint"
POINTS = ResourceType(ENTITY_TYPE, "replica point", "/api/cloud/vmReplicaPoints", READ_POINTS)

BATCH = 100
"""Maximum number of points in one query: EM's own page size, so that the answer is one page."""
MAX_PAGES = 20
"""Maximum number of pages of points in failover that are read."""
IN_FAILOVER = "Failover"

_SORT = "sortAsc=Name"
_NO_POINT = "00000000-0000-0000-0000-000000000000"


class PointInFailover(TypedDict):
    """A point that is in failover now. Points have no link to a plan."""

    vm_name: str | None
    backup_server: Reference | None


class PointReader:
    """Reads the replica points of one EM. Nothing here raises EmError: what cannot be read is not known."""

    def __init__(self, client: EnterpriseManager) -> None:
        self._client = client
        self._queries_work = True

    def fill(self, sessions: list[Session]) -> tuple[list[Session], str | None]:
        """The sessions with ``creation_time`` and ``state`` of the replica points of their VMs, as new facts.

        What could not be read stays null, and a warning says why.

        :returns: the sessions, and when EM was asked: None if there was nothing to ask for, or no answer.
        """
        points = (task["replica_point"] for session in sessions for task in session["tasks"])
        ids = list(dict.fromkeys(guid for point in points if point and (guid := point["id"])))
        asked_at = format_time(utc_now())
        known: dict[str, PointState] = {}
        try:
            for start in range(0, len(ids), BATCH):
                for guid, state in self._read_batch(ids[start : start + BATCH]):
                    known[guid] = state
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
        if not known:
            return sessions, None
        return [
            {**session, "tasks": [_filled(task, known) for task in session["tasks"]]} for session in sessions
        ], asked_at

    def in_failover(self) -> list[PointInFailover] | None:
        """Each point of any plan that is in failover now, or None if that is not known."""
        found: list[PointInFailover] = []
        try:
            for page, more in self._pages(quoted("State", "==", IN_FAILOVER), MAX_PAGES):
                if any(xml.text(item, "State") != IN_FAILOVER for item in page):
                    return None  # the filter does not work, and all points would be far too many
                found += [{"vm_name": _vm_name(item), "backup_server": backup_server(item)} for item in page]
                if not more:
                    return found
        except EmError:
            pass
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

    def _read_batch(self, batch: Sequence[str]) -> Iterator[tuple[str, PointState]]:
        """What EM says of these points, by a query or, where EM does not answer that, one by one.

        :raises EmError: EM refuses the points, or it failed.
        """
        found = self._query(batch) if self._queries_work else {}
        yield from found.items()
        if found and self._queries_work:
            return  # EM no longer has the others
        for number, guid in enumerate(batch):
            if guid not in found:
                item = read_resource(self._client, POINTS, guid)
                yield guid, _point_state(item or {})
                if item is None and number == 0 and self._queries_work:
                    return  # the query found none of them, and neither does this: retention has deleted them

    def _query(self, batch: Sequence[str]) -> dict[str, PointState]:
        found: dict[str, PointState] = {}
        # EM documents a GUID and a URN; the GUID is shorter, and the samples do not agree on the URN's type.
        terms = [quoted("UID", "==", guid) for guid in batch]
        try:
            for alternatives in batches(self._client.base_url, terms):
                for page, dummy in self._pages(any_of(alternatives), BATCH):
                    for item in page:
                        guid = xml.identity(item)
                        if guid in batch and not is_reference(item):
                            found[guid] = _point_state(item)
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
            document = read_list(self._client, path, READ_POINTS, (xml.QUERY,), "replica points")
            self._client.counters.pages += 1
            more = bool(document.items and document.paging and document.paging.has_next)
            yield document.items, more
            if not more:
                return


def _filled(task: SessionTask, known: Mapping[str, PointState]) -> SessionTask:
    point = task["replica_point"]
    if point is None:
        return task
    state = known.get(point["id"] or "", _point_state({}))
    return {**task, "replica_point": {**point, **state}}


def _point_state(item: xml.Entity) -> PointState:
    """What EM says of a point; both None where EM no longer has it."""
    return {
        "creation_time": parse_and_format_time(xml.text(item, "CreationTimeUTC"))[1],
        "state": xml.text(item, "State"),
    }


def _vm_name(item: xml.Entity) -> str | None:
    """The VM of a point: an attribute, an element in the schema only, or what its name begins with."""
    name = xml.text(item, "VmDisplayName") or xml.text(item, "VmName")
    return name or (xml.text(item, "Name") or "").rpartition("@")[0] or None
