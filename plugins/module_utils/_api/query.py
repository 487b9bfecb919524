# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to the collection: it can change in any release.

"""EM's query service: filter expressions, paging, and the way round it where EM refuses it.

Source: docs/evidence.md, "Query service". What is only assumed there is not relied on: enum words and quoted values
are sent as documented, every criterion is checked again by the caller, and a refused filter or type is done without.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from urllib.parse import quote

from . import xml as _xml
from .client import EnterpriseManager
from .errors import CHECK_EM, EmError, EmPermissionError, EmProtocolError, Operation
from .redaction import truncate

DEFAULT_PAGE_SIZE = 100
"""EM's own page size, so one that it surely takes (docs/evidence.md, "Query service")."""
MAX_URL = 8000
"""Characters. HTTP servers and proxies commonly refuse a request line beyond 8 KiB."""
OTHER_PARAMETERS = 200
"""Characters kept for path, type, format, sort and paging; they take less than 120."""
MAX_STALE_PAGES = 2
"""So many pages in a row may bring nothing new (sessions that shift by a page); then the paging is called endless."""
COLLECTION_SHAPES = (_xml.ENTITIES, _xml.REFERENCES)
"""What a collection answers: with ``format=Entity`` the entities, without it (or where EM ignores it) references."""
MAX_PASSES = 3
"""So often everything is read from the start when items were seen to move between pages."""

_NOT_WHOLE = "No part of it is returned, since it may not be whole. Try again, or with another page_size."
# With these EM may refuse a filter or a type (docs/evidence.md, "Errors": assumed); with 500 only if it says so, since
# that is also what a database says that is down. 502 to 504 say nothing of the query.
_REFUSALS = frozenset({400, 404, 405, 501})
_SPEAKS_OF_THE_QUERY = re.compile(
    r"\b(?:filter|expression|syntax|operator|pageSize)\b|\b(?:query|unknown|invalid|unsupported) type\b"
    r"|\bnot (?:supported|implemented)\b",
    re.IGNORECASE,
)


def is_refusal(error: EmError) -> bool:
    """Whether EM may have refused the query itself: its filter, its type or the size of its pages."""
    if error.status == 500:
        return bool(_SPEAKS_OF_THE_QUERY.search(error.server_message or ""))
    return error.status in _REFUSALS


def _words_of(error: EmError) -> str:
    return f"HTTP {error.status}" + (f": {error.server_message}" if error.server_message else "")


# Filter expressions


def comparison(field: str, operator: str, word: str) -> str:
    """A comparison with an enum word or a number, such as ``State==Working``."""
    return f"{field}{operator}{word}"


def quoted(field: str, operator: str, value: str) -> str:
    """A comparison with a text, such as ``Name=="Acme DR plan"``. Unquoted, EM would silently drop the spaces.

    :arg value: any text for which :func:`can_be_quoted` holds.
    """
    return f'{field}{operator}"{value}"'


def can_be_quoted(value: str) -> bool:
    """Whether a text can be sent in quotes. How EM reads a quote inside is documented by a doubtful example only."""
    return '"' not in value and value.isprintable()


def any_of(terms: Sequence[str]) -> str:
    """At least one must hold (``,``), in brackets where there are several: EM's precedence is not documented."""
    return terms[0] if len(terms) == 1 else f"({','.join(terms)})"


def all_of(terms: Sequence[str]) -> str:
    """All must hold (``;``), in brackets where there are several."""
    return terms[0] if len(terms) == 1 else f"({';'.join(terms)})"


def one_of(field: str, values: Collection[str]) -> list[str]:
    """The term for a field that has one of these values, or no term.

    Alternatives of which one cannot be sent must all be left out, or what it names would be lost.
    """
    if not values or not all(can_be_quoted(value) for value in values):
        return []
    return [any_of([quoted(field, "==", value) for value in sorted(values)])]


# Reading


