# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One object of EM by its id, and whether an id is really unknown."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from . import xml
from .client import EnterpriseManager
from .errors import CHECK_EM, EmNotFoundError, EmProtocolError, Operation

LISTS = (xml.ENTITIES, xml.REFERENCES)
"""What a collection answers: with ``format=Entity`` the entities, without it (or where EM ignores it) references."""


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
    if document.shape in (xml.ENTITY, xml.REFERENCE):
        item = document.items[0]
        is_same = guid in (xml.guid(xml.text(item, "UID")), xml.guid(xml.text(item, "Href")))
        if is_same and (reference_allowed or not (document.shape == xml.REFERENCE or is_reference(item))):
            return item
    problem = f"answered with a document {client.redact(document.root)} that is not the entity of this {resource.noun}"
    raise EmProtocolError(resource.operation, client.on_base_url(path), problem, CHECK_EM, 200)


def is_reference(item: xml.Entity) -> bool:
    return (xml.text(item, "Type") or "").endswith("Reference")


def expect_unknown(client: EnterpriseManager, resource: ResourceType, guids: Collection[str]) -> None:
    """Before ids are reported as unknown, EM must show that it can list such objects, and that it does not list these.

    :raises EmError: it cannot, so its "not found" says nothing; or it lists one of them.
    """
    if not guids:
        return
    document = client.get(resource.collection, resource.operation)
    expect_list(client, document, LISTS, resource.operation, resource.collection, f"{resource.noun}s")
    listed = {xml.identity(item) for item in document.items}
    for guid in guids:
        if guid in listed:
            problem = f"lists the {resource.noun} {guid} but does not know it by its id"
            hint = "Try again, and check the state of Enterprise Manager."
            raise EmProtocolError(resource.operation, client.on_base_url(resource.collection), problem, hint, 200)


def expect_list(
    client: EnterpriseManager, document: xml.Document, shapes: Sequence[str], operation: Operation, path: str, of: str
) -> None:
    """:raises EmProtocolError: the document has none of these shapes, so it is not a list of what it should be."""
    if document.shape not in shapes:
        problem = f"answered with a document {client.redact(document.root)}, which is not a list of {of}"
        raise EmProtocolError(operation, client.on_base_url(path), problem, CHECK_EM, 200)
