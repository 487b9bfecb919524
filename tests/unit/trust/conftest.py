# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The three front ends that read, behind one function, and what is checked and recorded after each run."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleLookupError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.module_utils import basic
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import inventory_loader, lookup_loader
from ansible.template import Templar
from ansible.utils.display import Display
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import client
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._argspec import CONNECTION_SPEC
from ansible_collections.dr_runbook.veeam_em.plugins.modules import failover_session_info

REPO = Path(__file__).resolve().parents[3]
RESULTS = REPO / "build" / "fault-matrix"
NAME = "dr_runbook.veeam_em.failover_session"

# Lookup and inventory cannot return error.kind, so their sentence must say it: exactly one of these fits.
KINDS = {
    "auth": r"HTTP 401\b",
    "permission": r"HTTP 403\b",
    "not_found": r"HTTP 404\b",
    "connection": r"cannot be reached|broke off the connection",
    "timeout": r"did not answer completely within \d+ seconds",
    "protocol": (
        r"HTTP 2\d\d but|redirects are not followed|which is not a list of|without anything new|"
        r"keep moving from page to page|all of them are empty"
    ),
    "server": r"HTTP (?:400|5\d\d)\b",
}


@dataclass
class Outcome:
    """The result of a run.

    :ivar vms: session id and VM name of each VM found, the name None for a session without VMs (which an inventory
        does not show); None after a failure.
    :ivar kind: ``error.kind``, or what the sentence says if there is none; None after a success.
    :ivar text: everything that the user could see.
    :ivar facts: the sessions by their ids.
    """

    vms: list[tuple[str, str | None]] | None
    kind: str | None
    sentence: str
    warnings: list[str]
    seconds: float
    text: str
    facts: dict[str, dict] = field(default_factory=dict)


@dataclass
class RecordedSleeps:
    """Replaces the pauses between attempts, so that none takes time."""

    seconds: list[float] = field(default_factory=list)
    in_the_first: Callable[[], None] | None = None

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        happens, self.in_the_first = self.in_the_first, None
        if happens:
            happens()


@pytest.fixture
def recorded_sleeps(monkeypatch):
    recorded = RecordedSleeps()
    monkeypatch.setattr(client, "_sleep", recorded)
    return recorded


def _kind(sentence: str) -> str:
    fitting = [kind for kind, pattern in KINDS.items() if re.search(pattern, sentence)]
    assert len(fitting) == 1, f"{fitting or 'no kind'}: {sentence}"
    return fitting[0]


def _vms_of(sessions):
    return [
        (session["id"], name)
        for session in sessions
        for name in ([task["vm_name"] for task in session["tasks"]] or [None])
    ]


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, module_arguments):
    """Run a front end in this process, as Ansible does. An error that a user should not see comes through as it is."""
    for name in CONNECTION_SPEC:
        monkeypatch.delenv(f"VEEAM_EM_{name.upper()}", raising=False)
    warnings: list[str] = []
    monkeypatch.setattr(Display(), "warning", warnings.append)
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda module, warning: warnings.append(warning))

    def module(options):
        with module_arguments(options), pytest.raises(SystemExit):
            start = time.monotonic()
            try:
                failover_session_info.main()
            finally:
                seconds = time.monotonic() - start
        text = capsys.readouterr().out
        result = json.loads(text)
        if result.get("failed"):
            kind = result["error"]["kind"]
            assert kind == _kind(result["msg"])
            return Outcome(None, kind, result["msg"], list(warnings), seconds, text)
        sessions = result["failover_sessions"]
        assert result["missing_ids"] == []
        facts = {session["id"]: session for session in sessions}
        return Outcome(_vms_of(sessions), None, "", list(warnings), seconds, text, facts)

    def lookup(options):
        loader = DataLoader()
        plugin = lookup_loader.get(NAME, loader=loader, templar=Templar(loader=loader, variables={}))
        start = time.monotonic()
        try:
            sessions = plugin.run([], variables={}, **options)
        except AnsibleLookupError as exc:
            return failed(exc, start)
        seconds = time.monotonic() - start
        facts = {session["id"]: session for session in sessions}
        return Outcome(_vms_of(sessions), None, "", list(warnings), seconds, str(sessions), facts)

    def inventory(options):
        path = tmp_path / "veeam_em.yml"
        path.write_text(yaml.safe_dump({"plugin": NAME, **options}), encoding="utf-8")
        plugin = inventory_loader.get(NAME)
        data = InventoryData()
        start = time.monotonic()
        try:
            plugin.parse(data, DataLoader(), str(path), cache=False)
        except AnsibleParserError as exc:
            assert not data.hosts
            return failed(exc, start)
        seconds = time.monotonic() - start
        variables = [host.vars for host in data.hosts.values()]
        vms = [(host["veeam_session"]["id"], host["veeam_vm_name"]) for host in variables]
        facts = {host["veeam_session"]["id"]: host["veeam_session"] for host in variables}
        return Outcome(vms, None, "", list(warnings), seconds, str(variables), facts)

    def failed(exc, start):
        sentence = str(exc)
        return Outcome(None, _kind(sentence), sentence, list(warnings), time.monotonic() - start, sentence)

    front_ends = {"module": module, "lookup": lookup, "inventory": inventory}

    def call(front_end: str, **options) -> Outcome:
        warnings.clear()
        outcome = front_ends[front_end](options)
        outcome.text = "\n".join([outcome.text, *outcome.warnings])
        assert "Traceback" not in outcome.text
        return outcome

    return call


