# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of AWX in extensions/awx/, and the workflow that it makes: whole runs, node after node as AWX starts them.

What AWX does is taken from its source (24.6.1): JobTemplateSurveySpec in awx/api/views/__init__.py, SurveyJobTemplateMixin in
awx/main/models/mixins.py, WorkflowDAG in awx/main/scheduler/dag_workflow.py, WorkflowJobNode.get_job_kwargs in awx/main/models/workflow.py,
could_be_playbook in awx/main/utils/ansible.py.
"""

from __future__ import annotations

import ast
import hashlib
import html
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import programs
import pytest
import yaml
from ansible.utils.unsafe_proxy import wrap_var
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._history.store import open_store
from ansible_collections.dr_runbook.veeam_em.tests.unit.plugins.plugin_utils._report.reports import VALIDATOR

pytest.importorskip("ansible_runner")

REPO = Path(__file__).resolve().parents[3]
OPTIONS = yaml.safe_load((Path(__file__).parent / "awx_options.yml").read_text(encoding="utf-8"))
CREDENTIAL_TYPE, STORE_TYPE = (
    yaml.safe_load((REPO / "extensions" / "awx" / f"{name}.yml").read_text(encoding="utf-8"))
    for name in ("credential_type", "history_credential_type")
)
EDGES = ("success_nodes", "failure_nodes", "always_nodes")
# A job takes seconds. make test runs a drill node after node, and one case of each guard; make matrix all.
more = partial(pytest.param, marks=pytest.mark.matrix)
PLAN = "Payroll {{ 7 * 7 }}"
PASSWORD = "S3cr3tPart and more"
UNKNOWN = "00000000-0000-4000-8000-000000000001"
ADDED = "The job that created this report added the steps"
# What a user sets of the report, in the settings.
PEOPLE = {
    "failover_report_approved_by": "Change board",
    "failover_report_participants": [{"name": "Grace Hopper", "role": "Observer"}],
    "failover_report_details": [{"label": "Scenario", "value": "Loss of the data center"}],
    "failover_report_findings": [{"finding": "web02 is slow", "severity": "low", "owner": "Ada", "due": "2027-01-31"}],
    "failover_report_classification": "Confidential",
    "failover_report_time_zone": "Europe/Berlin",
    "failover_report_next_test": "2027-03-31",
}
# The configuration

# In place of a module, since that would be a process of its own.
STAND_IN = """
import json
from ansible.plugins.action import ActionBase

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        dummy, options = self.validate_argument_spec(argument_spec={spec!r})
        with open({calls!r}, "a") as file:
            file.write(json.dumps([{name!r}, options]) + "\\n")
        return {{"changed": True}}
