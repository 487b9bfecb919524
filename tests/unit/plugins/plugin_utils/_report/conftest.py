# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of each case."""

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import (
    CASES,
    CONTEXT,
    FULL,
    make,
    texts,
)


@pytest.fixture(params=CASES)
def report(request):
    """The report of each case, as texts by their kinds."""
    return texts(make(*CASES[request.param], CONTEXT))


@pytest.fixture
def full():
    """A report with all that can be given."""
    return make(*CASES["good"], FULL)
