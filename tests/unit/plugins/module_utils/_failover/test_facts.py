# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be told from facts alone."""

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.facts import same_backup_server


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (None, {"id": "a", "name": "A"}, None),
        ({"id": "a", "name": "A"}, None, None),
        ({"id": "a", "name": "A"}, {"id": "a", "name": "B"}, True),
        ({"id": "a", "name": "A"}, {"id": "A", "name": "B"}, True),
        ({"id": "a", "name": "A"}, {"id": "b", "name": "A"}, False),
        ({"id": None, "name": "A"}, {"id": "b", "name": "A"}, True),
        ({"id": None, "name": "A"}, {"id": "b", "name": "B"}, False),
        ({"id": "a", "name": None}, {"id": None, "name": "B"}, None),
        ({"id": None, "name": None}, {"id": None, "name": None}, None),
    ],
)
def test_the_id_of_a_backup_server_decides_else_its_name(one, other, same):
    assert same_backup_server({"backup_server": one}, {"backup_server": other}) is same
