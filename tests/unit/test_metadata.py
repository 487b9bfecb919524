# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files about the collection say what the collection is."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

REPO = Path(__file__).resolve().parents[2]


def read(path):
    return yaml.safe_load(REPO.joinpath(path).read_text(encoding="utf-8"))


def test_the_action_group_has_each_module():
    modules = sorted(path.stem for path in REPO.glob("plugins/modules/*.py"))
    assert read("meta/runtime.yml")["action_groups"] == {"all": modules}


def test_the_oldest_ansible_core_is_the_one_that_is_tested():
    groups = REPO.joinpath("pyproject.toml").read_text(encoding="utf-8")
    floor = re.findall(r'"(.+?)"', groups.partition("\nfloor = [")[2].partition("\n]")[0])
    tested = next(line.partition("==")[2] for line in floor if line.startswith("ansible-core=="))
    oldest = read("meta/runtime.yml")["requires_ansible"]
    assert oldest.startswith(">=") and oldest[2:].split(".")[:2] == tested.split(".")[:2]
    libraries = REPO.joinpath("meta/ee-requirements.txt").read_text(encoding="utf-8").split()
    assert {library.replace(">=", "==") for library in libraries} <= set(floor)
    for role in REPO.glob("roles/*/meta/main.yml"):
        assert read(role)["galaxy_info"]["min_ansible_version"] == oldest[2:].rpartition(".")[0]


def test_the_execution_environment_takes_the_artifact_of_this_version():
    about = read("galaxy.yml")
    artifact = f"{about['namespace']}-{about['name']}-{about['version']}.tar.gz"
    taken = read("execution-environment.yml")["dependencies"]["galaxy"]["collections"]
    assert [collection["name"] for collection in taken] == [f"collections/{artifact}"]


def variables_of(tasks, *kinds):
    """Names of the variables that a list of plays or tasks sets, with those of its blocks."""
    for task in tasks:
        for kind in kinds:
            yield from task.get(kind) or {}
        for block in ("tasks", "pre_tasks", "block", "rescue", "always"):
            yield from variables_of(task.get(block) or [], *kinds)


def test_no_variable_of_a_role_or_a_drill_is_one_that_others_use():
    """A survey's answer or an artifact of that name would take its place, whatever the variable is for."""
    files = [
        *REPO.glob("roles/*/tasks/*.yml"),
        *REPO.glob("playbooks/drill_*.yml"),
        *REPO.glob("playbooks/tasks/*.yml"),
    ]
    names = {name for file in files for name in variables_of(read(file), "vars", "ansible.builtin.set_fact")}
    assert {"drill_vms", "failover_run_verdict"} <= names
    assert [
        name
        for name in sorted(names)
        if not name.startswith(
            ("drill_", "failover_run_", "failover_report_", "failover_history_", "failover_readiness_")
        )
    ] == []


def test_the_readme_links_to_each_plugin_and_role():
    readme = REPO.joinpath("README.md").read_text(encoding="utf-8")
    patterns = (
        "plugins/modules/*.py",
        "plugins/filter/*.yml",
        "plugins/lookup/*.py",
        "plugins/inventory/*.py",
        "roles/*/README.md",
    )
    pages = [page for pattern in (*patterns, "extensions/eda/plugins/event_source/*.py") for page in REPO.glob(pattern)]
    missing = [str(page.relative_to(REPO)) for page in pages if f"]({page.relative_to(REPO)})" not in readme]
    assert missing == []


def test_nothing_that_ansible_test_finds_is_ignored():
    assert list(REPO.glob("tests/sanity/ignore-*.txt")) == []