# A drill


@dataclass
class Drill:
    """What a drill came to: the result of the test, what the role knows of it, its decision, the result of the undo."""

    test: dict
    seen: dict | None = None
    wanted: bool = False
    undo: dict | None = None


@pytest.fixture
def drill(role, run_module):
    """A drill as the role makes it; ``call`` runs the module or the action plugin.

    ``between`` happens when the run was read for the last time, and ``before_undo`` when the role has decided.
    """

    def nothing():
        pass

    def do(call, action="test", undo_test="auto", between=nothing, before_undo=nothing, **options):
        done = Drill(call("failover_plan", plan="Acme", action=action, **options))
        between()
        if not done.test.get("failover_session") or done.test["already_running"]:
            return done
        done.seen = role.seen(done.test, action)
        if action == "test" and undo_test != "never" and done.seen["session"]["finished"]:
            read = run_module("failover_session_info", id=done.seen["session"]["id"], replica_points=True)
            done.seen = role.read_again(done.seen, read)
        done.wanted = role.wants_undo(done.seen, undo_test)
        if done.wanted:
            before_undo()
            latest = {"only_if_latest": done.seen["session"]["id"], "known_sessions": done.seen["known_sessions"]}
            done.undo = call("failover_plan", plan="Acme", action="undo", **latest, **options)
        return done

    return do


# After a run


@pytest.fixture(scope="session")
def other_host():
    """An emulator that must not get a request."""
    from emulator import Emulator

    with Emulator(documented=False, sessions=0) as running:
        yield running


@pytest.fixture
def wait_until_settled():
    """Wait until an emulator is done with slow requests whose client has gone: they take effect nevertheless."""

    def wait(em, seconds):
        until = time.monotonic() + seconds
        while any(record.status is None for record in em.requests) and time.monotonic() < until:
            time.sleep(0.02)

    return wait


@pytest.fixture
def secrets():
    """All secrets that an emulator has received or holds, in every form."""

    def found(em):
        headers = [record.headers for record in em.requests]
        tokens = {sent["x-restsvcsessionid"] for sent in headers if "x-restsvcsessionid" in sent}
        tokens |= {logon.token for logon in em.logons.live()}
        basics = {sent["authorization"].partition(" ")[2] for sent in headers if "authorization" in sent}
        passwords = {base64.b64decode(basic).decode().partition(":")[2] for basic in basics}
        return {*tokens, *(base64.b64decode(token).decode() for token in tokens), *basics, *passwords} - {""}

    return found


@pytest.fixture
def keep_row():
    """Record an outcome for tools/fault_matrix.py, in the folder of its table."""

    def write(table, number, fault, front_end, outcome, seconds):
        row = {"number": number, "fault": fault, "front_end": front_end, "outcome": outcome}
        (RESULTS / table).mkdir(parents=True, exist_ok=True)
        path = RESULTS / table / f"{number:03}-{front_end}.json"
        path.write_text(json.dumps({**row, "seconds": round(seconds, 4)}) + "\n", encoding="utf-8")

    return write