"""


def configure(folder, settings, *tags, password=PASSWORD, store_password=None):
    """Run configure.yml with modules that have the options of those of awx.awx; what these were given, in their order."""
    chosen = ["--tags", ",".join(tags)] if tags else []
    actions = folder / "ansible_collections" / "awx" / "awx" / "plugins" / "action"
    actions.mkdir(parents=True, exist_ok=True)
    calls = folder / "calls"
    for name, spec in OPTIONS.items():
        (actions / f"{name}.py").write_text(STAND_IN.format(name=name, spec=spec, calls=str(calls)), encoding="utf-8")
    run = programs.run(
        [
            "ansible-playbook",
            str(REPO / "extensions" / "awx" / "configure.yml"),
            "-vvv",
            "-e",
            json.dumps(settings),
            *chosen,
        ],
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(folder),
            **({"VEEAM_EM_PASSWORD": password} if password else {}),
            **({"VEEAM_EM_STORE_PASSWORD": store_password} if store_password else {}),
        },
    )
    assert PASSWORD not in run.output
    lines = calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []
    made = [
        (name, {key: value for key, value in given.items() if value is not None})
        for name, given in map(json.loads, lines)
    ]
    return run, made


@pytest.fixture(scope="module")
def settings(snippets, tmp_path_factory):
    """Those of docs/awx.md, with a folder that can be written here, and a certificate from a file."""
    folder = tmp_path_factory.mktemp("reports")
    certificate = tmp_path_factory.mktemp("tls") / "em-ca.pem"
    certificate.write_text("PEM", encoding="utf-8")
    return {
        **yaml.safe_load(snippets["settings.yml"]),
        "failover_report_directory": str(folder),
        "em_ca_certificate": f"{{{{ lookup('ansible.builtin.file', '{certificate}') }}}}",
    }


@pytest.fixture(scope="module")
def configured(settings, tmp_path_factory):
    run, made = configure(tmp_path_factory.mktemp("configured"), settings)
    assert run.returncode == 0, run.output
    return made


@pytest.fixture(scope="module")
def configured_for_real(settings, tmp_path_factory):
    more = {"em_project_credential": "Git", "em_instance_group": "DR", **PEOPLE}
    run, made = configure(tmp_path_factory.mktemp("for_real"), {**settings, **more}, "failover")
    assert run.returncode == 0, run.output
    return made


STORE = "postgresql://awx@db.example.com/dr"
STORE_NAME = "Failover history"


@pytest.mark.parametrize(
    ("store_password", "parts"), [(PASSWORD[::-1], []), more(None, ["history", "failover"])], ids=str
)
def test_a_store_brings_a_credential_and_an_hourly_record(settings, tmp_path, store_password, parts):
    history = {
        "failover_history_store": STORE,
        "failover_history_em_name": "site A",
        "em_instance_group": "DR",
    }
    run, made = configure(tmp_path, {**settings, **history}, *parts, store_password=store_password)
    assert run.returncode == 0, run.output
    assert PASSWORD[::-1] not in run.output
    kind = given(made, "credential_type")[1]
    assert {key: value for key, value in kind.items() if key != "state"} == STORE_TYPE
    credential = given(made, "credential")[1]
    assert (credential["name"], credential["credential_type"]) == (STORE_NAME, STORE_TYPE["name"])
    # AWX would forget the password of an existing one.
    inputs = {"store_password": store_password} if store_password else {}
    assert credential["inputs"] == {"store": STORE, **inputs}
    assert credential["state"] == ("present" if store_password else "exists")

    [record] = [template for template in given(made, "job_template") if template["name"] == STORE_NAME]
    of_workflow = [template for template in given(made, "job_template") if template != record]
    for template in of_workflow:
        assert (STORE_NAME in template["credentials"]) is not template["name"].endswith(": checks")
        assert template["extra_vars"]["failover_history_em_name"] == "site A"
    assert record["name"] == STORE_NAME and (REPO / record["playbook"]).is_file()
    assert record["credentials"] == [given(made, "credential")[0]["name"], STORE_NAME]
    assert record["extra_vars"] == {"failover_history_em_name": "site A"}
    same = ("project", "execution_environment", "instance_groups", "organization")
    assert {name: record[name] for name in same} == {name: of_workflow[0][name] for name in same}
    [schedule] = given(made, "schedule")
    assert schedule["unified_job_template"] == record["name"] and "enabled" not in schedule
    # AWX wants exactly one DTSTART with a time zone, and INTERVAL: SchedulePreviewSerializer in awx/api/serializers.py.
    assert re.fullmatch(r"DTSTART:\d{8}T\d{6}Z RRULE:FREQ=HOURLY;INTERVAL=1", schedule["rrule"])


def given(configured, module):
    return [options for name, options in configured if name == module]


def test_what_is_created_and_in_which_order(configured, settings):
    assert [name for name, dummy in configured] == [
        "credential_type",
        "credential",
        "project",
        "inventory",
        "inventory",
        "inventory_source",
        *["job_template"] * 4,
        "workflow_job_template",
    ]
    [kind] = given(configured, "credential_type")
    assert {key: value for key, value in kind.items() if key != "state"} == CREDENTIAL_TYPE
    [credential] = given(configured, "credential")
    assert credential["inputs"] == {
        "url": settings["em_url"],
        "username": settings["em_username"],
        "password": PASSWORD,
        "ca_certificate": "PEM",
    }
    assert {options["state"] for dummy, options in configured} == {"present"}
    assert {options.get("organization") for name, options in configured if name != "credential_type"} == {"Default"}


@pytest.mark.parametrize("action", ["test", "start"])
def test_the_parts_name_each_other(configured, configured_for_real, settings, action):
    real = action == "start"
    configured = configured_for_real if real else configured
    [project], [credential] = given(configured, "project"), given(configured, "credential")
    inventories = {inventory["name"]: inventory.get("variables", {}) for inventory in given(configured, "inventory")}
    [source] = given(configured, "inventory_source")
    assert source["source_project"] == project["name"]
    assert source["credential"] == credential["name"]
    assert inventories[source["inventory"]] == settings["em_check_variables"]
    assert source["overwrite"] and source["overwrite_vars"] and source["update_on_launch"]
    assert source["source_vars"] == {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true"}
    assert (REPO / source["source_path"]).is_file()
    assert source["source_path"].endswith(".veeam_em.yml")
    for template in given(configured, "job_template"):
        assert template["project"] == project["name"]
        assert template["inventory"] in inventories
        assert template["credentials"] == [credential["name"]]
        assert template["extra_vars"] == {
            "failover_report_directory": settings["failover_report_directory"],
            "failover_run_targets": settings["failover_run_targets"],
            **({"failover_run_action": "start", **PEOPLE} if real else {}),
        }
        assert template["allow_simultaneous"] is real
        assert template["execution_environment"] == settings["em_execution_environment"]
    checks = [
        template for template in given(configured, "job_template") if template["inventory"] == source["inventory"]
    ]
    assert [Path(template["playbook"]).name for template in checks] == (["drill_checks.yml"] if real else [])


def test_the_playbooks_are_such_that_awx_offers_them(configured, configured_for_real):
    for template in given(configured, "job_template") + given(configured_for_real, "job_template"):
        playbook = Path(template["playbook"])
        assert not {"tasks", "roles", "group_vars", "host_vars"} & set(playbook.parts)
        lines = (REPO / playbook).read_text(encoding="utf-8").splitlines()
        assert any(re.match(r"\s*-?\s*(?:hosts|(?:ansible\.builtin\.)?import_playbook):", line) for line in lines)


def test_a_failover_for_real_has_a_workflow_of_its_own(configured, configured_for_real):
    """Its templates start a plan; all else but the names is as in a drill, and shared with it."""
    shared = ("credential_type", "credential", "inventory", "inventory_source")
    assert [given(configured_for_real, module) for module in shared] == [given(configured, module) for module in shared]
    [project] = given(configured_for_real, "project")
    assert project == {**given(configured, "project")[0], "credential": "Git"}
    drill, real = (
        {template["name"].partition(": ")[2]: template for template in given(each, "job_template")}
        for each in (configured, configured_for_real)
    )
    assert list(drill) == ["run", "verdict", "undo", "report"]
    assert list(real) == ["run", "verdict", "checks", "report", "undo", "keep"]
    for name, template in drill.items():
        assert template["name"] == f"Failover drill: {name}"
        assert "failover_run_action" not in template["extra_vars"]
    for name, template in real.items():
        assert template["name"] == f"Real failover: {name}"
        assert template["extra_vars"] == {**drill["run"]["extra_vars"], **PEOPLE, "failover_run_action": "start"}
        assert template["instance_groups"] == ["DR"]
        assert template["ask_variables_on_launch"]  # else AWX drops the variable of the node
    [workflow] = given(configured_for_real, "workflow_job_template")
    assert "FOR REAL" in workflow["description"] and "FOR REAL" in workflow["survey_spec"]["spec"][0]["question_name"]
    assert workflow["allow_simultaneous"] is True
    assert given(configured, "workflow_job_template")[0]["allow_simultaneous"] is False


def test_a_person_decides_on_the_undo_of_a_real_failover(configured, configured_for_real):
    """Only the node behind the approval may undo it, and a denial is no error."""
    [workflow] = given(configured_for_real, "workflow_job_template")
    nodes = {node["identifier"]: node for node in workflow["workflow_nodes"]}
    assert [name for name, node in nodes.items() if node.get("extra_data")] == ["undo"]
    assert nodes["undo"]["extra_data"] == {"failover_undo_approved": True}
    assert [name for name, node in nodes.items() if "undo" in children_of(node, *EDGES)] == ["approval"]
    assert children_of(nodes["approval"], "success_nodes") == ["undo"]
    assert children_of(nodes["approval"], "failure_nodes") == ["keep"]
    assert not children_of(nodes["approval"], "always_nodes")
    assert children_of(nodes["checks"], "always_nodes") == ["report", "approval"]
    [drill] = given(configured, "workflow_job_template")
    assert not [node for node in drill["workflow_nodes"] if node.get("extra_data")]


@pytest.mark.parametrize("parts", [[], more(["failover"])], ids=str)
def test_a_drill_cannot_become_a_failover_by_its_settings(settings, tmp_path, parts):
    run, made = configure(tmp_path, {**settings, "em_workflow": "Real failover"}, *parts)
    assert run.returncode != 0 and "em_workflow and em_workflow_for_real must differ" in run.output
    assert not made


SLACK = {"em_notification_type": "slack", "em_notification_configuration": {"token": PASSWORD, "channels": ["dr"]}}
HISTORY = {"failover_history_store": STORE}
READINESS = {**HISTORY, "failover_readiness_policy": {"plans": [{"match": "*", "test_every": "90d"}]}}
OF_JOBS = ["credential_type", "credential", "project", "inventory"]
OF_STORE = ["credential_type", "credential"]


@pytest.mark.parametrize(
    ("part", "more_settings", "expected"),
    [
        more("credential", {}, ["credential_type", "credential"]),
        more("inventory", {}, [*OF_JOBS, "inventory", "inventory_source"]),
        more("history", HISTORY, [*OF_JOBS, *OF_STORE, "job_template", "schedule"]),
        ("readiness", {**READINESS, **SLACK}, [*OF_JOBS, *OF_STORE, "job_template", "schedule", "notification_template", "job_template"]),
        more("drill", {}, [*OF_JOBS, *["job_template"] * 4, "workflow_job_template"]),
        more("failover", {}, [*OF_JOBS, "inventory", "inventory_source", *["job_template"] * 6, "workflow_job_template"]),
        ("schedules", {**READINESS, "em_drill_schedules": [{"plan": "Acme", "rrule": "R"}]}, ["schedule"] * 3),
        ("notifications", SLACK, ["notification_template", "workflow_job_template"]),
    ],
)  # fmt: skip
def test_a_part_alone(settings, tmp_path, part, more_settings, expected):
    given_settings = {"em_organization": "Default", **SLACK, **more_settings} if part == "notifications" else {}
    run, made = configure(tmp_path, given_settings or {**settings, **more_settings}, part)
    assert run.returncode == 0, run.output
    assert [name for name, dummy in made] == expected
    if part == "readiness":
        template, attached = given(made, "job_template")
        assert template["playbook"] == "playbooks/readiness.yml" and STORE_NAME in template["credentials"]
        assert template["extra_vars"] == {name: READINESS[name] for name in ("failover_readiness_policy",)}
        assert (attached["name"], attached["notification_templates_error"]) == (
            "Failover readiness",
            ["Failover notification"],
        )
    if part == "schedules":
        drill = given(made, "schedule")[-1]
        assert (drill["unified_job_template"], drill["rrule"]) == ("Failover drill", "R")
        assert drill["extra_data"] == {"failover_run_plan": "Acme", "failover_run_rto_minutes": 60}
    if part == "notifications":
        [notification], [workflow] = given(made, "notification_template"), given(made, "workflow_job_template")
        assert notification["notification_configuration"] == SLACK["em_notification_configuration"]
        assert workflow["name"] == "Failover drill" and workflow["notification_templates_success"] == []
        assert "workflow_nodes" not in workflow


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        ("history", "failover_history_store"),
        more("readiness", "failover_history_store, failover_readiness_policy"),
        more("notifications", "em_notification_type"),
    ],
)
def test_a_named_part_needs_its_settings(settings, tmp_path, part, missing):
    run, made = configure(tmp_path, settings, part)
    assert run.returncode != 0 and f"Nothing was created. Set {missing}." in run.output
    assert not made


def test_without_a_password_the_credential_is_left_alone(settings, tmp_path):
    run, made = configure(tmp_path, settings, password=None)
    assert run.returncode == 0, run.output
    assert not given(made, "credential")
    assert len(made) == 10


def test_what_is_missing_is_named_before_anything_is_created(tmp_path):
    run, made = configure(tmp_path, {"em_url": "https://em"})
    assert run.returncode != 0
    missing = "em_username, em_execution_environment, em_project_url, failover_report_directory"
    assert f"Nothing was created. Set {missing}." in run.output
    assert not made


def test_the_page_has_each_setting():
    [play] = yaml.safe_load((REPO / "extensions" / "awx" / "configure.yml").read_text(encoding="utf-8"))
    page = (REPO / "docs" / "awx.md").read_text(encoding="utf-8")
    table = page.partition("All settings:")[2].partition("\n\n* ")[0]
    needed = {"em_url", "em_username", "em_execution_environment", "em_project_url", "failover_report_directory"}
    assert {*play["vars"], *needed} - {"em_type", "em_store_type"} == set(re.findall(r"`((?:em|failover)_\w+)`", table))


def argument_spec(path):
    """The argument spec in the source of a module."""
    constants, spec = {}, None
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id == "argument_spec":
                spec = node.value
            elif isinstance(node.value, ast.Dict) and node.value.keys:
                constants[node.targets[0].id] = [getattr(key, "value", None) for key in node.value.keys]

    def value(node):
        if isinstance(node, ast.Call) and node.func.id == "dict":
            return {keyword.arg: value(keyword.value) for keyword in node.keywords}
        if isinstance(node, ast.Call):  # list(CONSTANT.keys())
            return constants[node.args[0].func.value.id]
        return ast.literal_eval(node)

    return value(spec)


def test_the_recorded_options_are_those_of_awx():
    places = [Path(place) for place in sys.path] + list(REPO.glob(".venv-lab/lib/python3*/site-packages"))
    found = [place / "ansible_collections" / "awx" / "awx" / "plugins" / "modules" for place in places]
    modules = next((place for place in found if place.is_dir()), None)
    if modules is None:
        pytest.skip("awx.awx is not installed here; make bench brings it")
    assert {name: argument_spec(modules / f"{name}.py") for name in OPTIONS} == OPTIONS


# The workflow, by AWX's rules

SURVEY_TYPES = {"text": str, "textarea": str, "password": str, "integer": int, "float": (int, float)}


@pytest.mark.parametrize("action", ["test", "start"])
def test_the_survey_is_one_that_awx_accepts(configured, configured_for_real, action):
    [workflow] = given(configured_for_real if action == "start" else configured, "workflow_job_template")
    survey = workflow["survey_spec"]
    assert workflow["survey_enabled"]
    assert set(survey) == {"name", "description", "spec"} and survey["spec"]
    for question in survey["spec"]:
        assert {"type", "question_name", "variable", "required"} <= set(question)
        assert isinstance(question["required"], bool)
        assert question.get("default", "") == "" or isinstance(question["default"], SURVEY_TYPES[question["type"]])
        assert all(isinstance(question[limit], int) for limit in ("min", "max"))
        assert not answer_errors(question, question.get("default")) or question["required"]
    asked = {question["variable"]: (question["type"], question["required"]) for question in survey["spec"]}
    assert asked == {
        "failover_run_plan": ("text", True),
        **({"failover_run_confirm": ("text", True)} if action == "start" else {}),
        "failover_run_rto_minutes": ("integer", True),
        "failover_report_change_id": ("text", False),
    }
    artifacts = {
        "failover_session_id",
        "failover_drill",
        "failover_verdict",
        "failover_checks",
        "failover_undo",
        "failover_report",
        "failover_undo_approved",  # of the node
    }
    assert not artifacts & set(asked)  # in AWX answers come before artifacts


def answer_errors(question, answer):
    """Why AWX would refuse an answer."""
    if answer is None:
        return ["missing"] if question["required"] else []
    if not isinstance(answer, SURVEY_TYPES[question["type"]]):
        return ["type"]
    size = len(answer) if isinstance(answer, str) else answer
    return ["size"] if not question["min"] <= size <= question["max"] else []


@pytest.mark.parametrize(
    ("variable", "answer"),
    [
        ("failover_run_plan", None),
        ("failover_run_plan", ""),
        ("failover_run_rto_minutes", "60"),
        ("failover_run_rto_minutes", 0),
        ("failover_report_change_id", "x" * 65),
    ],
)
def test_answers_that_awx_refuses(configured, variable, answer):
    [workflow] = given(configured, "workflow_job_template")
    [question] = [question for question in workflow["survey_spec"]["spec"] if question["variable"] == variable]
    assert answer_errors(question, answer)


@pytest.mark.parametrize("action", ["test", "start"])
def test_the_nodes_are_such_that_awx_accepts_them(configured, configured_for_real, action):
    configured = configured_for_real if action == "start" else configured
    [workflow] = given(configured, "workflow_job_template")
    templates = {template["name"] for template in given(configured, "job_template")}
    nodes = {node["identifier"]: node for node in workflow["workflow_nodes"]}
    assert len(nodes) == len(workflow["workflow_nodes"])
    for node in nodes.values():
        assert set(node) <= {"identifier", "unified_job_template", "related", "extra_data"}
        template = node["unified_job_template"]
        if template["type"] == "workflow_approval":
            assert set(template) == {"name", "description", "timeout", "type"}
            assert template["timeout"] == 604800  # a number, as AWX gives it back
            assert template["name"] not in templates  # the module would look for one of that name
        else:
            assert template == {"name": template["name"], "type": "job_template", "organization": {"name": "Default"}}
            assert template["name"] in templates
        assert set(node.get("related", {})) <= set(EDGES)
        children = [child for edge in EDGES for child in children_of(node, edge)]
        assert len(children) == len(set(children))  # only one kind of edge between two nodes
        assert set(children) <= set(nodes) - {node["identifier"]}


def children_of(node, *edges):
    return [child["identifier"] for edge in edges for child in node.get("related", {}).get(edge, [])]


@pytest.mark.parametrize(("action", "leaves"), [("test", ["report"]), ("start", ["report", "undo", "keep"])])
def test_a_failed_step_cannot_end_in_a_green_workflow(configured, configured_for_real, action, leaves):
    """For AWX a workflow has failed if a node has failed that nothing follows on failure. The report is one of these, and always runs."""
    configured = configured_for_real if action == "start" else configured
    nodes = given(configured, "workflow_job_template")[0]["workflow_nodes"]
    last = [node["identifier"] for node in nodes if not children_of(node, "failure_nodes", "always_nodes")]
    assert last == leaves
    reached = {nodes[0]["identifier"]}
    for node in nodes:
        if node["identifier"] in reached:
            reached.update(children_of(node, "always_nodes"))
    assert {node["identifier"] for node in nodes} - reached == set(leaves) - {"report"}


# Runs


@dataclass
class Done:
    """An approval that somebody has decided on."""

    rc: int
    output: str
    artifacts: dict


class Workflow:
    """Runs the nodes as AWX does.

    :ivar jobs: what came of each node that was run, by identifier.
    :ivar artifacts: what each node had for the next ones, with those of its ancestors.
    """

    def __init__(self, awx, configured, inventory_variables=None):
        self.approved = None  # what a person says to an approval
        self.awx = awx
        self.templates = {template["name"]: template for template in given(configured, "job_template")}
        [self.workflow] = given(configured, "workflow_job_template")
        [self.source] = given(configured, "inventory_source")
        self.inventory_variables = inventory_variables or {}
        self.jobs = {}
        self.artifacts = {}
        awx.use_checkout()

    def run(self, **answers):
        """:returns: whether AWX would call it successful."""
        extra_vars = {}
        for question in self.workflow["survey_spec"]["spec"]:
            answer = answers.pop(question["variable"], question.get("default"))
            assert not answer_errors(question, answer)
            extra_vars.update({} if answer is None else {question["variable"]: answer})
        assert not answers
        nodes = {node["identifier"]: node for node in self.workflow["workflow_nodes"]}
        waiting = list(nodes)
        while waiting:
            decided = [name for name in waiting if not set(self.parents(nodes, name)) & set(waiting)]
            name = decided[0]
            waiting.remove(name)
            parents = [parent for parent in self.parents(nodes, name) if parent in self.jobs]
            if parents or not self.parents(nodes, name):
                if parents and not any(name in self.followers(nodes[parent]) for parent in parents):
                    continue
                handed_over = {}
                for parent in parents:
                    handed_over.update(self.artifacts[parent])
                if nodes[name]["unified_job_template"]["type"] == "workflow_approval":
                    done = Done(0 if self.approved else 1, "", {})
                else:
                    template = self.templates[nodes[name]["unified_job_template"]["name"]]
                    of_node = nodes[name].get("extra_data", {})
                    done = self.launch(template, {**of_node, **handed_over, **extra_vars})
                self.jobs[name] = done
                self.artifacts[name] = {**handed_over, **(done.artifacts if done else {})}
        failed = [name for name, done in self.jobs.items() if done is None or done.rc]
        return not [name for name in failed if not children_of(nodes[name], "failure_nodes", "always_nodes")]

    @staticmethod
    def parents(nodes, name):
        return [parent for parent, node in nodes.items() if name in children_of(node, *EDGES)]

    def followers(self, node):
        done = self.jobs[node["identifier"]]
        return children_of(
            node, "success_nodes" if done is not None and not done.rc else "failure_nodes", "always_nodes"
        )

    def launch(self, template, extra_vars):
        """:returns: None if the update of the inventory failed, as the job does not run then."""
        answer = {"_meta": {"hostvars": {}}}
        if template["inventory"] == self.source["inventory"]:
            updated = self.awx.update(self.source["source_path"], self.source["source_vars"])
            if updated.rc:
                return None
            answer = updated.answer
            answer.setdefault("all", {})["vars"] = self.inventory_variables
        self.awx.keep(answer)
        # Quick looks are all that differs from what AWX would do.
        safe_vars = {**template["extra_vars"], "failover_run_poll_interval": 1}
        extra_vars = {**extra_vars, "awx_user_name": "ada", "awx_job_id": 7}
        return self.awx.job(template["playbook"], extra_vars=extra_vars, safe_vars=safe_vars)

    @property
    def told(self):
        """What failed nodes have said."""
        return "\n".join(
            f"{name}: {done.output if done else done}" for name, done in self.jobs.items() if not done or done.rc
        )

    @property
    def codes(self):
        return {name: None if done is None else done.rc for name, done in self.jobs.items()}


@pytest.fixture
def port():
    """One that is open here."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def workflow(awx, configured, port):
    return ready(awx, configured, port)


