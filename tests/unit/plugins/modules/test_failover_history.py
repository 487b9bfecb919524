# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

NONE = {"look": 0, "session": 0, "plan": 0, "points": 0, "run": 0, "verdict": 0, "note": 0}


@pytest.fixture
def store(tmp_path):
    return str(tmp_path / "history.db")


@pytest.fixture
def record(run_module, store):
    def call(**options):
        return run_module("failover_history", **{"store": store, **options})

    return call


@pytest.fixture
def read(run_module, store):
    def call(**options):
        return run_module("failover_history_info", **{"store": store, "url": None, "username": None, "password": None, **options})

    return call


def test_recording_twice_adds_a_look_and_nothing_else(em, record, read):
    em.reset(sessions=30, tasks=2)
    em.world.add_plan("Acme", ["db", "web"])
    first = record()
    assert first["changed"] is True
    assert first["recorded"]["session"] == 30
    second = record()
    assert (second["changed"], second["recorded"]) == (False, {**NONE, "look": 1})
    assert second["head"]["sequence"] == first["head"]["sequence"] + 1
    print(first, second)
    info = read()
    print({k: (v if not isinstance(v, list) else (len(v), v[:1])) for k, v in info.items()})
    assert 0
