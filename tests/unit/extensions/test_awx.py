# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The credential type for AWX and the files of docs/awx.md: real runs by ansible-runner, as AWX starts them.

What AWX does is taken from its source (24.6.1): CredentialTypeInputField and CredentialTypeInjectorField in awx/main/fields.py,
inject_credential in awx/main/models/credential.py, RunInventoryUpdate and RunJob in awx/main/tasks/jobs.py.
"""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils import _module
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._argspec import STORE_SPEC
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

pytest.importorskip("ansible_runner")

REPO = Path(__file__).resolve().parents[3]
TYPE_FILE = REPO / "extensions" / "awx" / "credential_type.yml"
CREDENTIAL_TYPE = yaml.safe_load(TYPE_FILE.read_text(encoding="utf-8"))
FIELDS = {field["id"]: field for field in CREDENTIAL_TYPE["inputs"]["fields"]}
ENV = CREDENTIAL_TYPE["injectors"]["env"]
PLAN = "Payroll"
UNKNOWN = "00000000-0000-4000-8000-000000000001"
USER = "DR\\robot"
PASSWORD = "{{ 7 * 7 }}'\"$HOME\u00fc"


# The credential type, by AWX's rules


def test_the_file_has_the_options_of_the_module():
    assert set(CREDENTIAL_TYPE) == {"name", "description", "kind", "inputs", "injectors"}
    assert CREDENTIAL_TYPE["kind"] == "cloud"
    assert set(CREDENTIAL_TYPE["inputs"]) == {"fields", "required"}
    assert set(CREDENTIAL_TYPE["injectors"]) == {"file", "env"}
    assert set(CREDENTIAL_TYPE["injectors"]["file"]) == {"template"}


def test_inputs_have_the_keys_that_awx_allows():
    assert list(FIELDS) == ["url", "username", "password", "ca_certificate", "skip_certificate_check"]
    assert set(CREDENTIAL_TYPE["inputs"]["required"]) == {"url", "username", "password"}
    assert [name for name, field in FIELDS.items() if field.get("secret")] == ["password"]
    for field in FIELDS.values():
        assert {"id", "label", "type"} <= set(field)
        allowed = {"id", "label", "type", "help_text", "ask_at_runtime", "default"}
        if field["type"] == "string":
            allowed |= {"choices", "format", "multiline", "secret"}
        assert set(field) <= allowed
        assert field["type"] in ("string", "boolean")
        assert field.get("format") in (None, "url", "ssh_private_key")
        assert re.fullmatch(r"[a-zA-Z_]\w*", field["id"], re.ASCII) and field["id"] != "tower"


def test_injectors_name_known_fields_only():
    names = {**dict.fromkeys(FIELDS, "EXAMPLE"), "tower": SimpleNamespace(filename="EXAMPLE_FILENAME")}
    strict = ImmutableSandboxedEnvironment(undefined=StrictUndefined)
    for injector in CREDENTIAL_TYPE["injectors"].values():
        for template in injector.values():
            assert isinstance(template, str) and template.isascii()
            assert strict.from_string(template).render(names)


def test_injected_variables_are_those_of_the_collection():
    known = {spec["fallback"][1][0] for spec in _module.CONNECTION_SPEC.values()}
    assert set(ENV) <= known
    assert {"VEEAM_EM_URL", "VEEAM_EM_USERNAME", "VEEAM_EM_PASSWORD"} <= set(ENV)


def test_the_credential_type_of_the_history():
    text = (TYPE_FILE.parent / "history_credential_type.yml").read_text(encoding="utf-8")
    kind = yaml.safe_load(text)
    assert set(kind) == set(CREDENTIAL_TYPE) and kind["kind"] == CREDENTIAL_TYPE["kind"]
    fields = {field["id"]: field for field in kind["inputs"]["fields"]}
    assert [name for name, field in fields.items() if field.get("secret")] == ["store_password"]
    assert kind["inputs"]["required"] == ["store"]
    given = {"store": "postgresql://awx@db/dr"}  # AWX leaves out an empty input
    env = {
        name: ImmutableSandboxedEnvironment().from_string(template).render(given)
        for name, template in kind["injectors"]["env"].items()
    }
    assert list(env) == [spec["fallback"][1][0] for spec in STORE_SPEC.values()]
    assert list(env.values()) == ["postgresql://awx@db/dr", ""]


def test_variables_with_all_inputs(inject, tmp_path):
    inputs = {"url": "https://em:9398", "username": USER, "password": PASSWORD, "ca_certificate": "PEM\n"}
    env = inject({**inputs, "skip_certificate_check": True}, tmp_path)
    path = env.pop("VEEAM_EM_CA_PATH")
    assert Path(path).read_text(encoding="utf-8") == "PEM\n"
    assert env == {
        "VEEAM_EM_URL": "https://em:9398",
        "VEEAM_EM_USERNAME": USER,
        "VEEAM_EM_PASSWORD": PASSWORD,
        "VEEAM_EM_VALIDATE_CERTS": "false",
    }


@pytest.mark.parametrize("more", [{}, {"ca_certificate": "", "skip_certificate_check": False}])
def test_variables_with_required_inputs_only(inject, tmp_path, more):
    env = inject({"url": "https://em:9398", "username": USER, "password": PASSWORD, **more}, tmp_path)
    assert env["VEEAM_EM_CA_PATH"] == ""
    assert env["VEEAM_EM_VALIDATE_CERTS"] == "true"


# Runs


@pytest.fixture
def session(awx):
    return awx.em.world.add_session(
        PLAN,
        state="Stopped",
        result="Failed",
        creation_time=awx.em.clock.now().isoformat(),
        tasks=[
            {"vm_name": "db", "result": "Success"},
            {"vm_name": "web", "result": "Failed", "failure_message": "no {{ memory }}"},
        ],
    )


def plain(value):
    """Newer versions of ansible-core print texts from outside as objects."""
    if isinstance(value, dict):
        if set(value) == {"__ansible_unsafe"}:
            return value["__ansible_unsafe"]
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def without_certificate(awx):
    """No certificate in the credential. That these runs succeed shows that an empty path is none, and no folder."""
    del awx.inputs["ca_certificate"]
    awx.env["REQUESTS_CA_BUNDLE"] = awx.em.ca_path


def test_a_job_with_module_and_lookup(awx, session, without_certificate):
    done = awx.job("report.yml")
    assert done.rc == 0, done.output
    [(dummy, read)] = done.results("Read the sessions of the last day")
    assert [(run["id"], run["result"]) for run in read["failover_sessions"]] == [(session.id, "Failed")]
    assert [task["vm_name"] for task in read["failover_sessions"][0]["tasks"]] == ["db", "web"]
    [(dummy, shown)] = done.results("Show the newest run of one plan")
    assert shown["msg"] == "ABC Company Failover Plan started at 2015-12-07T17:38:16.000000Z"
    assert awx.em.counters.logons == 2


def test_an_inventory_update_and_a_job_on_its_hosts(awx, session, without_certificate):
    updated = awx.update()
    assert updated.rc == 0, updated.output
    hosts = plain(updated.answer["_meta"]["hostvars"])
    seen = {name: host["veeam_result"] for name, host in hosts.items() if host["veeam_session"]["id"] == session.id}
    assert seen == {"db": "Success", "web": "Failed"}
    assert hosts["web"]["veeam_failure_message"] == "no {{ memory }}"
    assert updated.answer["veeam_success"]["hosts"] == ["db"]
    assert updated.answer["veeam_failed"]["hosts"] == ["web"]
    assert "filesrv03" in updated.answer["veeam_unknown"]["hosts"]  # taken from the plan of a documented session
    assert awx.em.counters.logons == 1

    awx.keep(updated.answer)
    done = awx.job("check_synced.yml", extra_vars={"failover_session_id": session.id})
    assert done.rc == 0, done.output
    shown = [(host, result["msg"]) for host, result in done.results("Show the result of the VM")]
    assert sorted(shown) == [("db", "Payroll: Success, "), ("web", "Payroll: Failed, no {{ memory }}")]
    assert awx.em.counters.logons == 1  # the job has asked nothing

    other = awx.job("check_synced.yml", extra_vars={"failover_session_id": UNKNOWN})
    assert other.rc != 0
    assert f"The inventory has no hosts of session {UNKNOWN}" in other.output


def test_a_session_through_a_workflow(awx, session):
    awx.em.world.add_session(PLAN, creation_time="2026-03-01T02:00:00Z", tasks=[{"vm_name": "old"}])
    found = awx.job("find_session.yml", extra_vars={"plan": PLAN})
    assert found.rc == 0, found.output
    assert found.artifacts == {"failover_session_id": session.id}

    done = awx.job("check_session.yml", extra_vars=found.artifacts)
    assert done.rc == 0, done.output
    shown = done.results("Show the result of the VM")
    assert [(host, result["msg"]) for host, result in sorted(shown)] == [("vm0", "db: Success"), ("vm1", "web: Failed")]


def test_a_workflow_without_its_session_stops(awx):
    done = awx.job("check_session.yml", extra_vars={"failover_session_id": UNKNOWN})
    assert done.rc != 0
    assert f"No VMs of session {UNKNOWN} are known" in done.output


# Failures

REFUSED = "Log on to Veeam Backup Enterprise Manager as DR\\robot failed: "


def test_a_job_with_a_wrong_password(awx, session):
    awx.inputs.update(password=f"{awx.secret}, but wrong", ca_certificate="", skip_certificate_check=True)
    done = awx.job("report.yml")
    assert done.rc != 0
    [failed] = [event["event_data"]["res"] for event in done.events if event["event"] == "runner_on_failed"]
    assert failed["error"]["kind"] == "auth"
    assert failed["msg"].startswith(REFUSED)
    assert REFUSED in done.output


def test_an_inventory_update_with_a_wrong_password(awx, session):
    awx.inputs["password"] = f"{awx.secret}, but wrong"  # the answer shows that the certificate is trusted
    updated = awx.update()
    assert updated.rc != 0
    assert updated.answer is None
    assert REFUSED in updated.output


# A job with progress


DRILL = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - ansible.builtin.include_role:
        name: dr_runbook.veeam_em.failover_run
      vars:
        failover_run_plan: Drill
        failover_run_poll_interval: 1
        failover_report_directory: "{{ playbook_dir }}/reports"
"""


def test_a_drill_in_a_job_shows_its_progress(awx):
    awx.em.world.add_plan(name="Drill", vms=[{"name": "db", "duration": 60}, {"name": "web", "duration": 200}])
    awx.em.clock.rate = 40
    awx.write("project/drill.yml", DRILL)
    awx.keep({"_meta": {"hostvars": {}}})
    done = awx.run(playbook="drill.yml")
    assert done.rc == 0, done.output
    assert "[Drill] test started: session" in done.output
    assert re.search(r"\[Drill\] .*2/2 VMs done, .*Stopped, result Success after", done.output), done.output
    # Lines are events of their own, so that AWX shows them while the task runs.
    assert [event for event in done.events if "VMs done" in event["stdout"] and event["event"] == "verbose"]
    assert sorted(path.suffix for path in (awx.private / "project" / "reports").iterdir()) == [
        ".csv",
        ".html",
        ".json",
        ".sha256",
        ".xml",
    ]
