# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets, interruption and concurrency, tried on real runs of ansible-playbook and ansible-inventory over TLS."""

from __future__ import annotations

import base64
import json
import os
import signal
import time

import programs
import pytest
from emulator import Emulator, User

USER = "robot"
PASSWORD = "S3cret-of-the-robot"
WRONG = "Wr0ng-of-the-robot"

PLAYBOOK = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - dr_runbook.veeam_em.failover_session_info:
        password: "{{ given | default(omit) }}"
      register: by_module
      when: front_end == 'module'
    - set_fact:
        by_lookup: "{{ query('dr_runbook.veeam_em.failover_session') }}"
        cacheable: true
      when: front_end == 'lookup' and given is not defined
    - set_fact:
        by_keyword: "{{ query('dr_runbook.veeam_em.failover_session', password=given) }}"
        cacheable: true
      when: front_end == 'lookup' and given is defined
    - debug:
        var: vars
        verbosity: 1
      when: given is not defined
"""
RUN = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - dr_runbook.veeam_em.failover_plan:
        plan: Acme run
        action: test
        poll_interval: 1
        password: "{{ given | default(omit) }}"
      register: by_run
    - set_fact:
        by_run: "{{ by_run }}"
        cacheable: true
"""
INVENTORY = """
plugin: dr_runbook.veeam_em.failover_session
retries: 0
cache: true
cache_plugin: jsonfile
cache_connection: {cache}
"""
CALLBACK = """
import json, os
from ansible.plugins.callback import CallbackBase

class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "keeper"
    CALLBACK_NEEDS_ENABLED = True

    def keep(self, result, **dummy):
        with open(os.environ["KEPT_RESULTS"], "a", encoding="utf-8") as kept:
            kept.write(json.dumps(result._result, default=str) + "\\n")

    v2_runner_on_ok = v2_runner_on_failed = v2_runner_on_skipped = keep
"""


@pytest.fixture(scope="module")
def em():
    with Emulator(
        sessions=6, tasks=2, running=0, tls=True, users=[User(USER, PASSWORD, "Portal Administrator")]
    ) as running:
        running.world.add_plan(
            "Acme run", [{"name": "db", "duration": 20}, {"name": "web", "duration": 40}], tenant="A"
        )
        yield running


@pytest.fixture
def plan(em):
    """The plan that is run; it is as new, and has no sessions."""
    found = next(plan for plan in em.world.plans if plan.name == "Acme run")
    for session in [session for session in em.world.sessions if session.name == found.name]:
        em.world.remove_session(session)
    em.world.change_plan(found, refuse={})
    return found


@pytest.fixture
def place(em, plan, tmp_path):
    """A folder with all that a run needs, and where all that it leaves behind is found."""
    em.reset()
    (tmp_path / "callbacks").mkdir()
    (tmp_path / "callbacks" / "keeper.py").write_text(CALLBACK)
    (tmp_path / "book.yml").write_text(PLAYBOOK)
    (tmp_path / "run.yml").write_text(RUN)
    (tmp_path / "dr.veeam_em.yml").write_text(INVENTORY.format(cache=tmp_path / "cache"))
    return tmp_path


def start(em, place, front_end, *options, **environment):
    """Start a front end as a user would, with options from the environment; its output is kept, errors included."""
    command = {
        "module": ["ansible-playbook", "book.yml", "-e", "front_end=module"],
        "lookup": ["ansible-playbook", "book.yml", "-e", "front_end=lookup"],
        "inventory": ["ansible-inventory", "-i", "dr.veeam_em.yml", "--list"],
        "run": ["ansible-playbook", "run.yml"],
    }[front_end]
    settings = {
        "VEEAM_EM_URL": em.url,
        "VEEAM_EM_CA_PATH": em.ca_path,
        "VEEAM_EM_USERNAME": USER,
        "VEEAM_EM_PASSWORD": PASSWORD,
        "VEEAM_EM_RETRIES": "0",
        "ANSIBLE_LOCAL_TEMP": str(place / "local"),
        "ANSIBLE_REMOTE_TEMP": str(place / "remote"),
        "ANSIBLE_LOG_PATH": str(place / "log"),
        "ANSIBLE_CALLBACK_PLUGINS": str(place / "callbacks"),
        "ANSIBLE_CALLBACKS_ENABLED": "keeper",
        "ANSIBLE_CACHE_PLUGIN": "jsonfile",
        "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(place / "facts"),
        "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "true",
        "KEPT_RESULTS": str(place / "results"),
        **environment,
    }
    return programs.started(
        [*command, *options], cwd=place, env=programs.ansible_environment(place / "home", **settings)
    )


