# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a report: the same facts make the same bytes."""

from __future__ import annotations

import datetime as datetime_module
import json
import os
import subprocess
import sys
from copy import deepcopy
from datetime import datetime
from pathlib import Path

from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import times
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._report import files
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import (
    CASES,
    CONTEXT,
    FULL,
    make,
    texts,
)


def test_the_same_facts_make_the_same_bytes(report, request):
    case = request.node.callspec.params["report"]
    facts, verdict, of_plan = (deepcopy(part) for part in CASES[case])
    again = {key: facts[key] for key in reversed(facts)}
    assert texts(make(again, verdict, of_plan, CONTEXT)) == report


SCRIPT = """
import json, locale, sys, time
locale.setlocale(locale.LC_ALL, "") if sys.argv[1] == "set" else None
time.tzset()
sys.path.insert(0, sys.argv[2])
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._report import files
cases = json.load(open(sys.argv[3], encoding="utf-8"))
made = [files.make(facts, {"verdict": verdict, "plan": plan, **context}) for facts, verdict, plan, context in cases]
sys.stdout.write(json.dumps({"made": made, "zone": time.tzname}))
"""


def test_neither_hash_seed_nor_time_zone_nor_locale_matter(tmp_path):
    given = tmp_path / "given.json"
    policy = {"plans": [{"match": "*", "test_every": "90d", "retest_within": "30d"}]}
    cases = [(*CASES["hostile"], {**CONTEXT, "policy": policy}), (*CASES["good"], FULL)]
    given.write_text(json.dumps(cases), encoding="utf-8")
    expected = [make(*case) for case in cases]
    root = Path(files.__file__).parents[6]  # of ansible_collections
    zones = set()
    for seed, zone, name in (
        ("0", "UTC", "C"),
        ("1", "Asia/Kathmandu", "C.UTF-8"),
        ("7", "America/Lima", "de_DE.UTF-8"),
    ):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": name, "LANG": name}
        words = [sys.executable, "-c", SCRIPT, "set" if name.startswith("C") else "", str(root), str(given)]
        done = subprocess.run(words, env=environment, capture_output=True, check=True, text=True)
        answer = json.loads(done.stdout)
        assert answer["made"] == expected
        zones.add(tuple(answer["zone"]))
    assert len(zones) == 3


def test_no_clock_is_read(monkeypatch):
    class NoClock(datetime):
        @classmethod
        def now(cls, tz=None):
            raise AssertionError("the clock was read")

        utcnow = today = now

    monkeypatch.setattr(datetime_module, "datetime", NoClock)
    monkeypatch.setattr(times, "datetime", NoClock)
    make(*CASES["bad"], CONTEXT)


def test_without_files_there_is_only_what_is_left_after_the_run():
    """A role needs two sentences of a report, and no page."""
    facts, dummy, of_plan = CASES["bad"]
    options = {"plan": of_plan, "action": "start", "undo": {"done": False}}
    short = files.make(facts, {**options, "files": False})
    whole = files.make(facts, options)
    assert short == {"after_run": whole["after_run"]}
    assert json.loads(texts(whole)["json"])["after_run"] == short["after_run"]
