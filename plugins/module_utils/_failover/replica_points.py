# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""The restore points that the VMs of sessions used: when they were made, and whether they are in failover now.

What EM does not show is null, never an error: a run is not worse for it. Source of the fields and of who may read them:
docs/evidence.md, "Replica points".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from .._api import query as _query
from .._api import xml as _xml
from .._api.client import EnterpriseManager
from .._api.errors import CHECK_EM, EmError, EmNotFoundError, EmPermissionError, EmProtocolError
from .facts import Fact, Session
from .permissions import PORTAL_USER, READ_POINTS, VM_RESTORE_OPERATOR
from .sessions import backup_server
from .times import format_time, parse_and_format_time, utc_now

COLLECTION = "/api/cloud/vmReplicaPoints"
ENTITY_TYPE = "CloudVmReplicaPoint"

BATCH = 100
"""Maximum number of points in one query: EM's own page size, so that the answer is one page."""
NOT_KNOWN: Fact = {"creation_time": None, "state": None}
"""What the facts say of a point that was not read, or that EM no longer has."""

IN_FAILOVER = "Failover"
MAX_PAGES = 20
"""Maximum number of pages of points in failover that are read."""

_SORT = "sortAsc=Name"
_NO_POINT = "00000000-0000-0000-0000-000000000000"


class PointReader:
    """Reads the replica points of one EM. Nothing here raises EmError: what cannot be read is not known."""

    def __init__(self, client: EnterpriseManager) -> None:
        self._client = client

    def fill(self, sessions: list[Session]) -> tuple[list[Session], str | None]:
        """The sessions with what EM says of the replica points of their VMs, and when it was asked."""
        return with_points(self._client, sessions)

    def in_failover(self) -> list[Any] | None:
        """``vm_name`` and ``backup_server`` of each point that is in failover now, or None if that is not known."""
        return in_failover(self._client)

    def may_read(self) -> bool | None:
        """Whether the user may read replica points, or None if that cannot be found out."""
        return may_read(self._client)


def with_points(client: EnterpriseManager, sessions: list[Fact]) -> tuple[list[Fact], str | None]:
    """The sessions with ``creation_time`` and ``state`` of the replica points of their VMs, as new facts.

    Never raises EmError. What could not be read stays null, and a warning says why.

    :returns: the sessions, and the moment at which EM was asked: None if there was nothing to ask for, or no answer.
    """
    ids = list(dict.fromkeys(point["id"] for point in _points_of(sessions) if point["id"]))
    if not ids:
        return sessions, None
    asked_at = format_time(utc_now())
    reader = _Reader(client)
    try:
        reader.read(ids)
    except EmPermissionError:
        client.warn(
            "The replica points cannot be read (HTTP 403), so their creation times and states are unknown. "
            f"{client.username} needs the role {PORTAL_USER} in Enterprise Manager; {VM_RESTORE_OPERATOR} and {PORTAL_USER} can "
            "both be given to one account."
        )
    except EmError as exc:
        client.warn(f"Not all replica points could be read; creation times and states of the others are unknown. {exc}")
    if not reader.answered:
        return sessions, None
    return [_filled(session, reader.known) for session in sessions], asked_at


def _points_of(sessions: Iterable[Fact]) -> Iterator[Fact]:
    return (task["replica_point"] for session in sessions for task in session["tasks"] if task["replica_point"])


def _filled(session: Fact, known: dict[str, Fact]) -> Fact:
    return {**session, "tasks": [_filled_task(task, known) for task in session["tasks"]]}


def _filled_task(task: Fact, known: dict[str, Fact]) -> Fact:
    point = task["replica_point"]
    if point is None:
        return task
    filled: Fact = {**point, **known.get(point["id"], NOT_KNOWN)}
    return {**task, "replica_point": filled}


def in_failover(client: EnterpriseManager) -> list[Fact] | None:
    """``vm_name`` and ``backup_server`` of each point of any plan that is in failover now, or None if that is not known.

    Never raises EmError. Points have no link to a plan; the name is None where EM does not give it.
    """
    found: list[Fact] = []
    expression = _query.quoted("State", "==", IN_FAILOVER)
    for number in range(1, MAX_PAGES + 1):
        path = _query.query_path(ENTITY_TYPE, expression, _SORT, BATCH, number)
        try:
            document = client.get(path, READ_POINTS)
            client.counters.pages += 1
            _query.expect_list(client, document, (_xml.QUERY,), READ_POINTS, path, "replica points")
        except EmError:
            return None
        if any(_xml.text(item, "State") != IN_FAILOVER for item in document.items):
            return None  # the filter does not work, and all points would be far too many
        found += [{"vm_name": _vm_name(item), "backup_server": backup_server(item)} for item in document.items]
        if not (document.items and document.paging and document.paging.has_next):
            return found
    return None


def _vm_name(item: _xml.Entity) -> str | None:
    """The VM of a point: an attribute, an element in the schema only, or what its name begins with."""
    name = _xml.text(item, "VmDisplayName") or _xml.text(item, "VmName")
    return name or (_xml.text(item, "Name") or "").rpartition("@")[0] or None


