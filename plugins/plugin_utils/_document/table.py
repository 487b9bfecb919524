# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables as CSV, for programs and spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from .text import escape_control_chars


def csv_of(columns: Sequence[str], rows: Iterable[Iterable[Any]]) -> str:
    """A line of the columns, and one for each row, as RFC 4180 has it.

    Every cell is quoted, so that a semicolon in a name does not cut it where a spreadsheet expects semicolons.
    """
    table = io.StringIO()
    writer = csv.writer(table, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(map(_cell, row) for row in rows)
    return table.getvalue()


def _cell(value: Any) -> str:
    """The text of a cell. One that a spreadsheet would take for a formula gets an apostrophe before it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = escape_control_chars(value).replace("\n", "[U+000A]")
    is_formula = isinstance(value, str) and text.lstrip()[:1] in tuple("=+-@\uff1d\uff0b\uff0d\uff20")
    return f"'{text}" if is_formula else text
