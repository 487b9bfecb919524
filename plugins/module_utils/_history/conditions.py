# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Conditions of SQL, and their values: lists in parts that a database takes, and the criteria for sessions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

from .._failover.criteria import SessionCriteria

BATCH = 500
"""Values in one list of a query."""


def batches(values: Iterable[Any]) -> Iterator[list[Any]]:
    rest = list(values)
    while rest:
        yield rest[:BATCH]
        rest = rest[BATCH:]


def one_of(column: str, values: Collection[Any]) -> tuple[str, list[Any]]:
    """A condition that a column is one of some values, and these; PostgreSQL has no empty list."""
    return f"{column} IN ({', '.join('?' for dummy in values) or 'NULL'})", list(values)


def session_terms(criteria: SessionCriteria, em_names: Collection[str] | None) -> tuple[list[str], list[Any]]:
    """The criteria as conditions on the columns of the index, and their values. They let through what matches exactly."""
    terms, values = ["1 = 1"], []
    for column, wanted in (
        ("em_name", em_names),
        ("session_id", criteria.ids),
        ("plan", criteria.names),
        ("state", criteria.states),
        ("result", criteria.results),
        ("backup_server", criteria.backup_servers),
    ):
        if wanted is not None:
            condition, texts = one_of(column, wanted)
            terms.append(condition)
            values += texts
    for condition, bound in (
        ("creation_time >= ?", criteria.created_after),
        ("creation_time < ?", criteria.created_before),
        ("end_time >= ?", criteria.ended_after),
        ("end_time < ?", criteria.ended_before),
    ):
        if bound is not None:
            terms.append(condition)
            values.append(bound)
    return terms, values