@pytest.fixture
def workflow_for_real(awx, configured_for_real, port):
    return ready(awx, configured_for_real, port)


def ready(awx, configured, port):
    awx.em.clock.rate = 60
    ports = f"{{{{ [{port}] if inventory_hostname is match('db|web') else [] }}}}"
    variables = {"ansible_host": "127.0.0.1", "failover_check_ports": ports, "failover_check_timeout": 1}
    return Workflow(awx, configured, variables)


def no_secrets_in(awx, folder):
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_text(encoding="utf-8")
            assert not [secret for secret in awx.secrets() if secret in content], file


def reported(done):
    """What is in the report that a job has made, which is as its schema says."""
    path = Path(done.artifacts["failover_report"]["html"]).with_suffix(".json")
    record = json.loads(path.read_text(encoding="utf-8"))
    VALIDATOR.validate(record)
    return record


def actions(awx):
    """What Enterprise Manager was asked to do with plans."""
    queries = [request.query for request in awx.em.requests if request.method == "POST"]
    return re.findall(r"action=(\w+)", "&".join(queries))


def test_a_drill_that_passes(awx, workflow, settings, drill, run_module, tmp_path):
    vms = [{"name": "db", "duration": 60}, {"name": "web", "duration": 100}]
    awx.em.world.add_plan(name=PLAN, vms=vms, pre_command=f"net use {awx.secret}", post_command=awx.secret)
    # The hard case: only the job of the drill sees the VMs, and each later one depends on what that has kept.
    awx.em.behaviour.finished_tasks = "drop"
    awx.env["VEEAM_EM_STORE"] = str(tmp_path / "history.db")
    assert workflow.run(failover_run_plan=PLAN, failover_report_change_id="CHG0042"), workflow.told
    assert workflow.codes == dict.fromkeys(["drill", "verdict", "undo", "report"], 0)
    assert actions(awx) == ["test"]  # it left nothing in failover
    [session] = [session for session in awx.em.world.sessions if session.name == PLAN]
    artifacts = workflow.artifacts["report"]
    assert {name: artifacts[name]["passed"] for name in artifacts if name != "failover_session_id"} == dict.fromkeys(
        ["failover_drill", "failover_verdict", "failover_undo", "failover_report"], True
    )
    assert {artifacts[name]["session_id"] for name in artifacts if name != "failover_session_id"} == {session.id}
    assert artifacts["failover_session_id"] == session.id
    assert artifacts["failover_drill"]["session_source"] == "task"
    assert artifacts["failover_verdict"]["vms"]["total"] == 2
    assert artifacts["failover_verdict"]["rto"]["target"] == 3600
    assert (artifacts["failover_undo"]["undone"], artifacts["failover_undo"]["needed"]) == (False, False)
    assert artifacts["failover_undo"]["message"].startswith("A test leaves nothing in failover")
    assert len(json.dumps(artifacts)) < 1500
    told = reported(workflow.jobs["report"])
    assert told["verdict"]["passed"] and told["verdict"]["session"]["tasks_kept_at"]
    assert [vm["name"] for vm in told["verdict"]["vms"]] == ["db", "web"]
    assert (told["context"]["operator"], told["context"]["change_id"]) == ("ada", "CHG0042")
    assert (told["context"]["undo"]["done"], told["context"]["undo"]["needed"]) == (False, False)
    assert told["context"]["points_seen_at"] and told["context"]["session_source"] == "task"
    assert told["after_run"]["clean"] is True
    no_secrets_in(awx, Path(settings["failover_report_directory"]))

    def in_history():
        history = run_module("failover_history_info", store=awx.env["VEEAM_EM_STORE"], id=[session.id], verify=True)
        [run] = history["failover_sessions"]
        return run

    run = in_history()
    assert (run["kind"], run["kind_basis"], run["verdict"]["passed"]) == ("test", "recorded", True)
    same = {
        "action": "test",
        "session_source": "task",
        "plan": PLAN,
        "operator": "ada",
        "operator_source": "AWX user",
        "change_id": "CHG0042",
    }
    assert {name: run["run"][name] for name in same} == same
    assert run["run"]["job"] == "7" and run["run"]["problems"] == []
    assert run["run"]["undo"] == {name: artifacts["failover_undo"][name] for name in ("message", "needed")} | {
        "done": False
    }
    assert run["run"]["report"] == artifacts["failover_report"]["manifest_sha256"]
    head = workflow.jobs["report"].output.rpartition("its newest record is ")[2].split()
    assert (
        f"{run_module('failover_history', store=awx.env['VEEAM_EM_STORE'], look=False)['head']['sequence']}" == head[0]
    )

    # What the tests of single nodes start from has the same form.
    made = drill.hand_over("test")["failover_drill"]
    assert made.keys() == artifacts["failover_drill"].keys()
    kept = [
        json.loads(Path(each["evidence"]).read_text(encoding="utf-8")) for each in (made, artifacts["failover_drill"])
    ]
    assert kept[0].keys() == kept[1].keys()

    awx.inputs["url"] = "https://localhost:1"
    again = workflow.launch(workflow.templates["Failover drill: report"], artifacts)
    assert again.rc
    assert "https://localhost:1/api/" in again.output and "It was judged as the drill saw it." in again.output
    verdict = reported(again)["verdict"]
    assert (verdict["passed"], [reason["code"] for reason in verdict["reasons"]]) == (False, ["drill_problem"])
    assert in_history()["verdict"]["passed"] is False
    assert "The session itself could not be recorded" in again.output
    assert "https://localhost:1/api/" in verdict["reasons"][0]["text"]


