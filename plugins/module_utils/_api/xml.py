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
import sys
from collections.abc import Generator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, NamedTuple, NoReturn
from xml.parsers import expat

from .ids import GUID

try:
    import xmltodict

    XMLTODICT_IMPORT_ERROR = None
except ImportError as exc:  # reported by the caller: the import itself must work where only documentation is wanted
    xmltodict = None  # type: ignore[assignment, unused-ignore]
    XMLTODICT_IMPORT_ERROR = exc

Entity = dict[str, Any]

NAMESPACE = "http://www.veeam.com/ent/"
"""How the namespace of EM's documents begins; its version follows."""

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

# Shapes. An entity may be a reference, as may those of a list or query (docs/evidence.md, "Five shapes").
ENTITY = "entity"
ENTITIES = "entities"
QUERY = "query"


class XmlError(Exception):
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


def parse(body: bytes) -> Document:
    """Read one reply of EM in any of the five shapes.

    Element and attribute order, prefixes, a byte order mark, comments and indentation have no meaning.

    :arg body: the reply's bytes; encoding by byte order mark or XML declaration, else UTF-8.
    :raises XmlError: not well-formed, has a DTD, is far deeper than any page, or is of a shape that EM does not send.
    """
    start = _text_of(body[:4096])
    if not start:
        raise XmlError("it is empty")
    if start.startswith(("{", "[")):
        raise XmlError("it is JSON, though XML was asked for")
    if re.match(r"(<\?xml[^<>]*>\s*)?<(!doctype )?html", start, re.IGNORECASE):
        raise XmlError(f"it is {error_text(body)}")
    return _document(*_root_of(body))


def _root_of(body: bytes) -> tuple[str, Entity]:
    """Local name and content of the root element; all names in it are local too.

    :raises XmlError: the body cannot be read.
    """
    with suppress(expat.ExpatError, ValueError, LookupError):  # the last two: encodings that Python does not know
        return _parsed(body)
    # Outside of that block the exception no longer holds what has been read so far.
    try:
        return _parsed(_repaired(body), "utf-8")
    except expat.ExpatError as exc:
        raise XmlError(f"it is not well-formed XML ({exc})") from exc


_PREFIXED_TAG = re.compile(rb"<[^ \t\r\n<>/!?:]+:")


def _parsed(body: bytes, encoding: str | None = None) -> tuple[str, Entity]:
    if len(body) > MAX_TAGS and body.count(b"<") > MAX_TAGS:
        raise XmlError(f"it has more than {MAX_TAGS:,} tags; ask for less with a smaller page_size")
    # Taking names apart costs a tenth of a playbook that reads 4,000 sessions with ``fields`` (0.31 of 2.9 s), so it is
    # done only where a tag has a prefix, or in UTF-16.
    with_prefixes = b"\0" in body[:4] or _PREFIXED_TAG.search(body)
    options: dict[str, Any] = {"process_namespaces": True, "namespaces": _AnyNamespace()} if with_prefixes else {}
    parser = expat.ParserCreate(encoding, ":" if with_prefixes else None)
    parser.StartDoctypeDeclHandler = _refuse_doctype

    def pieces() -> Generator[bytes, None, None]:
        # xmltodict asks expat for lists and makes dictionaries of them, which takes a fifth of its time; this is read last.
        parser.ordered_attributes = False
        yield body

    module = SimpleNamespace(ParserCreate=lambda *dummy: parser)
    document = xmltodict.parse(pieces(), attr_prefix="", expat=module, **options)
    _check_depth(document)
    root, content = next(iter(document.items()))
    return root, content if isinstance(content, dict) else {}


def _refuse_doctype(*dummy: object) -> NoReturn:
    """EM sends none. Without one there are no entity declarations, so no entity bombs and no external entities."""
    raise XmlError("it has a document type declaration (DTD), which EM never sends")


def _check_depth(document: Any) -> None:
    """Refuse what would exhaust the stack of all that reads or writes it by recursion, such as JSON."""
    level = [document]
    for dummy in range(MAX_DEPTH):
        level = [
            value
            for item in level
            for value in (item.values() if isinstance(item, dict) else item)
            if value.__class__ is not str and value is not None
        ]
        if not level:
            return
    raise XmlError(f"its elements are nested more than {MAX_DEPTH} levels deep")


# Documents that are almost XML: .NET writes characters that XML does not allow as references, and calls texts UTF-16.

