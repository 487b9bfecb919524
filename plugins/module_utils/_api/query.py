# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All objects of a type for which a filter holds: page after page, and by other means where EM refuses the query.

Source: docs/evidence.md, "Query service". Nothing relies on what is only assumed there: every criterion is compared
again by the caller, and the query goes on without a filter, or without the query service, that EM refuses.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import suppress
from threading import Thread
from urllib.parse import quote

from . import xml
from .client import EnterpriseManager
from .errors import EmError, EmPermissionError, EmProtocolError, Operation
from .redaction import truncate
from .resource import ResourceType, read_list
from .response import Response

DEFAULT_PAGE_SIZE = 100
"""EM's own page size, so one that EM surely accepts (docs/evidence.md, "Query service")."""
MAX_PREFETCH = 3
"""Maximum number of prefetched pages. With the one that is waited for, or another request meanwhile, four are in flight."""
MAX_STALE_PAGES = 2
"""Maximum number of pages in a row without anything new (objects that shift by a page); then the paging is endless."""

# With these EM may refuse a filter or a type (docs/evidence.md, "Errors": assumed); with 500 only if the message says
# so, since a database that is down gives 500 too. 502 to 504 have nothing to do with the query.
_REFUSALS = frozenset({400, 404, 405, 501})
_ABOUT_THE_QUERY = re.compile(
    r"\b(?:filter|expression|syntax|operator|pageSize)\b|\b(?:query|unknown|invalid|unsupported) type\b"
    r"|\bnot (?:supported|implemented)\b",
    re.IGNORECASE,
)
_ABOUT_THE_PAGE = re.compile(r"\bpage|\brange\b", re.IGNORECASE)


def is_refusal(error: EmError) -> bool:
    """Whether EM may have refused the query itself: its filter, its type or the size of its pages."""
    if error.status == 500:
        return bool(_ABOUT_THE_QUERY.search(error.server_message or ""))
    return error.status in _REFUSALS


def query_path(entity_type: str, expression: str | None, sort: str, page_size: int, page: int) -> str:
    """Path and query of one page. The whole filter is percent-encoded as UTF-8, so that ``&`` or ``+`` cannot end it."""
    path = f"/api/query?type={entity_type}&format=Entities&{sort}&pageSize={page_size}&page={page}"
    return path + (f"&filter={quote(expression, safe='')}" if expression else "")