@pytest.fixture
def database(postgres):
    """The URL of a history as the guide has it: its owner has run the script, and AWX records as another role."""
    name = postgres.new_database()
    postgres.execute((REPO / "extensions/history/postgresql.sql").read_text(encoding="utf-8"), name, "owner")
    postgres.execute(f"CREATE ROLE awx_{name} LOGIN; GRANT history_writer TO awx_{name}")
    return postgres.url(name, f"awx_{name}")


@pytest.mark.matrix
def test_a_drill_that_is_recorded_in_postgresql(awx, workflow, database, run_module):
    awx.em.world.add_plan(name=PLAN, vms=[{"name": "db", "duration": 60}, {"name": "web", "duration": 100}])
    awx.env["VEEAM_EM_STORE"] = database
    assert workflow.run(failover_run_plan=PLAN), workflow.told
    [session] = [session for session in awx.em.world.sessions if session.name == PLAN]
    history = run_module("failover_history_info", store=database, id=[session.id], verify=True)
    [run] = history["failover_sessions"]
    assert (run["kind"], run["kind_basis"], run["verdict"]["passed"]) == ("test", "recorded", True)
    assert [task["vm_name"] for task in run["tasks"]] == ["db", "web"]
    assert (run["run"]["job"], run["run"]["problems"], history["verified"]) == ("7", [], True)
    head = workflow.jobs["report"].output.rpartition("its newest record is ")[2].split()
    assert str(history["head"]["sequence"]) == head[0]


@pytest.mark.matrix
def test_a_record_after_a_collection(awx, run_module, tmp_path):
    """The role collects first if it is asked to, so that what it records is newer than the job."""
    awx.use_checkout()
    awx.em.clock.rate = 60
    awx.em.world.add_session(PLAN, state="Stopped")
    awx.env["VEEAM_EM_STORE"] = str(tmp_path / "history.db")
    before = f"{awx.em.clock.now():%Y-%m-%dT%H:%M:%S}"
    done = awx.job("playbooks/history.yml", extra_vars={"failover_history_collect": True})
    assert done.rc == 0, done.output
    history = run_module("failover_history_info", store=awx.env["VEEAM_EM_STORE"], verify=True)
    assert history["looks"][0]["collected_at"] > before
    assert done.artifacts["failover_history"]["head"] == history["head"]
    assert f"Newest record of the history: {history['head']['sequence']} {history['head']['hash']}" in done.output

    # What it cannot collect is recorded as it is, also where EM was not even asked.
    options = {"failover_history_collect": True, "failover_history_collect_timeout": 0}
    done = awx.job("playbooks/history.yml", extra_vars=options)
    assert done.rc and "it may be old, since new data could not be collected first. wait_timeout: 0" in done.output
    looks = run_module("failover_history_info", store=awx.env["VEEAM_EM_STORE"])["looks"]
    assert len(looks) == len(history["looks"]) + 1


@pytest.mark.matrix
def test_a_drill_with_a_failed_vm(awx, workflow):
    failing = {"name": "web", "duration": 90, "result": "Failed", "failure_message": "no {{ memory }}"}
    awx.em.world.add_plan(name=PLAN, vms=[{"name": "db", "duration": 60}, failing])
    assert not workflow.run(failover_run_plan=PLAN, failover_run_rto_minutes=1)
    assert {name for name, rc in workflow.codes.items() if rc} == {"drill", "verdict", "report"}, workflow.told
    artifacts = workflow.artifacts["report"]
    assert artifacts["failover_verdict"]["passed"] is False
    assert "too_many_failed" in artifacts["failover_verdict"]["reasons"]
    assert artifacts["failover_undo"]["needed"] is False
    assert Path(artifacts["failover_report"]["html"]).is_file()
    for step in ("drill", "verdict", "report"):
        assert "no {{ memory }}" in workflow.jobs[step].output
    assert (
        "The step drill of the workflow is not known to have passed. The step verdict" in workflow.jobs["report"].output
    )


