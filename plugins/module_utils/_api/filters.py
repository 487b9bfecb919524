# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filter expressions of EM's query service: terms, how they are joined, and what fits into one URL.

Source: docs/evidence.md, "Query service".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from urllib.parse import quote

MAX_URL = 8000
"""Characters. HTTP servers and proxies commonly refuse a request line beyond 8 KiB."""
OTHER_PARAMETERS = 200
"""Characters kept for path, type, format, sort and paging; they take less than 120."""


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


def one_of(field: str, values: Collection[str] | None) -> list[str]:
    """The term for a field that has one of these values, or no term.

    If one of the alternatives cannot be sent, all are left out, or the objects it names would be lost.
    """
    if not values or not all(can_be_quoted(value) for value in values):
        return []
    return [any_of([quoted(field, "==", value) for value in sorted(values)])]


def all_that_fit(base_url: str, terms: Sequence[str]) -> str | None:
    """The filter of all terms, or None without any. If it does not fit into a URL, the longest terms are left out.

    The caller compares every criterion again, so a filter may let through too much, but never too little.
    """
    terms = sorted(terms, key=len)
    while terms and not fits_in_url(base_url, all_of(terms)):
        terms.pop()
    return all_of(terms) if terms else None


def fits_in_url(base_url: str, expression: str) -> bool:
    """Whether a request with this filter stays within :data:`MAX_URL`, whatever its other parameters are."""
    return len(base_url) + OTHER_PARAMETERS + len(quote(expression, safe="")) <= MAX_URL


def batches(base_url: str, terms: Sequence[str]) -> Iterator[list[str]]:
    """Cut a long list of alternatives into lists whose :func:`any_of` fits into one URL each, in the same order."""
    batch: list[str] = []
    for term in terms:
        if batch and not fits_in_url(base_url, any_of([*batch, term])):
            yield batch
            batch = []
        batch.append(term)
    if batch:
        yield batch
