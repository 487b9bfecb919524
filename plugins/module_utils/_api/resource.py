# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One object of EM by its id, and whether an id is really unknown."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from . import xml
from .client import EnterpriseManager
from .errors import CHECK_EM, EmNotFoundError, EmProtocolError, Operation
from .response import Response

DIRECT_READS = 5
"""Maximum number of ids that are read one by one at once; more are queried first."""
_REFERENCE_KEYS = frozenset({"Type", "Href", "Name", "UID", "Links", "xmlns"})


class ResourceType(NamedTuple):
    """A type of objects that EM has.

    :ivar name: EM's name of the type, such as ``CloudFailoverSession``.
    :ivar noun: what one of them is called in sentences, such as ``session``.
    :ivar collection: path of the list of all.
    :ivar operation: what reading them is called, for errors.
    :ivar collection_limit: what the list lacks, to follow its path in a sentence (", which ...").
    """

    name: str
    noun: str
    collection: str
    operation: Operation
    collection_limit: str = ""

    def path(self, guid: str) -> str:
        return f"{self.collection}/{guid}?format=Entity"


def is_reference(item: xml.Entity) -> bool:
    """Tell a reference from an entity, which has more elements."""
    kind = xml.text(item, "Type")
    return kind.endswith("Reference") if kind else item.keys() <= _REFERENCE_KEYS


def read_resource(
    client: EnterpriseManager, resource: ResourceType, guid: str, reference_allowed: bool = False
) -> xml.Entity | None:
    """One object by its id, or None where EM does not know it.

    :arg reference_allowed: whether a reference will do where EM gives no entity.
    :raises EmProtocolError: EM answered with something else than that object.
    """
    path = resource.path(guid)
    try:
        document = client.get(path, resource.operation, about=guid)
    except EmNotFoundError:
        return None
    if document.shape == xml.ENTITY:
        item = document.items[0]
        is_same = guid in (xml.guid(xml.text(item, "UID")), xml.guid(xml.text(item, "Href")))
        if is_same and (reference_allowed or not is_reference(item)):
            return item
    problem = f"answered with a document {client.redact(document.root)} that is not the entity of this {resource.noun}"
    raise EmProtocolError(resource.operation, client.on_base_url(path), problem, CHECK_EM, 200)


def read_by_ids(
    client: EnterpriseManager,
    resource: ResourceType,
    guids: Collection[str],
    pages: Iterable[list[xml.Entity]],
    reference_allowed: bool = False,
) -> tuple[list[xml.Entity], list[str]]:
    """The objects with these ids, and the ids that EM does not know.

    Few are read directly, which is the surest; of many, those that a query does not find.

    :arg pages: of the query for many.
    """
    known: dict[str, xml.Entity] = {}
    if len(guids) > DIRECT_READS:
        known = {
            xml.identity(item): item for page in pages for item in page if reference_allowed or not is_reference(item)
        }
    items = {guid: known.get(guid) or read_resource(client, resource, guid, reference_allowed) for guid in guids}
    missing = [guid for guid, item in items.items() if item is None]
    expect_unknown(client, resource, missing)
    return [item for item in items.values() if item is not None], missing


def expect_unknown(client: EnterpriseManager, resource: ResourceType, guids: Collection[str]) -> None:
    """Before ids are reported as unknown, EM must show that it can list such objects, and that it does not list these.

    :raises EmError: it cannot, so its "not found" says nothing; or it lists one of them.
    """
    if not guids:
        return
    items = read_list(client, resource.collection, resource.operation, f"{resource.noun}s").items
    listed = {xml.identity(item) for item in items}.intersection(guids)
    if listed:
        problem = f"lists the {resource.noun} {min(listed)} but does not know it by its id"
        hint = "Try again, and check the state of Enterprise Manager."
        raise EmProtocolError(resource.operation, client.on_base_url(resource.collection), problem, hint, 200)


def read_list(
    client: EnterpriseManager,
    path: str,
    operation: Operation,
    of: str,
    shape: str = xml.ENTITIES,
    prefetched: Response | None = None,
) -> xml.Document:
    """A list of such objects.

    :raises EmProtocolError: the document does not have this shape.
    """
    document = client.get(path, operation, prefetched=prefetched)
    if document.shape != shape:
        problem = f"answered with a document {client.redact(document.root)}, which is not a list of {of}"
        raise EmProtocolError(operation, client.on_base_url(path), problem, CHECK_EM, 200)
    return document