def run(*arguments, **options):
    with start(*arguments, **options) as process:
        output = process.communicate(timeout=programs.TIMEOUT)[0]
        return process.returncode, output


def wait_for(condition):
    """Wait until something that must come has come."""
    until = time.monotonic() + programs.TIMEOUT
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


# Secrets


def secrets(em, *passwords):
    """Every secret in every form in which it could stand somewhere."""
    for password in passwords:
        yield password
        yield base64.b64encode(f"{USER}:{password}".encode()).decode()
    for request in em.requests:
        token = request.headers.get("x-restsvcsessionid")
        if token:
            yield token
            yield base64.b64decode(token).decode("latin-1")


def left_behind(place):
    """The text of every file in the folder, and its name."""
    for path in sorted(place.rglob("*")):
        if path.is_file():
            yield path.relative_to(place), path.read_text(encoding="utf-8", errors="replace")


AS_OPTION = "success, password as option"  # an inventory file has it where the user has put it
CASES = {
    "success": ({}, (), ""),
    AS_OPTION: ({"VEEAM_EM_PASSWORD": "unused"}, ("-e", f"given={PASSWORD}"), ""),
    "wrong password": ({"VEEAM_EM_PASSWORD": WRONG}, (), "HTTP 401"),
    "certificate refused": ({"VEEAM_EM_CA_PATH": ""}, (), "as ca_path"),
    "unreachable": ({"VEEAM_EM_URL": "https://localhost:1"}, (), "Connection refused"),
    "password in the URL": ({"VEEAM_EM_URL": f"https://{USER}:{PASSWORD}@localhost:1"}, (), "not in url"),
    "server error": ({}, (), "HTTP 500"),
    "refused": ({}, (), "accepted the request, but the task failed"),
}
USUAL = {
    "module": (AS_OPTION, "wrong password", "password in the URL", "server error"),
    "lookup": (AS_OPTION, "server error"),
    "inventory": ("success", "wrong password"),
    "run": (AS_OPTION, "refused"),
}
"""The cases of each run of the tests; the others are of the matrix."""
OF_A_RUN = ("success", AS_OPTION, "wrong password", "refused")


def cases():
    for front_end, usual in USUAL.items():
        for case in OF_A_RUN if front_end == "run" else CASES:
            if (case == "refused") <= (front_end == "run") and (front_end, case) != ("inventory", AS_OPTION):
                marks = () if case in usual else pytest.mark.matrix
                yield pytest.param(front_end, case, marks=marks)


