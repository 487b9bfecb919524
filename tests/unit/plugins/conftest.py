# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A history for the tests of modules and plugins."""

from __future__ import annotations

import pytest

NO_EM = {"url": None, "username": None, "password": None, "retries": None}


@pytest.fixture
def store(tmp_path):
    return str(tmp_path / "history.db")


@pytest.fixture
def record(run_module, store):
    """Look at the emulator, or record what is handed over, with ``failover_history``."""

    def call(**options):
        return run_module("failover_history", **{"store": store, **options})

    return call


@pytest.fixture
def read(run_module, store):
    """Read the history with ``failover_history_info``, which knows no EM."""

    def call(**options):
        return run_module("failover_history_info", **{"store": store, **NO_EM, **options})

    return call
