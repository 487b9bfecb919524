# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the bytes of an Enterprise Manager (EM) response to plain entity dicts, and from an error body to its text.

This is the only user of xmltodict and the only place that knows namespaces and the one-child-or-many quirk.
An *entity* here is a dict in which XML attributes and child elements are plain keys with EM's own names
(``Name``, ``UID``, ``State``), as in EM's JSON. Read it with :func:`text`, :func:`children` and :func:`links`.

Source: docs/evidence.md, "Representations" and "Errors".
"""

from __future__ import annotations

import html
import json
import re
from typing import Any, NamedTuple, NoReturn
from xml.parsers import expat

try:
    import xmltodict

    XMLTODICT_IMPORT_ERROR = None
except ImportError as exc:  # reported by the caller: the import itself must work where only documentation is wanted
    xmltodict = None  # type: ignore[assignment, unused-ignore]
    XMLTODICT_IMPORT_ERROR = exc

Entity = dict[str, Any]

GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
"""The unique part of EM's URNs and Hrefs."""

MAX_ERROR = 64 * 1024
"""Bytes. An error body is read so far; EM's own are far shorter."""
MAX_TAGS = 3_000_000
"""Each takes hundreds of bytes of memory. The largest page, of 10 MB, has less than a tenth of it."""
MAX_DEPTH = 100
"""Levels of elements and of lists of them. EM's own responses have less than ten."""

# Where a logon is ended. EM's link is taken only if it is such a path, so that nothing else can be deleted.
_LOGON = re.compile(r"(?:https?://[^/?#]*)?/api/logonSessions/[\w=-]+/?(?:\?.*)?", re.IGNORECASE)

# Keys of a list that are not in it. xmltodict keeps namespace declarations under "xmlns".
_NO_CHILDREN = frozenset({"PagingInfo", "Links", "xmlns"})

# The five shapes (docs/evidence.md, "Five shapes").
REFERENCES = "references"
REFERENCE = "reference"
ENTITY = "entity"
ENTITIES = "entities"
QUERY = "query"


class XmlError(ValueError):
    """The reply is not an XML document that EM could have sent; the text says why, partly in the server's words."""


class Paging(NamedTuple):
    """EM's ``PagingInfo``: its ``PagesCount`` (0 where EM gives none), and whether there is a link ``Next``."""

    pages: int
    has_next: bool


class Document(NamedTuple):
    """One reply: its ``root`` element's local name, its ``shape``, its ``items`` (one for a single object) and paging."""

    root: str
    shape: str
    items: list[Entity]
    paging: Paging | None


class _AnyNamespace(dict):  # type: ignore[type-arg]
    """Maps each namespace to nothing, so that xmltodict leaves only local names."""

    def __missing__(self, key: str) -> None:
        return None


class _StrictExpat:
    """The ``expat`` that xmltodict is given: its parsers refuse a document type declaration.

    EM sends none. Without one there are no entity declarations, so no entity bombs and no external entities.
    """

    @staticmethod
    def ParserCreate(encoding: str | None = None, namespace_separator: str | None = None) -> Any:
        parser = expat.ParserCreate(encoding, namespace_separator)
        parser.StartDoctypeDeclHandler = _refuse_doctype
        return parser


def _refuse_doctype(*dummy: object) -> NoReturn:
    raise XmlError("it has a document type declaration (DTD), which EM never sends")


def parse(body: bytes) -> Document:
    """Read one reply of EM in any of the five shapes.

    Element and attribute order, prefixes, a byte order mark, comments and indentation have no meaning.

    :arg body: the reply's bytes; encoding by byte order mark or XML declaration, else UTF-8.
    :raises XmlError: not well-formed, has a DTD, is far deeper than any page, or is of a shape that EM does not send.
    """
    if not body.strip():
        raise XmlError("it is empty")
    try:
        root, content = _root_of(body)
    except XmlError as exc:
        raise XmlError(_what_else(body) or str(exc)) from None
    except (expat.ExpatError, ValueError, LookupError) as exc:  # LookupError: an encoding that Python does not know
        raise XmlError(_what_else(body) or f"it is not well-formed XML ({exc})") from exc
    return _document(root, content)


_PREFIXED_TAG = re.compile(rb"<[^\s<>/!?:]+:")


