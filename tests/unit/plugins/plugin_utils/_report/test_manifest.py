# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of files, and the chain of manifests, as sha256sum sees it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import (
    BAD,
    CASES,
    CONTEXT,
    EMPTY,
    GOOD,
    Page,
    judge,
    make,
    plan,
    session,
    task,
)


def test_names_of_files():
    made = make(*CASES["good"], CONTEXT)
    assert re.fullmatch(r"20260302T080006Z-abc-company-failover-plan-[0-9a-f]{8}", made["name"])
    assert [file["name"] for file in made["files"]] == [
        f"{made['name']}.{kind}" for kind in ("html", "json", "csv", "xml", "sha256")
    ]


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Überseering / Süd", "uberseering-sud"),
        ("服务器", "plan"),
        ("../../etc/passwd", "etc-passwd"),
        ("x" * 99, "x" * 40),
    ],
)
def test_names_are_plain(name, slug):
    assert re.fullmatch(rf"20260302T080006Z-{slug}-[0-9a-f]{{8}}", make({**GOOD, "name": name})["name"])


def test_a_session_without_a_start_is_undated():
    assert make(session(begin=None))["name"].startswith("undated-abc-")


@pytest.mark.parametrize("other", ["verdict", "plan", "context", "facts"])
def test_other_facts_make_other_names(other):
    names = {make(GOOD)["name"]}
    names.add(
        {
            "verdict": lambda: make(GOOD, judge(GOOD)),
            "plan": lambda: make(GOOD, None, plan("dc01")),
            "context": lambda: make(GOOD, None, None, {"operator": "Ada"}),
            "facts": lambda: make({**GOOD, "progress": 99}),
        }[other]()["name"]
    )
    assert len(names) == 2


def write(folder: Path, facts, **context):
    """Make a report and keep it, as the role does."""
    there = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.sha256")}
    made = make(facts, None, None, context, there)
    for file in made["files"]:
        (folder / file["name"]).write_bytes(file["content"].encode())
    return made


def check(folder: Path):
    """What sha256sum says of all manifests: how many sums, and which files it complains about."""
    names = sorted(path.name for path in folder.glob("*.sha256"))
    done = subprocess.run(
        ["sha256sum", "-c", "--strict", *names], cwd=folder, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    bad = [line.split(":")[0] for line in lines if not line.endswith(": OK")]
    assert bool(bad) == bool(done.returncode)
    return len(lines), bad


@pytest.fixture
def three(tmp_path):
    """Three reports in one folder. The run of the last one is the oldest, as if somebody had forgotten it."""
    older = session(task("a", 1.0, 2.0), begin=-99999.0)
    return [write(tmp_path, facts) for facts in (GOOD, BAD, older)]


needs_sha256sum = pytest.mark.skipif(not shutil.which("sha256sum"), reason="no sha256sum")


@needs_sha256sum
def test_the_chain_of_three_reports_holds(three, tmp_path):
    first, second, third = three
    assert first["previous_manifests"] == []
    assert second["previous_manifests"] == [{"name": f"{first['name']}.sha256", "sha256": first["files"][-1]["sha256"]}]
    assert third["previous_manifests"] == [
        {"name": f"{second['name']}.sha256", "sha256": second["files"][-1]["sha256"]}
    ]
    assert check(tmp_path) == (3 * 4 + 2, [])
    for made in three:
        assert json.loads(made["files"][1]["content"])["previous_manifests"] == made["previous_manifests"]
        page_of_it = Page(made["files"][0]["content"]).text
        assert ("first report of its chain" in page_of_it) == (made is first)
        assert all(item["sha256"] in page_of_it for item in made["previous_manifests"])


@needs_sha256sum
@pytest.mark.parametrize("kind", ["html", "json", "csv", "xml", "sha256"])
def test_a_change_breaks_the_chain(three, tmp_path, kind):
    changed = tmp_path / f"{three[0]['name']}.{kind}"
    changed.write_bytes(changed.read_bytes() + b"\n")
    assert check(tmp_path)[1] == [changed.name]


@needs_sha256sum
def test_a_report_that_is_gone_breaks_the_chain(three, tmp_path):
    for file in three[1]["files"]:
        (tmp_path / file["name"]).unlink()
    assert check(tmp_path)[1] == [f"{three[1]['name']}.sha256"]


def test_a_report_made_again_is_the_same_and_not_chained_to_itself(three, tmp_path):
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert write(tmp_path, GOOD) == three[0]
    assert write(tmp_path, BAD) == three[1]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_report_can_be_made_again_from_its_json(three):
    for made in three:
        data, manifest = json.loads(made["files"][1]["content"]), made["files"][-1]
        given = (data["session"], data["verdict"], data["plan"], data["context"])
        assert make(*given, {manifest["name"]: manifest["content"]}) == made


def test_a_manifest_that_was_changed_is_not_covered_up(three, tmp_path):
    first = tmp_path / f"{three[0]['name']}.sha256"
    first.write_text("", encoding="utf-8")
    assert write(tmp_path, BAD) == three[1]


def test_two_ends_of_the_chain_are_tied_together(tmp_path):
    ends = [make(facts, None, None, {}, {}) for facts in (GOOD, BAD)]
    texts_of_both = {made["files"][-1]["name"]: made["files"][-1]["content"] for made in ends}
    tied = make(EMPTY, None, None, {}, texts_of_both)
    assert [item["name"] for item in tied["previous_manifests"]] == sorted(texts_of_both)


def test_other_files_are_no_manifests():
    there = {
        "SHA256SUMS.sha256": "",
        "20260101T000000Z-x-0000000.sha256": "",
        "20260101T000000Z-x-00000000.sha256\n": "",
    }
    assert make(GOOD, manifests=there)["previous_manifests"] == []
