# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a neutral tree of elements to XML or JSON bytes (docs/evidence.md, "Representations").

One tree serves both formats. In JSON attributes and child elements become plain properties, a repeated child becomes a
list under the plural of its name inside its container's object, links are flattened, absent values are null.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

NAMESPACE = "http://www.veeam.com/ent/v1.0"
BOM = b"\xef\xbb\xbf"

Scalar = str | int | bool


@dataclass(frozen=True)
class Style:
    """Everything that decides how the same data look on the wire. Hashable, so that rendered text can be kept by it."""

    json: bool = False
    version: int = 12
    href_base: str = ""
    finished_tasks: str = "keep"
    plan_vms: str = "served"
    plan_references: str = "cloud"
    point_times: str = "served"
    system_result: str = "as state"
    empty_containers: str = "element"
    xml_prefix: str = ""
    indent: bool = False
    bom: bool = False
    query_order: bool = False  # attribute order of query replies, which differs from the other shapes [doc]

    def with_json(self, wanted: bool) -> Style:
        """The same style in the named format."""
        return self if self.json == wanted else replace(self, json=wanted)


@dataclass(slots=True)
class Element:
    """A node: attributes (None values are left out of XML), then a scalar value or child elements.

    ``plural`` marks a container of repeated children and names their list in JSON; the empty string flattens the list
    (``Links``). ``absent`` elements exist only as null in JSON.
    """

    name: str
    attributes: Mapping[str, Scalar | None] | None = None  # no empty ones: there are very many leaves
    children: Sequence[Any] = ()  # elements; those of a container may be kept ones
    value: Scalar | None = None
    plural: str | None = None
    absent: bool = False


@dataclass(slots=True)
class Kept:
    """An element whose rendered text is kept: ``memo`` lives as long as the data behind it cannot change."""

    memo: dict[Any, Any]
    build: Callable[[], Element]


def text(name: str, value: Scalar | None) -> Element:
    """A leaf element; None makes an absent one."""
    return Element(name, None, (), value, None, value is None)


def items(name: str, plural: str, children: Sequence[Element | Kept]) -> Element:
    """A container of repeated children."""
    return Element(name, None, children, None, plural)


def to_bytes(root: Element, style: Style) -> tuple[str, bytes]:
    """Content type and body of a reply with this root."""
    if style.json:
        media_type, body = "application/json; charset=utf-8", _json(root, style)
    else:
        media_type, body = "application/xml; charset=utf-8", _xml_document(root, style)
    return media_type, (BOM if style.bom else b"") + body.encode()


def _xml_document(root: Element, style: Style) -> str:
    namespaces = f' xmlns{":" + style.xml_prefix if style.xml_prefix else ""}="{NAMESPACE}"'
    declaration = ""
    if style.version < 13:  # [seen] XmlSerializer's habits: declaration and two unused prefixes
        declaration = '<?xml version="1.0" encoding="utf-8"?>' + ("\n" if style.indent else "")
        namespaces += (
            ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        )
    out = [declaration]
    _xml(root, style, f"{style.xml_prefix}:" if style.xml_prefix else "", "\n" if style.indent else "", out, namespaces)
    return "".join(out)


def _xml(node: Element | Kept, style: Style, prefix: str, line: str, out: list[str], namespaces: str = "") -> None:
    """Append the node's XML to ``out``; ``line`` is what starts a new line at its depth, or nothing."""
    if isinstance(node, Kept):
        key = (style, line)
        kept = node.memo.get(key)
        if kept is None:
            own: list[str] = []
            _xml(node.build(), style, prefix, line, own)
            kept = node.memo[key] = "".join(own)
        out.append(kept)
        return
    if node.absent:
        return
    head = f"<{prefix}{node.name}{namespaces}"
    if node.attributes:
        for name, value in node.attributes.items():
            if value is not None:
                head += f' {name}="{_escape_attribute(_word(value))}"'
    if node.value is not None:
        out.append(f"{head}>{_escape(_word(node.value))}</{prefix}{node.name}>")
        return
    if node.plural is not None and not node.children and style.empty_containers == "omit" and not namespaces:
        return
    if not node.children:
        out.append(head + " />")
        return
    out.append(head + ">")
    inner = line + "  " if line else ""
    for child in node.children:
        before = len(out)
        out.append(inner)
        _xml(child, style, prefix, inner, out)
        if len(out) == before + 1:  # nothing came: take the line start back
            out.pop()
    out.append(f"{line}</{prefix}{node.name}>")


def _word(value: Scalar) -> str:
    if isinstance(value, str):
        return value
    return str(value).lower()  # true, false, decimals


def _escape(value: str) -> str:
    # A chain of replace() is the fastest way here: most values need nothing.
    return value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#xD;")


def _escape_attribute(value: str) -> str:
    # [doc] Quotes by name, apostrophes by number.
    value = _escape(value).replace('"', "&quot;").replace("'", "&#39;")
    return value.replace("\n", "&#xA;").replace("\t", "&#x9;")


def _json(node: Element | Kept, style: Style) -> str:
    if isinstance(node, Kept):
        kept = node.memo.get(style)
        if kept is None:
            kept = node.memo[style] = _json(node.build(), style)
        return kept
    if node.absent:
        return "null"
    if node.value is not None:
        return json.dumps(node.value, ensure_ascii=False)
    key = camel if style.version >= 13 else str
    if node.plural == "":
        return f"[{','.join(_json(child, style) for child in node.children)}]"
    attributes = node.attributes or {}
    properties = [f'"{key(name)}":{json.dumps(value, ensure_ascii=False)}' for name, value in attributes.items()]
    if node.plural is None:
        properties += [f'"{key(child.name)}":{_json(child, style)}' for child in node.children]
    elif node.children or style.empty_containers == "element":
        properties.append(f'"{key(node.plural)}":[{",".join(_json(child, style) for child in node.children)}]')
    else:
        return "null"
    return "{" + ",".join(properties) + "}"


@cache
def camel(name: str) -> str:
    """Lower the leading run of capitals as version 13 does: ``UID`` -> ``uid``, ``CreationTimeUTC`` stays inside."""
    run = len(name) - len(name.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    if 1 < run < len(name):
        run -= 1  # the last capital of the run begins the next word
    return name[:run].lower() + name[run:]
