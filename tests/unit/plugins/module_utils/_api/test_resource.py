# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One object by its id, and what is a reference. Unknown ids are tested through the readers."""

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import EmProtocolError, Operation
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.resource import (
    ResourceType,
    is_reference,
    read_resource,
)

GUID = "475420ee-d045-4493-9869-0a970e08f6f9"
THINGS = ResourceType("Thing", "thing", "/api/things", Operation("Read things"))


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"Type": "ThingReference", "UID": GUID}, True),
        ({"Type": "Thing", "UID": GUID}, False),
        ({"UID": GUID, "Href": "/x", "Name": "n", "Links": {}}, True),
        ({"UID": GUID, "State": "Stopped"}, False),
    ],
)
def test_a_reference_is_recognized_by_its_type_or_by_having_nothing_more(item, expected):
    assert is_reference(item) is expected


@pytest.mark.parametrize(
    "body", [f'<EntityRef UID="urn:x:{GUID}"/>', f'<Thing Type="ThingReference" UID="urn:x:{GUID}"/>']
)
def test_a_reference_will_do_only_where_it_is_allowed(em, connect, body):
    em.faults.add("reply", path=f"/api/things/{GUID}", body=body)
    with connect() as client:
        assert read_resource(client, THINGS, GUID, reference_allowed=True)["UID"] == f"urn:x:{GUID}"
        with pytest.raises(EmProtocolError, match="not the entity of this thing"):
            read_resource(client, THINGS, GUID)