def _root_of(body: bytes) -> tuple[str, Entity]:
    """Local name and content of the root element; all names in it are local too."""
    if body.count(b"<") > MAX_TAGS:
        raise XmlError(f"it has more than {MAX_TAGS:,} tags; ask for less with a smaller page_size")
    # Taking names apart costs a tenth of a playbook that reads 4,000 sessions with ``fields`` (0.31 of 2.9 s), so it is
    # done only where a tag has a prefix, or in UTF-16.
    with_prefixes = b"\0" in body[:4] or _PREFIXED_TAG.search(body)
    options: dict[str, Any] = {"process_namespaces": True, "namespaces": _AnyNamespace()} if with_prefixes else {}
    document = xmltodict.parse(body, attr_prefix="", expat=_StrictExpat, **options)
    _check_depth(document)
    root, content = next(iter(document.items()))
    return root, content if isinstance(content, dict) else {}


def _check_depth(document: Any) -> None:
    """Refuse what would exhaust the stack of all that reads or writes it by recursion, such as JSON."""
    level = [document]
    for dummy in range(MAX_DEPTH):
        inner = [value for item in level for value in (item.values() if isinstance(item, dict) else item)]
        level = [value for value in inner if isinstance(value, (dict, list))]
        if not level:
            return
    raise XmlError(f"its elements are nested more than {MAX_DEPTH} levels deep")


def _what_else(body: bytes) -> str | None:
    """What a body is that is not XML, where that is easy to tell."""
    start = body[:4096].decode("utf-8-sig", errors="replace").lstrip()
    if start.startswith(("{", "[")):
        return "it is JSON, though XML was asked for"
    # Each comment ends at its first "-->": if it could go on, many of them could be read in endlessly many ways.
    if re.match(r"(<!--((?!-->).)*-->\s*)*<(!doctype )?html", start, re.IGNORECASE | re.DOTALL):
        return f"it is {error_text(body)}"
    return None


def _document(root: str, content: Entity) -> Document:
    if root == "QueryResult":
        containers = [content[key] for key in ("Entities", "Refs", "Resources") if key in content]
        if not containers and "PagingInfo" not in content:
            raise XmlError("it is a QueryResult without a result")
        items: list[Entity] = []
        for container in containers:
            for found in _elements(container):
                # Entities hold one list for each type; Refs hold the references themselves.
                items.extend([found] if _is_object(found) else _items(found))
        return Document(root, QUERY, items, _paging(content))
    if root == "EntityReferences":
        return Document(root, REFERENCES, _items(content), _paging(content))
    if root == "EntityRef":
        return Document(root, REFERENCE, [content], None)
    if root == "Error":
        raise XmlError(f"it is an Error: {_error_in_xml(content) or 'without a message'}")
    if root.lower() == "html":
        raise XmlError("it is a web page")
    if _is_object(content) or not root.endswith("s"):
        return Document(root, ENTITY, [content], None)
    return Document(root, ENTITIES, _items(content), _paging(content))


def _items(container: Entity) -> list[Entity]:
    """The items of a list that is an answer: an item without any content is a broken answer, not one item less."""
    for key, value in container.items():
        if key not in _NO_CHILDREN and (value is None or (isinstance(value, list) and None in value)):
            raise XmlError(f"it has a {key} without content")
    return _elements(container)


def _is_object(value: Entity) -> bool:
    """Tell an entity or reference (each has a ``Type``, an ``Href`` or a ``UID``) from a list of them."""
    return "Type" in value or "UID" in value or "Href" in value


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _elements(container: Any) -> list[Entity]:
    """All child objects of a list container, whatever their element is called.

    Child names are no guide: a list of CloudVmReplicaPoints has children called CloudReplica (docs/evidence.md).
    """
    return [
        item
        for holder in _as_list(container)
        if isinstance(holder, dict)
        for key, value in holder.items()
        if key not in _NO_CHILDREN
        for item in _as_list(value)
        if isinstance(item, dict)
    ]


def _paging(content: Entity) -> Paging | None:
    info = next((item for item in _as_list(content.get("PagingInfo")) if isinstance(item, dict)), None)
    if info is None:
        return None
    return Paging(whole_number(text(info, "PagesCount")) or 0, any(link.get("Rel") == "Next" for link in links(info)))


def text(entity: Entity, key: str) -> str | None:
    """The text of an attribute or element; None where it is missing, empty or white space, which EM uses alike."""
    value = entity.get(key)
    if not isinstance(value, str):
        # A list: the same name as attribute and as element, or twice. A dict: an element that carries attributes.
        for item in _as_list(value):
            value = item.get("#text") if isinstance(item, dict) else item
            if value:
                break
        else:
            return None
    return value if value and not value.isspace() else None