@pytest.mark.parametrize(("front_end", "case"), list(cases()))
def test_no_secret_is_left_anywhere(em, plan, place, front_end, case):
    environment, options, words = CASES[case]
    if case == AS_OPTION:
        (place / "secret.json").write_text(json.dumps({"given": PASSWORD}))
        options = ("-e", f"@{place / 'secret.json'}")
    if case == "server error":
        # EM might say the secret itself.
        em.faults.add("status", status=500, path="/api/query", message=f"{USER}:{PASSWORD} is known to me")
    if case == "refused":
        em.world.change_plan(plan, refuse={"test": f"No points for {PASSWORD}"})
    em.clock.rate = 20
    code, output = run(em, place, front_end, "-vvvv", *options, **environment)
    em.clock.rate = 1
    (place / "secret.json").unlink(missing_ok=True)
    assert (code != 0) == bool(words), output[-2000:]
    assert words in " ".join(output.split())
    # At -vvv ansible-core prints where in its own code an error came up; what must not come is a traceback of ours.
    assert "Traceback (most recent call last)" not in output or "ansible_collections/dr_runbook" not in output
    sources = {"output": output, **{str(name): text for name, text in left_behind(place)}}
    if not words:
        assert len(sources) > 3, sources.keys()  # something was left behind, so that there was something to search
        assert front_end != "run" or "[Acme run] 2/2 VMs done" in output  # the live progress, which is searched too
        assert any("Acme" in text or "Borealis" in text for name, text in sources.items() if name != "output")
    for secret in secrets(em, PASSWORD, WRONG):
        for name, text in sources.items():
            assert secret not in text, f"{name} holds a secret"
    assert em.counters.live_logons == 0


# Interruption


@pytest.mark.parametrize(
    ("front_end", "number"),
    [
        ("module", signal.SIGTERM),
        ("lookup", signal.SIGINT),
        ("inventory", signal.SIGTERM),
        pytest.param("module", signal.SIGINT, marks=pytest.mark.matrix),
        pytest.param("lookup", signal.SIGTERM, marks=pytest.mark.matrix),
        pytest.param("inventory", signal.SIGINT, marks=pytest.mark.matrix),
    ],
)
def test_an_interruption_during_a_request_logs_off(em, place, front_end, number):
    """As from a terminal or a supervisor: the signal goes to the whole process group."""
    em.faults.add("slow_headers", seconds=programs.TIMEOUT, path="/api/query")
    with start(em, place, front_end, VEEAM_EM_TIMEOUT=str(programs.TIMEOUT)) as process:
        wait_for(lambda: any(request.path == "/api/query" for request in em.requests))
        assert em.counters.live_logons == 1
        os.killpg(process.pid, number)
        output = process.communicate(timeout=programs.TIMEOUT)[0]
    wait_for(lambda: not em.counters.live_logons)
    assert [request.status for request in em.requests if request.path == "/api/query"] == [None]  # nobody waited for it
    assert process.returncode != 0
    assert "Traceback" not in output
    em.faults.clear()


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.matrix)])
def test_an_interruption_of_a_wait_logs_off(em, place, number):
    with start(em, place, "run") as process:
        wait_for(lambda: any("/api/tasks/" in request.path for request in em.requests))
        em.clock.advance(10)  # EM's task has finished, and the run has not
        wait_for(lambda: any("/failoversessions/" in request.path.lower() for request in em.requests))
        assert em.counters.live_logons == 1
        os.killpg(process.pid, number)
        output = process.communicate(timeout=programs.TIMEOUT)[0]
    wait_for(lambda: not em.counters.live_logons)
    assert process.returncode != 0
    assert "Traceback" not in output
    assert len([request for request in em.requests if "cloudfailoverplans/" in request.path.lower()]) == 1


# Concurrency


def test_runs_at_once_do_not_disturb_each_other(em, place):
    em.latency_ms = 200  # so that they are there at the same time
    hosts = "".join(f"host{n}\n" for n in range(8))
    (place / "hosts").write_text(hosts)
    (place / "book.yml").write_text(
        """
- hosts: all
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - dr_runbook.veeam_em.failover_session_info:
      register: by_module
    - set_fact:
        by_lookup: "{{ query('dr_runbook.veeam_em.failover_session') }}"
    - assert:
        that:
          - by_lookup == by_module.failover_sessions
          - by_lookup | length == 11
          - by_lookup == hostvars.host0.by_module.failover_sessions
"""
    )
    code, output = run(em, place, "module", "-i", "hosts", "-f", "8")
    assert code == 0, output[-2000:]
    assert em.counters.logons == em.counters.logoffs == 16
    assert em.counters.max_live_logons > 1
    assert em.counters.live_logons == 0
