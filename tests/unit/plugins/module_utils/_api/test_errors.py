# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sentence of an error."""

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import (
    EmBusyError,
)


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