class Reading:
    """All entities of one type for which a filter holds, page by page, each entity once.

    Iterate over it for pages: lists of entities (or of references, where EM gives only those) not yielded before, in
    the server's order. What it learned stands in its attributes when the iteration is over.

    :arg entity_type: the type's name, such as ``CloudFailoverSession``.
    :arg collection: path of the type's collection, for an EM whose query service refuses the type.
    :arg expression: filter expression or None for all.
    :arg sort: the field to sort by. Ascending keeps pages still while new objects appear at the end.
    :arg shrinking: whether an object can drop out of the filter while pages are read, as one that ends and is no longer
        running. What takes several pages is then read until nothing new comes.
    :arg ahead: whether all pages will be wanted, so that the next ones may be asked for while one is being worked on.
    :arg collection_limit: what the collection lacks, for the warning that it had to be read (", which ...").
    :ivar expression: the filter that EM accepted; None after a refusal, and then nothing is filtered.
    :ivar from_collection: whether EM refused or forbade to query the type, so that its collection was read, which is not sorted.
    :raises EmError: as :meth:`EnterpriseManager.get`; a partial answer is never passed off as whole.
    """

    def __init__(
        self,
        client: EnterpriseManager,
        entity_type: str,
        collection: str,
        operation: Operation,
        expression: str | None,
        sort: str,
        descending: bool = False,
        page_size: int = DEFAULT_PAGE_SIZE,
        shrinking: bool = False,
        ahead: bool = True,
        collection_limit: str = "",
    ) -> None:
        self._client = client
        self._type = entity_type
        self._collection = collection
        self._operation = operation
        self._sort = f"{'sortDesc' if descending else 'sortAsc'}={sort}"
        self._page_size = page_size
        self.shrinking = shrinking
        self._ahead = ahead and not shrinking  # what moves up between two pages is seen better one by one
        self._collection_limit = collection_limit
        self._seen: set[str] = set()
        self.expression = expression
        self.from_collection = False

    def __iter__(self) -> Iterator[list[_xml.Entity]]:
        try:
            yield from self._passes()
        finally:
            self._client.forget_ahead()

    def _passes(self) -> Iterator[list[_xml.Entity]]:
        first = self._first_page()
        for _attempt in range(MAX_PASSES):
            known = len(self._seen)
            several, moved = yield from self._pass(first)
            # An item that came twice shows that something was inserted before it, perhaps on a page read already.
            # Where items can drop out of the filter, the rest moves up unseen: then a reading must bring nothing new.
            if not (moved or (several and self.shrinking and len(self._seen) > known)):
                return
            first = self._page(1)
        happened = f"gave pages whose items moved from page to page in each of {MAX_PASSES} readings"
        raise self._error(1, happened, _NOT_WHOLE)

    def _first_page(self) -> _xml.Document:
        """Page 1. What EM refuses is done without: large pages, then the filter, then the query service itself.

        Which role may query is not documented, but which may read the collection is. So what a query is forbidden (403)
        may be allowed there; only where that is forbidden too, a role is missing (or the logon has ended).
        """
        done_without = ""
        forbidden = False
        while True:
            try:
                document = self._page(1)
            except EmPermissionError as exc:
                if self.from_collection:
                    raise
                forbidden = True
                refusal = _words_of(exc)
            except EmError as exc:
                if self.from_collection or not is_refusal(exc):
                    if done_without:
                        self._client.warn(done_without)
                    raise
                refusal = _words_of(exc)
            else:
                if done_without:
                    self._client.warn(done_without)
                return document
            if forbidden:
                self.expression = None
                self.from_collection = True
                done_without = (
                    f"EM forbids {self._client.username} to query {self._type} ({refusal}), so the list {self._collection} is "
                    f"read instead{self._collection_limit}."
                )
            elif self._page_size > DEFAULT_PAGE_SIZE:
                done_without = (
                    f"EM refused pages of {self._page_size} ({refusal}), so pages of {DEFAULT_PAGE_SIZE} are read."
                )
                self._page_size = DEFAULT_PAGE_SIZE
            elif self.expression is not None:
                shown = truncate(self.expression, 300)
                done_without = f"EM refused the filter {shown} ({refusal}), so everything is read and filtered here."
                self.expression = None
            else:
                done_without = (
                    f"EM refused to query {self._type} ({refusal}), so its collection {self._collection} is read instead"
                    f"{self._collection_limit}."
                )
                self.from_collection = True

    def _pass(self, document: _xml.Document) -> Generator[list[_xml.Entity], None, tuple[bool, bool]]:
        """One reading from page 1 to the last. Returns whether it took several pages, and whether an item came twice."""
        met = set() if self._seen else self._seen  # in the first reading they are the same
        moved = False
        stale = 0
        number = 1
        while True:
            items = {_xml.identity(item): item for item in document.items}
            news = not items.keys() <= met
            pages, has_next = document.paging or (0, False)
            # Nothing says how many pages there are, and this one is empty or the same again.
            if not (news or pages or has_next):
                return number > 1, moved
            if self._ahead:
                self._client.read_ahead(self._paths(number + 1, pages), self._operation)
            moved = moved or not met.isdisjoint(items)
            fresh = [item for key, item in items.items() if key not in self._seen]
            met.update(items)
            self._seen.update(items)
            yield fresh
            if 0 < pages <= number and not has_next:
                if pages > 1 and not met:
                    raise self._error(number, f"gave {pages} pages without a single item", _NOT_WHOLE)
                full = len(items) >= self._page_size and not self.from_collection
                beyond = self._page_beyond(number + 1) if full else None
                if beyond is None or {_xml.identity(item) for item in beyond.items} <= met:
                    return number > 1, moved
                number, document = number + 1, beyond
                continue
            stale = 0 if news else stale + 1
            if stale > MAX_STALE_PAGES:
                happened = (
                    f"gave {stale} pages in a row, up to page {number}, without anything new, though more are announced"
                )
                raise self._error(number, happened, _NOT_WHOLE)
            number += 1
            document = self._page(number, self._paths(number + 1, pages) if self._ahead else ())

    def _page_beyond(self, number: int) -> _xml.Document | None:
        """The page after the last one: where that is full, only this shows that EM's count of pages is not too low."""
        try:
            return self._page(number)
        except EmError as exc:
            if is_refusal(exc):  # what EM does with such a page is not documented
                return None
            raise

    def _page(self, number: int, ahead: Iterable[str] = ()) -> _xml.Document:
        document = self._client.get(self._path(number), self._operation, ahead=ahead)
        self._client.counters.pages += 1
        shapes = COLLECTION_SHAPES if self.from_collection else (_xml.QUERY,)
        expect_list(self._client, document, shapes, self._operation, self._path(number), self._type)
        if self.from_collection and document.paging is None:
            # Collections are not documented as paged: without a word on paging, this is all.
            return document._replace(paging=_xml.Paging(1, False))
        return document

    def _paths(self, first: int, last: int) -> Iterator[str]:
        return map(self._path, range(first, last + 1))

    def _path(self, number: int) -> str:
        if self.from_collection:
            return f"{self._collection}?format=Entity" + (f"&page={number}" if number > 1 else "")
        return query_path(self._type, self.expression, self._sort, self._page_size, number)

    def _error(self, number: int, happened: str, check: str) -> EmProtocolError:
        return EmProtocolError(self._operation, self._client.on_base_url(self._path(number)), happened, check, 200)