@pytest.mark.matrix
def test_a_drill_when_enterprise_manager_is_down(awx, workflow):
    awx.inputs["url"] = "https://localhost:1"
    assert not workflow.run(failover_run_plan=PLAN)
    assert workflow.jobs["drill"].rc
    assert "https://localhost:1/api/" in workflow.jobs["drill"].output
    for step in ("verdict", "report"):
        assert workflow.jobs[step].rc
        assert (
            "No session was passed on. Nothing was started; the job of the drill says why."
            in workflow.jobs[step].output
        )
    assert "Nothing was started, so there is nothing to undo." in workflow.jobs["undo"].output
    assert set(workflow.artifacts["report"]) == {"failover_session_id", "failover_drill", "failover_undo"}


@pytest.mark.matrix
@pytest.mark.parametrize("approved", [False, True])
def test_a_real_failover_is_undone_only_if_a_person_approves_it(awx, workflow_for_real, approved):
    real = workflow_for_real
    real.approved = approved
    awx.em.world.add_plan(name=PLAN, vms=[{"name": "db", "duration": 60}])
    assert real.run(failover_run_plan=PLAN, failover_run_confirm=PLAN), real.told
    artifacts = real.artifacts["report"]
    assert artifacts["failover_drill"]["action"] == "start"
    assert artifacts["failover_checks"]["checked"] == 1
    assert "failover_undo" not in artifacts  # a report does not wait for that decision
    assert len(json.dumps(artifacts)) < 1500
    told = reported(real.jobs["report"])
    assert told["after_run"]["clean"] is False and told["context"]["undo"] is None
    each_field_is_filled_or_says_that_nobody_gave_it(real)
    if approved:
        assert actions(awx) == ["start", "undo"]
        assert "keep" not in real.jobs
        assert real.artifacts["undo"]["failover_undo"]["undone"] is True
    else:
        assert actions(awx) == ["start"]
        assert "undo" not in real.jobs
        assert "Nothing was undone: what session" in real.jobs["keep"].output


def each_field_is_filled_or_says_that_nobody_gave_it(workflow):
    """What auditors ask for, as the page has it: from EM, from the job, from the settings of AWX (PEOPLE), or from nobody."""
    told = reported(workflow.jobs["report"])
    page = Path(workflow.jobs["report"].artifacts["failover_report"]["html"]).read_text(encoding="utf-8")
    text = re.sub(r"<(style|svg).*?</\1>|<bdi[^>]*>|</bdi>|</?code>", "", html.unescape(page), flags=re.DOTALL)
    pairs = re.findall(r"<dt>(.*?)</dt><dd[^>]*>(.*?)</dd>|<th [^>]*>([^<]*)</th><td [^>]*>(.*?)</tr>", text)
    fields = {a or c: " ".join(re.sub(r"<[^>]*>", " ", b or d).split()) for a, b, c, d in reversed(pairs)}
    nobody = "not recorded"
    session = told["session"]
    assert {fields[name] for name in NOT_GIVEN} == {nobody}
    expected = {
        "Report id": told["report_id"],
        "Session": session["id"],
        "Plan": PLAN,
        "Version of the plan": told["plan_version"][:16],
        "Tenant": "Acme",
        "Backup server": session["backup_server"]["name"],
        "Virtual machines in scope": "1: db",
        "Kind of run": "Failover Requested by the job, and Enterprise Manager's task links to this session.",
        "Clean-up": "1 VM in failover",
        "Operator": "ada AWX user",
        "Approved by": "Change board",
        "Participants": "Grace Hopper (Observer)",
        "Scenario": "Loss of the data center",
        "Next test": "2027-03-31",
        "Recovery time of the run (RTO)": "1 h",
        "web02 is slow": "not recorded Ada 2027-01-31",
        **dict.fromkeys(("Tester", "Owner of the plan", "Approver"), ""),  # to be signed
    }
    found = {name: fields.get(name) for name in expected}
    assert not {name: value for name, value in found.items() if value is None or not value.startswith(expected[name])}
    assert "TCP ports" in text  # the application check, with its outcome and who made it
    assert [(check["vm"], check["passed"], check["by"]) for check in told["context"]["checks"]] == [
        ("db", True, "The playbook drill_checks")
    ]
    assert session["tasks"][0]["replica_point"]["name"] in text  # the restore point that was used, and its age
    assert "Comparison with the run before" in text and "+01:00" in text and "Confidential" in text
    assert told["context"]["url"] in text and told["context"]["queried_at"][:10] in text and "sha256sum -c" in text


NOT_GIVEN = (
    *("Change", "Description of the plan", "Retest"),
    *("Type of exercise", "Objective", "Isolation and impact", "Comment of the tester"),
)
"""What nobody gives in a workflow of the tests. The rows are there nevertheless."""

# Single nodes


@pytest.fixture
def finished(awx, tmp_path):
    """A session whose VMs only the job of the drill has seen, and what that has handed over."""
    awx.use_checkout()
    commands = {"pre_command": f"net use {awx.secret}", "post_command": awx.secret}
    plan = awx.em.world.add_plan(name=PLAN, vms=["db", "web"], backup_server="vbr, site A", **commands)
    tasks = [{"vm_name": "db"}, {"vm_name": "web"}]
    session = awx.em.world.add_session(PLAN, state="Stopped", tasks=tasks, backup_server=plan.backup_server)
    awx.em.behaviour.finished_tasks = "drop"
    return {
        "failover_session_id": session.id,
        "failover_report_directory": str(tmp_path / "reports"),
        "failover_drill": {
            "session_id": session.id,
            "plan_id": plan.id,
            "action": "test",
            "started": True,
            "passed": True,
            "evidence": "",
            "evidence_sha256": "",
        },
    }


def test_a_verdict_without_what_the_drill_has_seen(awx, finished, tmp_path):
    """It does not pass, as nothing is known of the VMs. Run by a playbook of the user's project, which names it by its collection."""
    evidence = tmp_path / "evidence.json"
    evidence.write_text('{"session": {"tasks": []}}', encoding="utf-8")
    finished["failover_drill"].update(evidence=str(evidence), evidence_sha256="0" * 64)
    done = awx.job("failover/drill_verdict.yml", extra_vars=finished)
    assert done.rc
    assert done.artifacts["failover_verdict"]["passed"] is False
    assert done.artifacts["failover_verdict"]["reasons"] == ["no_tasks"]
    assert f"{evidence} is missing or was changed." in done.output


@pytest.mark.parametrize("minutes", [more(0), more(-5), more(0.5), more("1,5"), "{{ 7 * 7 }}"])
def test_a_recovery_time_that_is_none_starts_nothing(awx, finished, minutes):
    extra_vars = {**finished, "failover_run_plan": PLAN, "failover_run_rto_minutes": minutes}
    done = awx.job("playbooks/drill_run.yml", extra_vars=extra_vars)
    assert done.rc
    assert (
        f"failover_run_rto_minutes: {minutes} cannot be used. Give a whole number of minutes, 1 or more" in done.output
    )
    assert done.artifacts["failover_drill"]["started"] is False
    assert awx.em.counters.requests == 0


@pytest.mark.matrix
@pytest.mark.parametrize(("minutes", "target"), [("", None), (None, None), ("60", 3600)])
def test_a_recovery_time_from_a_variable_that_was_cleared_or_is_a_text(awx, finished, minutes, target):
    awx.em.behaviour.finished_tasks = "keep"
    done = awx.job("playbooks/drill_verdict.yml", extra_vars={**finished, "failover_run_rto_minutes": minutes})
    assert not done.rc
    assert done.artifacts["failover_verdict"]["rto"]["target"] == target


def passed(session_id, **more):
    return {"session_id": session_id, "passed": True, **more}


def test_a_step_that_was_lost_or_is_of_another_session_has_not_passed(awx, finished):
    awx.em.behaviour.finished_tasks = "keep"
    steps = {"failover_verdict": passed(UNKNOWN), "failover_checks": passed(UNKNOWN)}
    done = awx.job("playbooks/drill_report.yml", extra_vars={**finished, **steps})
    assert done.rc
    unproven = [f"The step {step} of the workflow is not known to have passed." for step in ("verdict", "undo")]
    assert f"did not pass: {' '.join(unproven)} The report is" in done.output
    assert done.artifacts["failover_report"]["passed"] is False
    verdict = reported(done)["verdict"]
    assert verdict["passed"] is False
    whole = {"code": "step_not_passed", "vm": None, "vms": [], "target": None, "achieved": None, "hint": None}
    assert verdict["reasons"] == [{**whole, "text": text} for text in unproven]
    page = Path(done.artifacts["failover_report"]["html"]).read_text(encoding="utf-8")
    assert "Not passed" in page and all(text in page for text in unproven)
    assert ADDED in page