def may_read(client: EnterpriseManager) -> bool | None:
    """Whether the user may read replica points, or None if that cannot be found out. Never raises EmError."""
    path = _query.query_path(ENTITY_TYPE, None, _SORT, 1, 1)
    try:
        client.get(path, READ_POINTS)
    except EmPermissionError:
        return _may_read_singly(client)
    except EmError:
        return None
    return True


def _may_read_singly(client: EnterpriseManager) -> bool | None:
    """Ask for a point that does not exist: the list of all points, which would tell too, can be very long."""
    try:
        client.get(_path(_NO_POINT), READ_POINTS, about=_NO_POINT)
    except EmPermissionError:
        return False
    except EmNotFoundError:
        return True  # the role let the request through
    except EmError:
        return None
    return True


class _Reader:
    """Reads points by their ids: by queries, or one by one where EM does not answer those.

    :ivar known: id -> facts of the points that EM has shown.
    :ivar answered: whether EM has answered for any point, be it that it does not know it.
    """

    def __init__(self, client: EnterpriseManager) -> None:
        self._client = client
        self._queries_work = True
        # Both forms of a UID are documented for filters. The GUID is shorter, and the samples do not agree on the URN's type.
        self._prefixes = ["", f"urn:veeam:{ENTITY_TYPE}:"]
        self.known: dict[str, Fact] = {}
        self.answered = False

    def read(self, ids: Sequence[str]) -> None:
        """:raises EmError: EM refuses the points, or it failed; what came before is known."""
        for start in range(0, len(ids), BATCH):
            self._read_batch(ids[start : start + BATCH])

    def _read_batch(self, batch: Sequence[str]) -> None:
        if self._queries_work and self._query(batch):
            return
        for number, guid in enumerate(batch):
            if guid in self.known:
                continue
            point = self._single(guid)
            self.answered = True
            if point is not None:
                self.known[guid] = point
            elif number == 0 and self._queries_work:
                return  # the query found none of them, and neither does this: retention has deleted them

    def _query(self, batch: Sequence[str]) -> bool:
        """Whether a query has found points of this batch. Then EM no longer has the others."""
        try:
            for prefix in list(self._prefixes):
                found = self._query_by(prefix, batch)
                if found or not self._queries_work:
                    self._prefixes = [prefix]
                    break
        except EmError as exc:
            # A user who may not query points may still be allowed to read them one by one (docs/evidence.md).
            if not (isinstance(exc, EmPermissionError) or _query.is_refusal(exc)):
                raise
            self._queries_work = False
            return False
        self.known.update(found)
        self.answered = self.answered or bool(found)
        return bool(found) and self._queries_work

    def _query_by(self, prefix: str, batch: Sequence[str]) -> dict[str, Fact]:
        found: dict[str, Fact] = {}
        terms = [_query.quoted("UID", "==", f"{prefix}{guid}") for guid in batch]
        for piece in _query.pieces(self._client, terms):
            self._read_pages(_query.any_of(piece), batch, found)
            if not self._queries_work:
                break
        return found

    def _read_pages(self, expression: str, batch: Collection[str], found: dict[str, Fact]) -> None:
        """Add what a query finds to ``found``. Where EM gives other points, its filter does not work; all would be far too many."""
        number = 0
        more = True
        while more and number < BATCH and self._queries_work:
            number += 1
            path = _query.query_path(ENTITY_TYPE, expression, _SORT, BATCH, number)
            document = self._client.get(path, READ_POINTS)
            self._client.counters.pages += 1
            _query.expect_list(self._client, document, (_xml.QUERY,), READ_POINTS, path, "replica points")
            for item in document.items:
                guid = _xml.identity(item)
                if guid in batch and not _is_reference(item):
                    found[guid] = _point_facts(item)
                else:
                    self._queries_work = False
            more = bool(document.items and document.paging and document.paging.has_next)

    def _single(self, guid: str) -> Fact | None:
        """One point, or None where EM does not know it.

        :raises EmError: as :meth:`EnterpriseManager.get`, or EM gives something else than that point.
        """
        try:
            document = self._client.get(_path(guid), READ_POINTS, about=guid)
        except EmNotFoundError:
            return None
        item = document.items[0] if document.shape == _xml.ENTITY else {}
        if _xml.identity(item) != guid:
            root = self._client.redact(document.root)
            happened = f"answered with a document {root} that is not the entity of this replica point"
            raise EmProtocolError(READ_POINTS, self._client.on_base_url(_path(guid)), happened, CHECK_EM, 200)
        return _point_facts(item)


def _path(guid: str) -> str:
    return f"{COLLECTION}/{guid}?format=Entity"


def _is_reference(item: _xml.Entity) -> bool:
    return (_xml.text(item, "Type") or "").endswith("Reference")


def _point_facts(item: _xml.Entity) -> Fact:
    dummy, creation_time = parse_and_format_time(_xml.text(item, "CreationTimeUTC"))
    return {"creation_time": creation_time, "state": _xml.text(item, "State")}