class QueryPager:
    """All objects of one type for which a filter holds, page after page, each object once.

    Iterate over it for pages: lists of entities (or of references, where EM gives only those), in the server's order.

    :arg expression: filter expression or None for all.
    :arg sort: the field to sort by. Ascending keeps pages still while new objects appear at the end.
    :arg unstable: whether an object can drop out of the filter while pages are read, as a session that ends is no longer
        running. If that takes several pages, they are read until nothing new comes.
    :arg prefetch: whether all pages will be wanted, so that the next ones may be requested while one is processed.
    :ivar expression: the filter that EM accepted; None after a refusal, and then nothing is filtered.
    :ivar from_collection: whether EM refused or forbade to query the type, so that its collection was read, which is not
        sorted.
    :raises EmError: as :meth:`EnterpriseManager.get`. There is no partial result.
    """

    def __init__(
        self,
        client: EnterpriseManager,
        resource: ResourceType,
        expression: str | None,
        sort: str,
        descending: bool = False,
        page_size: int = DEFAULT_PAGE_SIZE,
        unstable: bool = False,
        prefetch: bool = True,
    ) -> None:
        self._client = client
        self._resource = resource
        self._sort = f"{'sortDesc' if descending else 'sortAsc'}={sort}"
        self._page_size = page_size
        self.unstable = unstable
        self._prefetch = prefetch and not unstable  # objects that move up are noticed better page by page
        self._seen: set[str] = set()
        self.expression = expression
        self.from_collection = False

    def __iter__(self) -> Iterator[list[xml.Entity]]:
        page = self._first_page()
        prefetch = _Prefetch(self._client, self._resource.operation, self._prefetch)
        # An object that comes twice shows that another was inserted before it, perhaps on a page already read.
        # Objects that drop out of the filter move the rest up unseen, so another reading must bring nothing new.
        for attempt in range(3 if self.unstable else 2):
            if attempt:
                page = self._page(1)
            known = len(self._seen)
            several, moved = yield from self._read_all(page, prefetch)
            if not (moved or (several and self.unstable and len(self._seen) > known)):
                return
        raise self._error(1, "lists objects that keep moving from page to page")

    def _first_page(self) -> xml.Document:
        """Page 1, without what EM refuses: large pages, then the filter, then the query service itself.

        Which role may query is not documented, but which may read the collection is. So a user who may not query (403)
        may be allowed to read the collection; only where that is forbidden too, a role is missing.
        """
        requests = self._client.counters.requests
        warning = ""
        while True:
            try:
                page = self._page(1)
                break
            except EmError as exc:
                if self.from_collection or not (isinstance(exc, EmPermissionError) or is_refusal(exc)):
                    raise
                warning = self._leave_out(exc)
        if warning:
            self._client.warn(warning)
        # A server in trouble gets one request at a time.
        self._prefetch = self._prefetch and self._client.counters.requests == requests + 1
        return page

    def _leave_out(self, refusal: EmError) -> str:
        """Change the request to one that EM may accept; returns the warning to give if it does."""
        status = f"HTTP {refusal.status}" + (f": {refusal.server_message}" if refusal.server_message else "")
        forbidden = isinstance(refusal, EmPermissionError)
        if not forbidden:
            if self._page_size > DEFAULT_PAGE_SIZE:
                refused, self._page_size = self._page_size, DEFAULT_PAGE_SIZE
                return f"EM refused pages of {refused} ({status}). Reading pages of {DEFAULT_PAGE_SIZE} instead."
            if self.expression is not None:
                refused_filter, self.expression = truncate(self.expression, 300), None
                return (
                    f"EM refused the filter {refused_filter} ({status}). Reading everything and filtering here instead."
                )
        self.expression = None
        self.from_collection = True
        verb = f"EM forbids {self._client.username} to query" if forbidden else "EM refused to query"
        instead = f"Reading the list {self._resource.collection} instead{self._resource.collection_limit}."
        return f"{verb} {self._resource.name} ({status}). {instead}"

    def _read_all(
        self, document: xml.Document, prefetch: _Prefetch
    ) -> Generator[list[xml.Entity], None, tuple[bool, bool]]:
        """From page 1 to the last. Returns whether there were several pages, and whether an object came twice."""
        page_ids: set[str] = set()
        moved = False
        stale = 0
        number = 1
        while True:
            items = {xml.identity(item): item for item in document.items}
            has_new = not items.keys() <= page_ids
            pages, has_next = document.paging or (0, False)
            # Nothing says how many pages there are, and this one is empty or the same again.
            if not (has_new or pages or has_next):
                return number > 1, moved
            prefetch.request(self._paths(number + 1, pages))
            moved = moved or not page_ids.isdisjoint(items)
            new = [item for key, item in items.items() if key not in self._seen]
            page_ids.update(items)
            self._seen.update(items)
            yield new
            if 0 < pages <= number and not has_next:
                if pages > 1 and not page_ids:
                    raise self._error(number, f"announces {pages} pages, but all of them are empty")
                full = len(items) >= self._page_size and not self.from_collection
                beyond = self._page_beyond(number + 1) if full else None
                if beyond is None or {xml.identity(item) for item in beyond.items} <= page_ids:
                    return number > 1, moved
                number, document = number + 1, beyond
                continue
            stale = 0 if has_new else stale + 1
            if stale > MAX_STALE_PAGES:
                problem = (
                    f"gave {stale} pages in a row, up to page {number}, without anything new, though more are announced"
                )
                raise self._error(number, problem)
            number += 1
            document = self._page(number, prefetch.response(self._path(number), self._paths(number + 1, pages)))

    def _page_beyond(self, number: int) -> xml.Document | None:
        """The page after the last one: if the last is full, only this shows that EM's number of pages is not too low."""
        try:
            return self._page(number)
        except EmError as exc:
            # What EM does with such a page is not documented.
            if is_refusal(exc) or (exc.status == 500 and _ABOUT_THE_PAGE.search(exc.server_message or "")):
                return None
            raise

    def _page(self, number: int, prefetched: Response | None = None) -> xml.Document:
        path = self._path(number)
        shape = xml.ENTITIES if self.from_collection else xml.QUERY
        document = read_list(self._client, path, self._resource.operation, f"{self._resource.noun}s", shape, prefetched)
        self._client.counters.pages += 1
        if self.from_collection and document.paging is None:
            # Collections are not documented as paged: without a word on paging, this is all.
            return document._replace(paging=xml.Paging(1, False))
        return document

    def _paths(self, first: int, last: int) -> Iterator[str]:
        return map(self._path, range(first, last + 1))

    def _path(self, number: int) -> str:
        if self.from_collection:
            return f"{self._resource.collection}?format=Entity" + (f"&page={number}" if number > 1 else "")
        return query_path(self._resource.name, self.expression, self._sort, self._page_size, number)

    def _error(self, number: int, problem: str) -> EmProtocolError:
        hint = "Nothing is returned, since it may be incomplete. Try again, or with another page_size."
        return EmProtocolError(
            self._resource.operation, self._client.on_base_url(self._path(number)), problem, hint, 200
        )


class _Prefetch:
    """Requests the next pages while one is processed, until a request fails: then the pages are read one at a time.

    Its threads are daemons and not a pool, whose threads Python waits for at its end: a server that hangs would hold that up.
    """

    def __init__(self, client: EnterpriseManager, operation: Operation, enabled: bool) -> None:
        self._client = client
        self._operation = operation
        self._degraded = not enabled
        self._requests: dict[str, Thread] = {}
        self._responses: dict[str, Response] = {}

    def request(self, paths: Iterator[str]) -> None:
        for path in paths:
            if self._degraded or len(self._requests) >= MAX_PREFETCH:
                return
            if path not in self._requests:
                self._requests[path] = Thread(target=self._fetch, args=[path], daemon=True)
                self._requests[path].start()

    def _fetch(self, path: str) -> None:
        with suppress(Exception):  # the page is requested again, and meets the error then
            self._responses[path] = self._client.fetch(path, self._operation)

    def response(self, path: str, following: Iterator[str]) -> Response | None:
        """The response to a request for this page, if there was one; the pages after it are requested meanwhile."""
        request = self._requests.pop(path, None)
        if request is None:
            return None
        self.request(following)
        request.join()
        response = self._responses.pop(path, None)
        self._degraded = self._degraded or response is None or not response.ok
        return response
