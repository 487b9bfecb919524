# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dashboards ask for what there is: metrics and labels of the textfile, columns of the views in a real PostgreSQL."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.filter.failover_metrics import failover_metrics
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.module_utils._readiness.readiness_facts import (
    NOW,
    POLICY,
    history,
    readiness,
    run,
)
from prometheus_client.parser import text_string_to_metric_families

FOLDER = Path(__file__).resolve().parents[3] / "extensions" / "grafana"
FILES = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
PERIOD = ("2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z")


def values_of(node, key):
    """All values of a key, at any depth."""
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [
        *([node[key]] if isinstance(node, dict) and key in node else []),
        *(v for c in children for v in values_of(c, key)),
    ]


def test_there_are_two():
    assert list(FILES) == ["history_postgresql.json", "readiness_prometheus.json"]
    assert len({board["uid"] for board in FILES.values()}) == 2


@pytest.mark.parametrize("board", FILES.values(), ids=FILES)
def test_the_data_source_is_chosen_where_it_is_imported(board):
    (first, *others) = board["templating"]["list"]
    assert first["type"] == "datasource" and first["name"] == "datasource"
    sources = values_of([board["panels"], others], "datasource")
    assert sources and all(source == {"type": first["query"], "uid": "${datasource}"} for source in sources)
    assert "id" not in board and "__inputs" not in board


@pytest.mark.parametrize("board", FILES.values(), ids=FILES)
def test_panels_are_whole_and_do_not_overlap(board):
    taken = set()
    for panel in board["panels"]:
        assert panel["title"] and panel["targets"]
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken and max(x for x, _y in cells) < 24
        taken |= cells
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_metrics_and_labels():
    board = FILES["readiness_prometheus.json"]
    facts = history(run(10, "db", "web"), verified=True)
    text = failover_metrics(readiness(facts, {"plans": [{**POLICY, "rto": "1h"}]}, NOW), facts)
    labels, label_values = {}, {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels.setdefault(family.name, set()).update(sample.labels)
            for label, value in sample.labels.items():
                label_values.setdefault(label, set()).add(value)
    queries = [*values_of(board["panels"], "expr"), *(v["query"]["query"] for v in board["templating"]["list"][1:])]
    used = set()
    for query in queries:
        names = re.findall(r"\bveeam_em_\w+", query)
        assert names and set(names) <= set(labels), query
        used.update(names)
        for name, selector in re.findall(r"(veeam_em_\w+)\{(.*?)\}", query):
            for label, words in re.findall(r'(\w+)=~?"(.*?)"', selector):
                assert label in labels[name], query
                assert words.startswith("$") or set(words.split("|")) <= label_values[label], query
        grouped = re.findall(r"(?:on|by|group_left) \((.*?)\)", query)
        assert {label.strip() for group in grouped for label in group.split(",") if label.strip()} <= set(
            label_values
        ), query
        assert set(re.findall(r"\$(\w+)", query)) <= {"em", "tenant"}
    assert set(labels) - used == {"veeam_em_failover_plan_in_failover"}  # it is a status there
    assert set(re.findall(r"\{\{(\w+)\}\}", " ".join(values_of(board["panels"], "legendFormat")))) <= set(label_values)


def run_query(connection, query, **chosen):
    """Rows of a query, with Grafana's macros and variables replaced as it does."""
    query = re.sub(r"\$__timeFilter\((.*?)\)", rf"\1 BETWEEN '{PERIOD[0]}' AND '{PERIOD[1]}'", query)
    for name, values in chosen.items():
        query = query.replace(f"${name}", ",".join("'" + value.replace("'", "''") + "'" for value in values))
    assert "$" not in query, query
    cursor = connection.execute(query.encode())
    return [dict(zip([column.name for column in cursor.description], row)) for row in cursor.fetchall()]


def test_queries(em, run_module, postgres):
    board = FILES["history_postgresql.json"]
    store = postgres.new_schema()
    em.reset(sessions=24, tasks=2)
    em.world.add_plan("It's a plan nobody ran", ["db"])
    run_module("failover_history", store=store, em_name="em's name")
    with psycopg.connect(store, autocommit=True) as connection:
        ems = run_query(connection, board["templating"]["list"][1]["query"])
        assert ems == [{"em_name": "em's name"}]
        found = run_query(connection, board["templating"]["list"][2]["query"], em=["em's name"])
        plans = [row["plan"] for row in found]
        assert plans
        chosen = {"em": ["em's name"], "plan": plans}
        rows = {
            panel["title"]: run_query(connection, target["rawSql"], **chosen)
            for panel in board["panels"]
            for target in panel["targets"]
        }
        sessions, runs_of_plans = (
            connection.execute(f"SELECT count(*) FROM {view}").fetchone()[0]
            for view in ("newest_session", "newest_session_of_plan")
        )
    assert rows["Runs in this period"] == [{"runs": sessions}]
    assert (
        sum(row["runs"] for row in rows["Runs by result, a week"]) == len(rows["All runs in this period"]) == sessions
    )
    newest = rows["Newest run of each plan, longest ago first"]
    assert {row["Plan"] for row in newest} == set(plans) and len(newest) == runs_of_plans
    assert "It's a plan nobody ran" in [row["Plan"] for row in rows["Plans without a run"]]
    assert rows["Number of plans without a run"] == [{"plans": len(rows["Plans without a run"])}]
    for panel in board["panels"]:
        columns = set(rows[panel["title"]][0])
        if panel["type"] == "timeseries":
            assert {"time", "metric"} < columns, panel["title"]
        if panel["type"] == "table":
            assert {item["matcher"]["options"] for item in panel["fieldConfig"]["overrides"]} <= columns, panel["title"]