@pytest.mark.parametrize(
    ("action", "required", "missing"),
    [
        more("test", "", ["verdict", "undo"]),
        more("test", None, ["verdict", "undo"]),
        ("start", "", ["verdict", "checks"]),
        more("start", ["drill", "undo"], ["undo"]),
    ],
)
def test_a_cleared_list_of_steps_means_all_of_that_action(awx, finished, action, required, missing):
    awx.em.behaviour.finished_tasks = "keep"
    finished["failover_drill"]["action"] = action
    extra_vars = {**finished, "failover_required_steps": required}
    done = awx.job("playbooks/drill_report.yml", extra_vars=extra_vars)
    assert done.rc
    assert done.artifacts["failover_report"]["passed"] is False
    unproven = [f"The step {step} of the workflow is not known to have passed." for step in missing]
    assert [reason["text"] for reason in reported(done)["verdict"]["reasons"]] == unproven


@pytest.mark.matrix
def test_a_report_alone(awx, finished):
    awx.em.behaviour.finished_tasks = "keep"
    extra_vars = {**finished, "failover_drill": {}, "failover_required_steps": []}
    done = awx.job("playbooks/drill_report.yml", extra_vars=extra_vars)
    assert not done.rc
    assert done.artifacts["failover_report"]["passed"] is True
    assert reported(done)["verdict"]["passed"] is True
    assert ADDED not in Path(done.artifacts["failover_report"]["html"]).read_text(encoding="utf-8")


@pytest.fixture
def drill(awx, role, run_module, tmp_path):
    """What drill_run hands over of a run whose VM is in failover. It is made in this process, since the job takes seven seconds."""

    def run(action):
        awx.use_checkout()
        awx.em.clock.rate = 60
        awx.em.behaviour.points_after_test = "failover"
        awx.em.world.add_plan(name=PLAN, vms=[{"name": "db", "duration": 30}])
        return hand_over(action)

    def hand_over(action):
        connection = {"url": awx.em.url, "ca_path": awx.em.ca_path}
        connection.update((name, awx.inputs[name]) for name in ("username", "password"))
        done = run_module("failover_plan", plan=PLAN, action=action, poll_interval=1, **connection)
        seen = role.seen(wrap_var(done), action)
        evidence, guid = tmp_path / "reports" / "evidence.json", done["failover_session"]["id"]
        evidence.parent.mkdir(exist_ok=True)
        evidence.write_text(json.dumps(seen), encoding="utf-8")
        result = {
            "session_id": guid,
            "session_source": done["session_source"],
            "plan_id": done["plan"]["id"],
            "action": action,
            "started": True,
            "passed": True,
            "evidence": str(evidence),
            "evidence_sha256": hashlib.sha256(evidence.read_bytes()).hexdigest(),
        }
        more = {"failover_report_directory": str(evidence.parent), "failover_run_poll_interval": 1}
        return {**more, "failover_session_id": guid, "failover_drill": result}

    run.hand_over = hand_over
    return run


@pytest.fixture
def left(drill):
    """What a drill has handed over whose test left its VM in failover."""
    return drill("test")


def change_kept(handed_over, **more):
    """Other facts in the evidence of a drill."""
    evidence = Path(handed_over["failover_drill"]["evidence"])
    text = json.dumps({**json.loads(evidence.read_text(encoding="utf-8")), **more})
    evidence.write_text(text, encoding="utf-8")
    handed_over["failover_drill"]["evidence_sha256"] = hashlib.sha256(text.encode()).hexdigest()


def undo(awx, handed_over, **more):
    """:returns: the job, and what it has handed over."""
    done = awx.job("playbooks/drill_undo.yml", extra_vars={**handed_over, **more})
    told = done.artifacts["failover_undo"]
    assert told["session_id"] == handed_over.get("failover_session_id", "")
    assert told["passed"] is (done.rc == 0)
    return done, told


def test_a_test_that_left_vms_in_failover_is_undone(awx, left, tmp_path):
    awx.env["VEEAM_EM_STORE"] = str(tmp_path / "history.db")
    done, told = undo(awx, left)
    assert (told["passed"], told["undone"], told["needed"], told["message"]) == (True, True, True, "")
    assert actions(awx) == ["test", "undo"]

    with open_store(awx.env["VEEAM_EM_STORE"], read_only=True) as store:
        [run] = store.records("run")
    undone = {"at": told["at"], "by": None}
    assert told["at"] and run.body["undo"] == {"done": True, "needed": True, "message": "", **undone}

    awx.env["VEEAM_EM_STORE"] = str(tmp_path / "nowhere" / "history.db")
    report = awx.job("playbooks/drill_report.yml", extra_vars={**left, **done.artifacts})
    assert reported(report)["context"]["undo"] == {"done": True, "needed": True, "message": None, **undone}
    assert report.rc and report.artifacts["failover_report"]["passed"] is False
    assert "The run could not be recorded in the history. The folder" in report.output


def test_a_test_is_not_undone_when_somebody_has_run_the_plan_since(awx, left):
    awx.em.run_by_others(PLAN, "start")
    awx.em.clock.advance(600)
    done, told = undo(awx, left)
    assert (told["passed"], told["undone"], told["needed"]) == (False, False, True)
    assert "The test could not be undone." in told["message"] and "was run again since" in told["message"]
    assert actions(awx) == ["test"]

    report = awx.job("playbooks/drill_report.yml", extra_vars={**left, **done.artifacts})
    expected = {"done": False, "needed": True, "message": told["message"], "at": None, "by": None}
    assert reported(report)["context"]["undo"] == expected
    assert "The step undo of the workflow is not known to have passed." in report.output


@pytest.mark.matrix
def test_an_approved_undo_does_not_undo_the_failover_of_somebody_else(awx, drill):
    """The approval can be days old."""
    handed_over = drill("start")
    awx.em.run_by_others(PLAN, "start")
    awx.em.clock.advance(600)
    done, told = undo(awx, handed_over, failover_undo_approved=True)
    assert (told["passed"], told["undone"]) == (False, False)
    assert "The failover could not be undone." in done.output
    assert actions(awx) == ["start"]


@pytest.mark.parametrize("confirm", [more("Payroll"), "payroll {{ 7 * 7 }}"])
def test_a_real_failover_needs_the_name_of_the_plan_twice(awx, finished, confirm):
    extra_vars = {**finished, "failover_run_plan": PLAN, "failover_run_confirm": confirm}
    done = awx.job("playbooks/drill_run.yml", extra_vars=extra_vars, safe_vars={"failover_run_action": "start"})
    assert done.rc
    sentence = f"failover_run_confirm is {confirm}, which is not the name of the plan. Nothing was started."
    assert sentence in done.output
    assert actions(awx) == []
    assert done.artifacts["failover_drill"]["started"] is False


@pytest.mark.matrix
def test_a_test_is_not_undone_when_its_session_is_not_listed(awx, left):
    awx.em.world.change_session(left["failover_session_id"], listed_from=awx.em.clock.now() + timedelta(days=1))
    dummy, told = undo(awx, left)
    assert (told["passed"], told["undone"]) == (False, False)
    assert "it is not known whether the plan was run again since" in told["message"]
    assert actions(awx) == ["test"]


@pytest.mark.matrix
def test_a_test_is_not_undone_when_its_session_is_gone(awx, left):
    """That it left its VM in failover is known from the drill."""
    awx.em.world.remove_session(left["failover_session_id"])
    dummy, told = undo(awx, left)
    assert (told["passed"], told["undone"], told["needed"]) == (False, False, True)
    assert actions(awx) == ["test"]


@pytest.mark.parametrize("lost", [more("removed"), "changed"])
def test_a_test_is_not_undone_without_what_the_drill_has_kept(awx, left, lost):
    """It is not known then which runs there were before, nor whether their VMs are still in failover."""
    evidence = Path(left["failover_drill"]["evidence"])
    if lost == "removed":
        evidence.unlink()
    else:
        evidence.write_text(evidence.read_text(encoding="utf-8") + " ", encoding="utf-8")
    dummy, told = undo(awx, left)
    assert (told["passed"], told["undone"], told["needed"]) == (False, False, None)
    assert "In failover after the test: db." in told["message"]
    assert "it is not known whether VMs were already in failover before the test" in told["message"]
    assert actions(awx) == ["test"]


def test_a_session_that_is_only_inferred_is_not_undone_and_has_not_passed(awx, left):
    change_kept(left, session_source="inferred")
    dummy, told = undo(awx, left, failover_run_undo_test="always")
    assert (told["passed"], told["undone"]) == (True, False)
    assert "did not link its task to the session" in told["message"]
    assert actions(awx) == ["test"]
    verdict = awx.job("playbooks/drill_verdict.yml", extra_vars=left)
    assert verdict.rc and verdict.artifacts["failover_verdict"]["reasons"] == ["session_inferred"]


