# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sentence of an error, and which error a response is."""

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import (
    EmBusyError,
    says_absent,
)
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.redaction import MAX_SCANNED


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("https://em.example.com:9398/api/query?x=1", "em.example.com:9398"),
        ("http://[fe80::1]/api", "[fe80::1]"),
    ],
)
def test_the_problem_comes_first_and_the_url_last(url, server):
    error = EmBusyError("Start of plan x", url, "has a running session", "Wait for its end.")
    assert str(error) == f"Start of plan x failed: {server} has a running session. Wait for its end. ({url})"
    assert error.problem == f"{server} has a running session"


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