_REFERENCE = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)|&#(x[0-9a-fA-F]{1,20}|[0-9]{1,20});", re.DOTALL
)
_NO_CHARACTER = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BLANK = "".join(map(chr, range(33))) + "\ufeff"


def _repaired(body: bytes) -> bytes:
    """The document as UTF-8, with U+FFFD for each character that XML does not allow, written as it is or as a reference."""
    text = _REFERENCE.sub(_without_reference, _text_of(body))
    # Two references to the halves of a character become that character, and others U+FFFD.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _NO_CHARACTER.sub("\ufffd", text).encode()


def _without_reference(match: re.Match[str]) -> str:
    """The character itself for a reference to one that XML does not allow; other references, comments and such as they are."""
    number = match[1]
    if number is None:
        return match[0]
    code = int(number[1:], 16) if number[0] == "x" else int(number)
    character = chr(code) if code <= sys.maxunicode else "\0"
    return character if _NO_CHARACTER.match(character) else match[0]


def _text_of(body: bytes) -> str:
    """The text of a body by its byte order mark or zero bytes, else UTF-8, without blanks and control characters around it."""
    return body.decode(json.detect_encoding(body), errors="replace").strip(_BLANK)


def is_from_em(body: bytes) -> bool:
    """Whether a body is in the form of EM's API, by its namespace or as an error in JSON, even if it cannot be used."""
    return NAMESPACE in _text_of(body) or b"firstchanceexceptionmessage" in body.lower()


def _document(root: str, content: Entity) -> Document:
    if root == "QueryResult":
        containers = [content[key] for key in ("Entities", "Refs", "Resources") if key in content]
        if not containers and "PagingInfo" not in content:
            raise XmlError("it is a QueryResult without a result")
        items: list[Entity] = []
        for container in containers:
            for found in _items(container):
                # Entities hold one list for each type; Refs hold the references themselves.
                items.extend([found] if _is_object(found) else _items(found))
        return Document(root, QUERY, items, _paging(content))
    if root == "Error":
        raise XmlError(f"it is an Error: {_error_in_xml(content) or 'without a message'}")
    if _is_object(content) or not root.endswith("s"):
        return Document(root, ENTITY, [content], None)
    items = _items(content)
    # A list has no texts. What has nothing else is an object, such as settings.
    if not items and any(isinstance(content[key], str) and key.isidentifier() for key in content.keys() - _NO_CHILDREN):
        return Document(root, ENTITY, [content], None)
    return Document(root, ENTITIES, items, _paging(content))


def _items(container: Any) -> list[Entity]:
    """The items of a list that is an answer: an item without any content is a broken answer, not one item less.

    A single child without content whose name is a plural is an empty list in the list (docs/evidence.md).
    """
    for holder in _as_list(container):
        for key, value in holder.items() if isinstance(holder, dict) else ():
            missing = value is None and not key.endswith("s") or isinstance(value, list) and None in value
            if missing and key not in _NO_CHILDREN:
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
        texts = (item.get("#text") if isinstance(item, dict) else item for item in _as_list(value))
        value = next(filter(None, texts), None)
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
    return guid(name) or guid(text(item, "Href")) or name.lower()


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
    EM's Error as XML or JSON, an HTML page (its title), plain text. EM's stack trace is left out.
    """
    plain = _text_of(body[:MAX_ERROR])
    if plain.startswith("{"):
        return _error_in_json(plain)
    if plain.startswith("<"):
        return _error_in_markup(body, plain)
    return plain or None


def _error_in_json(plain: str) -> str | None:
    try:
        content = json.loads(plain, strict=False)  # with control characters in texts
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
    except XmlError:
        pass
    if NAMESPACE in plain:
        return None
    # No part of this pattern scans the rest in vain, or a page of unclosed tags would take minutes.
    title = re.search(r"<title[^<>]*>([^<]+)</title", plain, re.IGNORECASE)
    return f'a web page: "{" ".join(html.unescape(title[1]).split())}"' if title else "a web page"


def _error_in_xml(content: Entity) -> str | None:
    return _join(text(content, "Message"), text(content, "FirstChanceExceptionMessage"))


def _join(message: object, inner: object) -> str | None:
    """Message first, then the inner one if it says something else."""
    said = [item.strip() for item in (message, inner) if isinstance(item, str) and item.strip()]
    return " / ".join(dict.fromkeys(said)) or None