@pytest.mark.matrix
def test_a_test_that_left_vms_in_failover_stays_if_nobody_wants_it_undone(awx, left):
    dummy, told = undo(awx, left, failover_run_undo_test="never")
    assert (told["passed"], told["undone"], told["needed"]) == (True, False, True)
    assert told["message"] == "No undo was requested, since failover_run_undo_test is never."
    assert actions(awx) == ["test"]


@pytest.mark.matrix
def test_an_undo_that_em_refuses_has_not_passed(awx, left):
    awx.em.world.change_plan(awx.em.world.plans[-1], refuse={"undo": "The plan is locked"})
    dummy, told = undo(awx, left)
    assert (told["passed"], told["undone"], told["needed"]) == (False, False, True)
    assert "The plan is locked" in told["message"]
    assert actions(awx) == ["test", "undo"]


@pytest.mark.matrix
def test_an_undo_of_nothing_is_no_failure(awx, left):
    """What the drill has seen was undone by somebody since, so the state is read again before the decision."""
    awx.em.run_by_others(PLAN, "undo")
    awx.em.clock.advance(600)
    for undo_test, asked in (("auto", []), ("always", ["undo"])):
        dummy, told = undo(awx, left, failover_run_undo_test=undo_test)
        assert (told["passed"], told["undone"], told["needed"]) == (True, False, False)
        assert "all replica points were Ready" in told["message"]
        assert actions(awx) == ["test", *asked]


@pytest.mark.parametrize("undo_test", [more("auto"), "always"])
def test_where_points_cannot_be_read_nothing_is_undone(awx, left, undo_test):
    change_kept(left, points_seen_at=None)
    awx.em.faults.add("status", status=403, query="CloudVmReplicaPoint")
    awx.em.faults.add("status", status=403, path="/vmReplicaPoints")
    dummy, told = undo(awx, left, failover_run_undo_test=undo_test)
    assert (told["passed"], told["undone"], told["needed"]) == (True, False, None)
    assert actions(awx) == ["test"]
    assert "it is not known whether VMs are in failover" in told["message"]


@pytest.mark.parametrize("more", [more({}), more({"failover_undo_approved": False}), {"failover_run_action": "test"}])
def test_a_real_failover_is_not_undone_without_a_person(awx, drill, more):
    """Not even where a job template of a drill reads it, or the undo of a test is always wanted."""
    handed_over = drill("start")
    done, told = undo(awx, handed_over, failover_run_undo_test="always", **more)
    assert (told["passed"], told["undone"]) == (True, False)
    assert "It is undone only if a person approves" in done.output
    assert actions(awx) == ["start"]


@pytest.mark.parametrize("lost", [more({}), {"failover_drill": {"started": True, "session_id": "", "action": "test"}}])
def test_nothing_is_undone_when_it_is_not_known_what(awx, lost):
    awx.use_checkout()
    done, dummy = undo(awx, lost)
    assert done.rc
    assert "Nothing was undone, since it is not known which session the drill started." in done.output
    assert awx.em.counters.requests == 0


@pytest.mark.parametrize("step", ["run", "checks", "undo", "report"])
def test_nothing_passes_in_check_mode(awx, finished, step):
    awx.em.behaviour.finished_tasks = "keep"
    awx.write("env/cmdline", "--check")
    extra_vars = {**finished, "failover_run_plan": PLAN, "failover_required_steps": []}
    done = awx.job(f"playbooks/drill_{step}.yml", extra_vars=extra_vars)
    if step == "run":  # it only looks whether the plan could be run
        assert not done.rc
        assert (done.artifacts["failover_drill"]["started"], done.artifacts["failover_drill"]["passed"]) == (
            False,
            False,
        )
    else:
        assert done.rc and not any(value["passed"] for value in done.artifacts.values())
        assert "since the job runs in check mode. Run it without check mode." in done.output


@pytest.fixture
def killing(awx):
    """Kill the module while EM is about to do what it was asked for, as the kernel does where memory runs out."""
    killers = []

    def kill(action):
        awx.em.faults.add("slow_headers", query=f"action={action}", seconds=2, times=1)
        killers.append(threading.Thread(target=wait_and_kill, args=(awx, action), daemon=True))
        killers[-1].start()

    yield kill
    for killer in killers:
        killer.join(600)


def wait_and_kill(awx, action):
    until = time.monotonic() + 600
    while action not in actions(awx) and time.monotonic() < until:
        time.sleep(0.05)
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words, environment = ((process / name).read_bytes() for name in ("cmdline", "environ"))
            if b"AnsiballZ_failover_plan.py" in words and awx.em.url.encode() in environment:
                os.kill(int(process.name), signal.SIGKILL)
    awx.em.expire_logons()  # nobody is left to log off


def test_a_drill_whose_module_was_killed_may_have_started(awx, killing, tmp_path):
    """What Ansible itself makes of the task has "changed" as false, and knows nothing of Enterprise Manager."""
    awx.use_checkout()
    awx.em.world.add_plan(name=PLAN, vms=[{"name": "db", "duration": 60}])
    killing("test")
    more = {"failover_report_directory": str(tmp_path / "reports")}
    done = awx.job("playbooks/drill_run.yml", extra_vars={**more, "failover_run_plan": PLAN})
    assert done.rc and actions(awx) == ["test"]
    drill = done.artifacts["failover_drill"]
    assert (drill["started"], drill["session_id"], drill["passed"]) == (None, "", False)
    undone = awx.job("playbooks/drill_undo.yml", extra_vars={**more, **done.artifacts})
    assert undone.rc and "Nothing was undone, since it is not known which session the drill started." in undone.output
    verdict = awx.job("playbooks/drill_verdict.yml", extra_vars={**more, **done.artifacts})
    assert verdict.rc and "The result of the drill is not known." in verdict.output


@pytest.mark.matrix
def test_a_drill_whose_undo_was_killed_has_not_passed(awx, killing, tmp_path):
    awx.use_checkout()
    awx.em.clock.rate = 60
    awx.em.behaviour.points_after_test = "failover"
    awx.em.world.add_plan(name=PLAN, vms=[{"name": "db", "duration": 60}])
    killing("undo")
    more = {"failover_run_plan": PLAN, "failover_run_poll_interval": 1, "failover_report_directory": str(tmp_path)}
    done = awx.job("playbooks/drill.yml", extra_vars=more)
    assert done.rc and actions(awx) == ["test", "undo"]
    assert f"Test of plan {PLAN} did not pass: The test could not be undone. " in done.output
    [report] = tmp_path.glob("*-payroll-*.json")
    told = json.loads(report.read_text(encoding="utf-8"))["context"]["undo"]
    assert (told["done"], told["needed"]) == (False, True) and told["message"]


def test_nothing_is_started_if_what_is_seen_cannot_be_kept(awx, finished, tmp_path):
    reports = Path(finished["failover_report_directory"])
    reports.mkdir()
    (reports / "evidence").symlink_to("/proc/sys")  # where nobody may make a file
    done = awx.job("playbooks/drill_run.yml", extra_vars={**finished, "failover_run_plan": PLAN})
    assert done.rc
    assert awx.em.counters.requests == 0


@pytest.mark.parametrize("folder", ["", more(None)])
@pytest.mark.parametrize("step", ["run", more("report")])
def test_a_folder_that_is_not_set_is_named(awx, finished, folder, step):
    more = {"failover_run_plan": PLAN, "failover_report_directory": folder}
    done = awx.job(f"playbooks/drill_{step}.yml", extra_vars={**finished, **more})
    assert done.rc and "failover_report_directory is not set." in done.output
    assert awx.em.counters.requests == 0


@pytest.mark.matrix
def test_checks_reach_a_host_whose_name_looks_like_that_of_another_and_a_port(awx, finished, port):
    awx.em.behaviour.finished_tasks = "keep"
    group = "session_" + finished["failover_session_id"].replace("-", "_")
    reached = {"ansible_host": "127.0.0.1", "failover_check_ports": [port], "failover_check_timeout": 1}
    hosts = {
        "db": {"veeam_vm_name": "db", **reached},
        "db:22": {"veeam_vm_name": "web", **reached, "failover_check_ports": [1]},
    }
    awx.keep({"_meta": {"hostvars": hosts}, group: {"hosts": list(hosts)}})
    done = awx.job("playbooks/drill_checks.yml", extra_vars=finished)
    assert done.rc and "1 of 2 VMs did not pass their checks: db:22" in done.output
    assert (done.artifacts["failover_checks"]["checked"], done.artifacts["failover_checks"]["failed"]) == (2, 1)


@pytest.mark.matrix
def test_a_vm_without_an_address_is_not_the_execution_node(awx, finished, port):
    """The port is open here, and the task is delegated to here."""
    awx.em.behaviour.finished_tasks = "keep"
    group = "session_" + finished["failover_session_id"].replace("-", "_")
    checked = {"failover_check_ports": [port], "failover_check_timeout": 1}
    hosts = {f"{name}.invalid": {"veeam_vm_name": name, **checked} for name in ("db", "web")}
    awx.keep({"_meta": {"hostvars": hosts}, group: {"hosts": list(hosts)}})
    done = awx.job("playbooks/drill_checks.yml", extra_vars=finished)
    assert done.rc
    assert done.artifacts["failover_checks"]["failed"] == 2


