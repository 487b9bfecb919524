# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The query service's filter expressions (docs/evidence.md, "Query service"): grammar, meaning, and the server's own spelling."""

from __future__ import annotations

import operator
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from .behaviour import Behaviour
from .clock import parse_time

_GRAMMAR = r"""
start: {loose}
any_of: {any_part} ("," {any_part})*
all_of: {all_part} (";" {all_part})*
term: comparison | "(" start ")"
comparison: FIELD OPERATOR (QUOTED | BARE)
FIELD: /[A-Za-z_][A-Za-z0-9_]*/
OPERATOR: "==" | "!=" | ">=" | "<=" | ">" | "<"
QUOTED: /"(?:[^"]|"")*"/
BARE: /[A-Za-z0-9_](?:[A-Za-z0-9_ :.+-]*[A-Za-z0-9_])?/
%ignore " "
"""

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


class FilterError(ValueError):
    """The filter cannot be understood; the text is for the error reply."""


@dataclass(frozen=True)
class Field:
    """A property that queries can name.

    :param kind: ``text``, ``time`` (aware datetimes), ``uid`` (GUID text) or ``enum`` (words in order).
    :param read: takes an item, gives the value or None.
    :param words: the enum's words in their documented order.
    """

    name: str
    kind: str
    read: Callable[[Any], Any]
    words: tuple[str, ...] = ()

    def key(self, behaviour: Behaviour) -> Callable[[Any], Any]:
        """A function from an item to a value that compares and sorts as the server does; None for no value."""
        read = self.read
        if self.kind == "enum":
            order = self.order(behaviour)
            # Words outside the list come after it, so that "State!=Stopped" finds a session that is "Pausing".
            return lambda item: None if (word := read(item)) is None else order.get(word.casefold(), len(order))
        if self.kind == "text" and not behaviour.case_sensitive:
            return lambda item: None if (value := read(item)) is None else value.casefold()
        return read

    def order(self, behaviour: Behaviour) -> dict[str, int]:
        """Position of each word; ``None`` goes first or last."""
        words = self.words
        if "None" in words and behaviour.none_order == "last":
            words = (*(word for word in words if word != "None"), "None")
        return {word.casefold(): position for position, word in enumerate(words)}


@dataclass(frozen=True)
class Filter:
    """A filter that was understood.

    :param matches: tells whether an item is selected.
    :param text: the expression as the server writes it into page links: wrapped in parentheses.
    """

    matches: Callable[[Any], bool]
    text: str


def parse_filter(expression: str, fields: Mapping[str, Field], behaviour: Behaviour) -> Filter:
    """Understand an expression over ``fields`` (by lower-case name). Raises FilterError."""
    try:
        tree = _parser(behaviour.and_binds_tighter).parse(expression)
    except UnexpectedInput as error:
        raise FilterError(f"Filter expression is malformed at position {error.pos_in_stream}: {expression}") from error
    matches, text = _build(tree, fields, behaviour)
    return Filter(matches, text if text.startswith("(") else f"({text})")


@lru_cache(maxsize=2)
def _parser(and_binds_tighter: bool) -> Lark:
    if and_binds_tighter:
        parts = {"loose": "any_of", "any_part": "all_of", "all_part": "term"}
    else:
        parts = {"loose": "all_of", "any_part": "term", "all_part": "any_of"}
    return Lark(_GRAMMAR.format(**parts), parser="lalr")


def _build(tree: Tree[Token], fields: Mapping[str, Field], behaviour: Behaviour) -> tuple[Callable[[Any], bool], str]:
    """Predicate and text of a node."""
    if tree.data == "comparison":
        name, sign, literal = (str(token) for token in tree.children)
        return _comparison(name, sign, literal, fields, behaviour)
    parts = [_build(child, fields, behaviour) for child in tree.children if isinstance(child, Tree)]
    if len(parts) == 1:
        return parts[0]
    tests = [test for test, dummy in parts]
    if tree.data == "any_of":
        return (lambda item: any(test(item) for test in tests)), "(" + ",".join(text for dummy, text in parts) + ")"
    return (lambda item: all(test(item) for test in tests)), "(" + ";".join(text for dummy, text in parts) + ")"


def _comparison(
    name: str, sign: str, literal: str, fields: Mapping[str, Field], behaviour: Behaviour
) -> tuple[Callable[[Any], bool], str]:
    field = fields.get(name.casefold())
    if field is None:
        raise FilterError(f"Unknown filter field: {name}")
    quoted = literal.startswith('"')
    if quoted:
        value = literal[1:-1].replace('""', '"')
        if behaviour.refuse_quoted_quote and '"' in value:
            raise FilterError(f"Unexpected quote in a filter value: {literal}")
    else:
        literal = value = literal.replace(" ", "")  # [doc] dropped without a word
        if field.kind in ("text", "enum") and not re.fullmatch("[A-Za-z0-9_]+", value):
            raise FilterError(f"The value must be quoted: {literal}")
    compare = _OPERATORS[sign]
    wanted = _wanted(field, sign, value, behaviour)
    read = field.key(behaviour)

    def matches(item: Any) -> bool:
        found = read(item)
        if found is None or wanted is None:  # [assumed] what has no value differs from everything
            return sign == "!="
        return compare(found, wanted)

    return matches, field.name + sign + literal


def _wanted(field: Field, sign: str, value: str, behaviour: Behaviour) -> Any:
    """The literal as a value that compares with the field's; None matches nothing."""
    if field.kind == "uid":
        return _wanted_uid(field, sign, value, behaviour)
    if field.kind == "time":
        return _wanted_time(value)
    if field.kind == "enum":
        if behaviour.refuse_result_none and value.casefold() == "none":
            raise FilterError(f"Unknown value of {field.name}: {value}")
        order = field.order(behaviour)
        if value.casefold() not in order:
            raise FilterError(f"Unknown value of {field.name}: {value}")
        return order[value.casefold()]
    return value if behaviour.case_sensitive else value.casefold()


def _wanted_uid(field: Field, sign: str, value: str, behaviour: Behaviour) -> str | None:
    if field.name == "UID" and behaviour.refuse_uid_filter:
        raise FilterError("Filtering by UID is not supported")
    if sign not in ("==", "!="):
        raise FilterError(f"Operator {sign} does not apply to {field.name}")
    is_urn = value.lower().startswith("urn:veeam:")
    try:
        wanted = str(uuid.UUID(value.rpartition(":")[2] if is_urn else value))
    except ValueError as error:
        raise FilterError(f"Not an identifier: {value}") from error
    if behaviour.uid_filter not in ("both", "urn" if is_urn else "guid"):
        return None
    return wanted


def _wanted_time(value: str) -> datetime:
    try:
        return parse_time(value)
    except ValueError as error:
        raise FilterError(f"Not a date and time: {value}") from error
