# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which error a response is; more is in test_client.py, with real HTTP."""

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.redaction import MAX_SCANNED
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.response import says_absent


@pytest.mark.parametrize(
    ("text", "about", "absent"),
    [
        ("Unknown: ABC", "abc", True),
        ("abc: NO such thing", "abc", True),
        ("There is not an abc", "abc", True),
        ("abc is locked", "abc", False),
        ("Nothing of abc is known", "abc", False),
        ("Session not found", "abc", True),
        ("Server not found", "abc", False),
        ("Server not found", None, False),
        ("x" * MAX_SCANNED + " abc not found", "abc", False),  # nobody says it so late
    ],
)
def test_what_says_that_an_object_is_absent(text, about, absent):
    assert says_absent(text, about) is absent