def whole_number(value: str | None) -> int | None:
    """A decimal integer such as ``Progress``, or None where the text is missing or is no number."""
    try:
        return int(value) if value is not None else None
    except ValueError:
        return None


def flag(value: str | None) -> bool | None:
    """A boolean, whose spelling may vary; None where EM gives none."""
    return None if value is None else value.strip().lower() in ("true", "1")


def children(entity: Entity, container: str) -> list[Entity]:
    """The child objects in a list container of an entity, such as the tasks in ``CloudFailoverTasks``.

    Container and child may have the same name; only direct children of the container count.
    """
    return _elements(entity.get(container))


def guid(value: str | None) -> str | None:
    """The last GUID in a URN or Href, in lower case."""
    if not value:
        return None
    if "?" not in value and GUID.fullmatch(value[-36:]):  # as EM mostly writes it; to look elsewhere takes time
        return value[-36:].lower()
    found: list[str] = GUID.findall(value)
    return found[-1].lower() if found else None


def identity(item: Entity) -> str:
    """What tells an entity from all others: the GUID in its UID, else in its Href, in lower case."""
    name = text(item, "UID") or text(item, "Href") or ""
    return guid(name) or name.lower()


def log_off_path(body: bytes) -> str | None:
    """The link to log off in the reply to a logon, or its path made from the SessionId (which is not the token).

    None where neither leads to a logon: whatever else it is would be deleted.
    """
    try:
        logon = parse(body).items[0]
    except (XmlError, IndexError):
        return None
    given = [text(link, "Href") or "" for link in links(logon) if link.get("Rel") == "Delete"]
    by_id = f"/api/logonSessions/{text(logon, 'SessionId') or ''}"
    return next((path for path in [*given, by_id] if _LOGON.fullmatch(path)), None)


def links(entity: Entity) -> list[Entity]:
    """The links of an entity: dicts with ``Rel`` and ``Href``, mostly ``Type``, sometimes ``Name``."""
    return _elements(entity.get("Links"))


def objects(entity: Entity, key: str) -> list[Entity]:
    """Child elements of an entity that stand in no container, such as ``VmReplicaPointLink``."""
    return [item for item in _as_list(entity.get(key)) if isinstance(item, dict)]


# Errors


def error_text(body: bytes) -> str | None:
    """What the server said in the body of an error reply, in full, or None where it said nothing.

    The format is found by looking, since it may differ from what was asked for (docs/evidence.md, "Errors"):
    EM's Error as XML or JSON, an HTML page (its title or first words), plain text. EM's stack trace is left out.
    """
    plain = body[:MAX_ERROR].decode("utf-8-sig", errors="replace").strip()
    if plain.startswith("{"):
        return _error_in_json(plain)
    if plain.startswith("<"):
        return _error_in_markup(body, plain)
    return plain or None


def _error_in_json(plain: str) -> str | None:
    try:
        content = json.loads(plain)
    except (ValueError, RecursionError):
        return plain
    folded = {key.lower(): value for key, value in content.items()}  # EM 13 writes "message", EM 12 "Message"
    said = _join(folded.get("message"), folded.get("firstchanceexceptionmessage"))
    return said if said or "statuscode" in folded else plain


def _error_in_markup(body: bytes, plain: str) -> str | None:
    try:
        root, content = _root_of(body)
        if root == "Error":
            return _error_in_xml(content)
    except (XmlError, expat.ExpatError, ValueError, LookupError):
        pass
    # No part of these patterns scans the rest in vain, or a page of unclosed tags would take minutes.
    title = re.search(r"<title[^<>]*>([^<]*)</title", plain, re.IGNORECASE)
    words = re.sub(r"<(script|style).*?(</\1\s*>|\Z)|<[^<>]*>", " ", plain, flags=re.IGNORECASE | re.DOTALL)
    said = html.unescape(title.group(1) if title and title.group(1).strip() else words)
    return f'a web page: "{" ".join(said.split())}"'


def _error_in_xml(content: Entity) -> str | None:
    return _join(text(content, "Message"), text(content, "FirstChanceExceptionMessage"))


def _join(message: object, inner: object) -> str | None:
    """Message first, then the inner one if it says something else."""
    said = [item.strip() for item in (message, inner) if isinstance(item, str) and item.strip()]
    return " / ".join(dict.fromkeys(said)) or None