def expect_list(
    client: EnterpriseManager, document: _xml.Document, shapes: Sequence[str], operation: Operation, path: str, of: str
) -> None:
    """Make sure that a reply is a list.

    :arg shapes: the shapes of :mod:`_xml` that are lists here.
    :arg of: what it should be a list of, for the error's sentence.
    :raises EmProtocolError: it is something else.
    """
    if document.shape not in shapes:
        happened = f"answered with a document {client.redact(document.root)}, which is no list of {of}"
        raise EmProtocolError(operation, client.on_base_url(path), happened, CHECK_EM, 200)


def query_path(entity_type: str, expression: str | None, sort: str, page_size: int, page: int) -> str:
    """Path and query of one page. The whole filter is percent-encoded as UTF-8, so that ``&`` or ``+`` cannot end it."""
    path = f"/api/query?type={entity_type}&format=Entities&{sort}&pageSize={page_size}&page={page}"
    return path + (f"&filter={quote(expression, safe='')}" if expression else "")


def fits(client: EnterpriseManager, expression: str) -> bool:
    """Whether a request with this filter stays within :data:`MAX_URL`, whatever its other parameters are."""
    return len(client.base_url) + OTHER_PARAMETERS + len(quote(expression, safe="")) <= MAX_URL


def pieces(client: EnterpriseManager, terms: Sequence[str]) -> Iterator[list[str]]:
    """Cut a long list of alternatives into lists whose :func:`any_of` fits into one URL each, with their order kept."""
    piece: list[str] = []
    for term in terms:
        if piece and not fits(client, any_of([*piece, term])):
            yield piece
            piece = []
        piece.append(term)
    if piece:
        yield piece
