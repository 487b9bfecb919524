# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The layers of plugins/: imports only go down, the core needs no Ansible, no file is too long."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
PLUGINS = REPO / "plugins"
PACKAGE = "ansible_collections.dr_runbook.veeam_em.plugins"
FILES = {str(path.relative_to(PLUGINS).with_suffix("")): path for path in sorted(PLUGINS.rglob("*.py"))}
MAX_LINES = 450  # of each file of plugins/

# Each may import what stands above it, and its own folder. Those of one line do not know each other.
STRATA = [
    ["module_utils/_api"],
    ["module_utils/_failover"],
    ["module_utils/_verdict", "module_utils/_events", "module_utils/_history"],
    ["module_utils/_readiness"],
    ["module_utils/_argspec"],
    ["module_utils/_module"],
    ["module_utils/_connection"],
    ["doc_fragments"],
    ["plugin_utils/_plain", "plugin_utils/_host_names"],
    ["plugin_utils/_document"],
    ["plugin_utils/_report", "plugin_utils/_portfolio", "plugin_utils/_metrics", "plugin_utils/_plugin"],
    ["plugin_utils/_hosts", "plugin_utils/_progress"],
    ["plugin_utils/_inventory_answer"],
    ["action", "filter", "inventory", "lookup", "modules"],
]
# The same inside of a folder.
INSIDE = [
    (
        "module_utils/_failover",
        [
            ["times", "clock", "names"],
            ["facts"],
            ["criteria", "permissions"],
            ["session_facts"],
            ["sessions", "plans", "replica_points", "data_age"],
            ["em_task", "waiter", "lock", "run_result"],
            ["identification", "undo_condition", "action_errors", "collection"],
            ["plan_action"],
        ],
    ),
    (
        "module_utils/_api",
        [
            ["redaction", "ids", "xml", "interrupts", "filters"],
            ["errors"],
            ["options"],
            ["response", "advice", "proxy"],
            ["transport"],
            ["client"],
            ["resource"],
            ["query"],
        ],
    ),
    ("module_utils/_verdict", [["targets"], ["evidence"], ["reasons"], ["rules"], ["status", "wording"], ["evaluate"]]),
    (
        "module_utils/_readiness",
        [["policy"], ["runs"], ["drift", "trend", "notes", "evidence"], ["status"]],
    ),
    ("module_utils/_events", [["state"], ["state_file"], ["watcher"]]),
    (
        "module_utils/_history",
        [
            ["errors", "records"],
            ["schema", "conditions"],
            ["sqlite", "postgresql"],
            ["store"],
            ["verify", "kind"],
            ["export", "bodies"],
            ["options", "handed_over", "looks"],
            ["recorder", "reader", "session_log"],
        ],
    ),
    ("plugin_utils/_document", [["text", "shape", "image"], ["table", "html"]]),
    (
        "plugin_utils/_portfolio",
        [["evidence", "privacy"], ["record"], ["months", "chart", "tables"], ["page"], ["files"]],
    ),
    (
        "plugin_utils/_report",
        [
            ["context", "dates"],
            ["record"],
            ["tables"],
            ["after_run", "chart", "comparison", "manifest"],
            ["page", "junit"],
            ["files"],
        ],
    ),
]


def imported(path: Path, relative: bool = True) -> list[str]:
    """The full names that a file imports, and not only for type checkers."""
    here = ["ansible_collections", "dr_runbook", "veeam_em", *path.relative_to(REPO).with_suffix("").parts]
    found = []
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = [
        node for node in tree.body if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
    ]
    tree.body = [node for node in tree.body if node not in for_types]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (relative or not node.level):
            start = ".".join(here[: -node.level] if node.level else [])
            module = ".".join(filter(None, [start, node.module]))
            found += [f"{module}.{alias.name}" for alias in node.names]
    return found


def uses(path: Path) -> set[str]:
    """The files of plugins/ that a file imports."""
    names = [name.removeprefix(f"{PACKAGE}.").replace(".", "/") for name in imported(path) if name.startswith(PACKAGE)]
    return {name if name in FILES else name.rpartition("/")[0] for name in names} & set(FILES)


GRAPH = {name: uses(path) for name, path in FILES.items()}


def stratum(name: str) -> tuple[int, str]:
    """Its place from below, and the folder or file that has it."""
    for place, parts in enumerate(STRATA):
        for part in parts:
            if name == part or name.startswith(f"{part}/"):
                return place, part
    raise AssertionError(f"plugins/{name}.py is in no layer: add its folder to STRATA in {Path(__file__).name}")


def test_nothing_imports_what_is_above_it():
    upward = []
    for name, used in GRAPH.items():
        for other in used:
            (place, part), (other_place, other_part) = stratum(name), stratum(other)
            if part != other_part and other_place >= place:
                upward.append(f"{name} imports {other}")
    assert not upward


@pytest.mark.parametrize(("folder", "order"), INSIDE)
def test_nothing_imports_what_is_above_it_in_its_folder(folder, order):
    place = {f"{folder}/{file}": number for number, files in enumerate(order) for file in files}
    upward = [
        f"{name} imports {other}"
        for name in set(place) & set(GRAPH)
        for other in set(place) & GRAPH[name]
        if place[other] > place[name]
    ]
    assert not upward


def test_there_is_no_circle():
    assert set(TopologicalSorter(GRAPH).static_order()) == set(FILES)


def test_the_core_needs_no_ansible():
    """An event source, a benchmark or a test loads it as a package of its own, with relative imports only."""
    core = [name for name in FILES if re.match("module_utils/_[a-z]+/", name)]
    needed = [
        f"{name} imports {module}"
        for name in core
        for module in imported(FILES[name], relative=False)
        if re.match(r"ansible(_collections)?(\.|$)", module)
    ]
    assert core and not needed


def words_of(path: Path) -> Iterator[str]:
    """Names and strings of a file, without what a docstring quotes as an example."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r'``.*?``|".*?"', "", node.value, flags=re.DOTALL)
        names = (getattr(node, field, None) for field in ("id", "attr", "arg", "name"))
        yield from (name for name in names if isinstance(name, str))


def test_the_api_knows_no_failovers():
    """A REST client of Enterprise Manager for another subject could use it as it is."""
    mentions = [
        f"{name}: {word}"
        for name, path in FILES.items()
        if name.startswith("module_utils/_api/")
        for word in words_of(path)
        if re.search("failover", word, re.IGNORECASE)
    ]
    assert not mentions


def test_no_file_is_long():
    """Counted are all lines, with documentation, comments and blank ones."""
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in FILES.items()}
    assert not {name: count for name, count in lines.items() if count > MAX_LINES}