def test_what_checks_nothing_does_not_pass(awx, finished, port):
    """Not in a job with a VM that passes either; each alone is in the matrix."""
    awx.em.behaviour.finished_tasks = "keep"
    names = ("db", "web", "no-address", "no-task", "no-port")
    session = awx.em.world.add_session(PLAN, state="Stopped", tasks=[{"vm_name": name} for name in names])
    finished = {**finished, "failover_session_id": session.id}
    finished["failover_drill"].update(session_id=session.id)
    reached = {"ansible_host": "127.0.0.1", "failover_check_ports": [port], "failover_check_timeout": 1}
    hosts = {name: {"veeam_vm_name": name, **reached} for name in names}
    del hosts["no-address"]["ansible_host"]
    hosts["no-address.invalid"] = hosts.pop("no-address")
    own_tasks = str(awx.write("project/checks/none.yml", "---\n"))
    hosts["no-task"] = {"veeam_vm_name": "no-task", "failover_check_tasks": own_tasks}
    hosts["no-port"]["failover_check_ports"] = [None]
    awx.keep({"_meta": {"hostvars": hosts}, "session_" + session.id.replace("-", "_"): {"hosts": list(hosts)}})
    done = awx.job("playbooks/drill_checks.yml", extra_vars=finished)
    assert done.rc
    checks = done.artifacts["failover_checks"]
    assert (checks["passed"], checks["checked"], checks["failed"]) == (False, 5, 3)
    assert f"failover_check_tasks: {own_tasks} has no tasks." in done.output
    assert "failover_check_ports: [None] cannot be used." in done.output


@pytest.mark.matrix
def test_own_checks_without_a_task_prove_nothing(awx, finished):
    awx.em.behaviour.finished_tasks = "keep"
    group = "session_" + finished["failover_session_id"].replace("-", "_")
    own_tasks = str(awx.write("project/checks/none.yml", "---\n"))
    hosts = {name: {"veeam_vm_name": name, "failover_check_tasks": own_tasks} for name in ("db", "web")}
    awx.keep({"_meta": {"hostvars": hosts}, group: {"hosts": list(hosts)}})
    done = awx.job("playbooks/drill_checks.yml", extra_vars=finished)
    assert done.rc and f"failover_check_tasks: {own_tasks} has no tasks." in done.output
    assert done.artifacts["failover_checks"]["failed"] == 2


def test_an_undo_that_em_has_not_confirmed_is_none(awx, left):
    """Its reply is lost, and somebody else runs the plan."""
    awx.em.faults.add("run_by_others", query="action=undo", plan=PLAN, run="start", when="after", times=1)
    awx.em.faults.add("status", query="action=undo", status=502)
    dummy, told = undo(awx, left)
    assert (told["passed"], told["undone"]) == (False, False)
    assert "did not report whether the undo was done" in told["message"]
    assert actions(awx) == ["test", "undo"]


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"failover_check_ports": [None]}, "failover_check_ports: [None] cannot be used."),
        ({"failover_check_ports": [0]}, "failover_check_ports: [0] cannot be used."),
        ({"failover_check_ports": [70000]}, "failover_check_ports: [70000] cannot be used."),
        ({"failover_check_ports": 22}, "failover_check_ports: 22 cannot be used. Give a list of port numbers"),
        ({"failover_check_ports": "22"}, "failover_check_ports: 22 cannot be used."),
        ({"failover_check_connection": "enabled"}, "failover_check_connection: enabled cannot be used."),
        (
            {"failover_check_connection": "y"},
            "failover_check_connection: y cannot be used.",
        ),  # false to Ansible's filter
    ],
)
def test_a_check_that_would_check_nothing_does_not_pass(awx, finished, port, setting, told):
    awx.em.behaviour.finished_tasks = "keep"
    group = "session_" + finished["failover_session_id"].replace("-", "_")
    reached = {"ansible_host": "127.0.0.1", "failover_check_ports": [str(port)], "failover_check_timeout": 1}
    hosts = {"db": {"veeam_vm_name": "db", **reached}, "web": {"veeam_vm_name": "web", **reached, **setting}}
    awx.keep({"_meta": {"hostvars": hosts}, group: {"hosts": list(hosts)}})
    done = awx.job("playbooks/drill_checks.yml", extra_vars=finished)
    assert done.rc
    assert told in done.output.replace(r"\'", "'")
    assert "1 of 2 VMs did not pass their checks: web" in done.output


class Ready(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ready")

    def log_message(self, *dummy):
        pass


@pytest.fixture
def health_port():
    with ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_checks_tell_what_has_passed_from_what_was_not_checked(awx, finished, health_port):
    awx.em.behaviour.finished_tasks = "keep"
    group = "session_" + finished["failover_session_id"].replace("-", "_")
    own_tasks = str(awx.write("project/checks/web.yml", awx.snippets["checks/web.yml"]))
    healthy = {
        "veeam_vm_name": "db",
        "ansible_host": "127.0.0.1",
        "health_port": health_port,
        "failover_check_tasks": own_tasks,
    }
    # What the job or the inventory brings along passes for no check.
    brought = {
        "drill_check_passed": True,
        "passed": ["db", "web"],
        "failed": [],
        "missing": [],
        "plan": "x",
        "server": "x",
    }
    finished.update(brought)
    hosts = {"db": healthy, "web": {"veeam_vm_name": "web", **brought}, "other": {"veeam_vm_name": "db"}}
    awx.keep({"_meta": {"hostvars": hosts}, group: {"hosts": ["db", "web"]}, "all": {"hosts": ["other"]}})
    done = awx.job("playbooks/drill_checks.yml", extra_vars=finished)
    assert done.rc
    checks = done.artifacts["failover_checks"]
    numbers = {"passed": False, "checked": 2, "failed": 1}
    assert {name: checks[name] for name in ("session_id", *numbers)} == {
        **passed(finished["failover_session_id"]),
        **numbers,
    }
    rows = json.loads(Path(checks["evidence"]).read_text(encoding="utf-8"))
    assert [(row["vm"], row["check"], row["passed"]) for row in rows] == [
        ("db", "own checks web.yml", True),
        ("web", "Checks of the VM", False),
    ]
    assert rows[1]["message"].startswith("Check that at least one check is set: No check is set.")
    assert "1 of 2 VMs did not pass their checks: web" in done.output
    assert "No check is set." in done.output


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        more("all", "Nothing was checked, since the limit of this job excludes localhost. Run it without a limit."),
        ("localhost,db", "1 of 2 VMs did not pass their checks: web"),
    ],
)
def test_checks_do_not_pass_with_a_limit(awx, finished, port, limit, told):
    awx.em.behaviour.finished_tasks = "keep"
    awx.write("env/cmdline", f"--limit {limit}")
    group = "session_" + finished["failover_session_id"].replace("-", "_")
    reached = {"ansible_host": "127.0.0.1", "failover_check_ports": [port], "failover_check_timeout": 1}
    hosts = {name: {"veeam_vm_name": name, **reached} for name in ("db", "web")}
    awx.keep({"_meta": {"hostvars": hosts}, group: {"hosts": list(hosts)}})
    done = awx.job("playbooks/drill_checks.yml", extra_vars=finished)
    assert done.rc
    assert told in done.output


@pytest.mark.matrix
def test_checks_need_a_host_for_each_vm(awx, finished):
    awx.em.behaviour.finished_tasks = "keep"
    group = "session_" + finished["failover_session_id"].replace("-", "_")
    awx.keep({"_meta": {"hostvars": {"db": {"veeam_vm_name": "db"}}}, group: {"hosts": ["db"]}})
    done = awx.job("playbooks/drill_checks.yml", extra_vars=finished)
    assert done.rc
    assert (
        f"Nothing was checked, since the inventory lacks these hosts of session {finished['failover_session_id']}: web"
        in done.output
    )
    assert done.artifacts == {}


def test_checks_need_a_host_for_each_vm_of_one_name(awx, finished):
    """One of the two has failed. Which of them the host is cannot be told."""
    awx.em.behaviour.finished_tasks = "keep"
    tasks = [{"vm_name": "db"}, {"vm_name": "web"}, {"vm_name": "web", "result": "Failed"}]
    session = awx.em.world.add_session(PLAN, state="Stopped", tasks=tasks)
    hosts = {name: {"veeam_vm_name": name, "failover_check_ports": [1]} for name in ("db", "web")}
    awx.keep({"_meta": {"hostvars": hosts}, "session_" + session.id.replace("-", "_"): {"hosts": list(hosts)}})
    done = awx.job("playbooks/drill_checks.yml", extra_vars={"failover_session_id": session.id})
    assert done.rc
    told = f"since 2 VMs of session {session.id} are named web, but the inventory has only 1 of them as hosts"
    assert told in done.output
    assert done.artifacts == {}
