# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/troubleshooting.md has a section for each ``error.kind``, with a message as it is really printed."""

from __future__ import annotations

import re
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import advice as _advice
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import client as _client
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import errors as _errors
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import proxy as _proxy
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import names as _names
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._host_names import MAX_BYTES
from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils._plugin import UNDECRYPTABLE

REPO = Path(__file__).resolve().parents[3]
GUIDE = (REPO / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
SERVER = "em.example.com:9398"


@pytest.fixture(scope="module")
def plain_emulator():
    """In the place of the emulator of other tests: one with TLS, as users have it."""
    from emulator import Emulator

    with Emulator(documented=False, running=0, tls=True) as running:
        yield running


def kinds_in_code():
    """All values of ``error.kind``: those of the exceptions, and those that are written into a result."""

    def below(kind):
        return {kind.kind}.union(*(below(other) for other in kind.__subclasses__()))

    # Readiness has kinds, too: those of runs.
    files = [path for path in (REPO / "plugins").rglob("*.py") if "_readiness" not in path.parts]
    sources = [path.read_text(encoding="utf-8") for path in files]
    return below(_errors.EmError) - {""} | set(re.findall(r'"kind": "(\w+)"', "".join(sources)))


def test_each_kind_has_its_section():
    assert set(re.findall(r"^### `(\w+)`$", GUIDE, re.MULTILINE)) == kinds_in_code()


def test_each_kind_has_its_case():
    assert set(CASES) == kinds_in_code()


def info(em, **options):
    return "failover_session_info", options


def plan(em, refuse=None, **options):
    failure = {"result": "Failed", "failure_message": "Failed to power on: insufficient memory on host esx05"}
    em.world.add_plan(
        "ABC Company Failover Plan",
        [{"name": "filesrv03", "duration": 80}, {"name": "dbsrv01", "duration": 40, **failure}],
        id="3d1a5c94-6f0e-4ac5-9f3e-6bb0c1d6c7b2",
        tenant="ABC Company",
        backup_server="sp-vbr1.example.net",
        refuse=refuse or {},
    )
    return "failover_plan", {"plan": "ABC Company Failover Plan", "action": "test", **options}


def auth(em):
    return info(em, username=r"DR\robot", password="wrong")


def permission(em):
    return info(em, username="restricted")


def not_found(em):
    return plan(em, plan="ABC Company Failover")


def connection(em):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return info(em, url=f"https://127.0.0.1:{free.getsockname()[1]}")


def tls(em):
    return info(em, ca_path=None)


def timeout(em):
    em.faults.add("slow_headers", seconds=1.5, path="/api/query")
    return info(em, timeout=1, retries=0)


def protocol(em):
    em.faults.add("html")
    return info(em)


def server(em):
    em.faults.add("status", status=503, path="/api/query", message="The database is not available")
    return info(em)


def stale(em):
    em.clock.rate = 0
    em.clock.advance(1 - em.clock.now().microsecond / 1e6)  # EM says what time it is in whole seconds
    em.collecting.clear()
    em.collecting.add(creation_time=em.clock.now() - timedelta(minutes=47))
    return info(em, max_data_age="20m")


def ambiguous(em):
    other = {"id": "91f0c4a8-2c55-4d0c-a4d6-0d3a1d3ae6a1", "tenant": "Borealis", "backup_server": "sp-vbr2.example.net"}
    em.world.add_plan("ABC Company Failover Plan", ["web01"], **other)
    return plan(em)


def busy(em):
    em.world.add_session(name="ABC Company Failover Plan", backup_server="sp-vbr1.example.net", state="Working")
    return plan(em, action="undo")


def refused(em):
    return plan(em, refuse={"test": "There are no restore points of VM filesrv03"})


def superseded(em):
    over = {"name": "ABC Company Failover Plan", "backup_server": "sp-vbr1.example.net", "state": "Stopped"}
    session, _newer = em.world.add_session(**over), em.world.add_session(**over)
    return plan(em, action="undo", only_if_latest=session.id, known_sessions=[])


def in_doubt(em):
    em.faults.add("drop", method="POST", query="action=start")
    return plan(em, action="start")


def wait_timeout(em):
    return plan(em, wait_timeout=60)


def run_failed(em):
    return plan(em)


CASES = {
    case.__name__: case
    for case in (
        auth,
        permission,
        not_found,
        connection,
        tls,
        timeout,
        protocol,
        server,
        stale,
        ambiguous,
        busy,
        superseded,
        refused,
        in_doubt,
        wait_timeout,
        run_failed,
    )  # fmt: skip
}


def compared(text):
    """A message without what differs from run to run: ids, times, line numbers of libraries, where lines end."""
    for pattern, word in (
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
        (r" \(_ssl\.c:\d+\)", ""),
        (r"Port \d+ may", "Port N may"),
        (r"\s+", " "),
    ):
        text = re.sub(pattern, word, text)
    return text.strip()


MESSAGES = [compared(text) for text in re.findall(r"^```text\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)]


def test_each_message_of_the_page_is_compared_with_one_that_is_printed():
    # Besides the kinds, here: one about plans, three about values, one about the vault. And test_commands.py has the last three.
    assert len(MESSAGES) == len(CASES) + 1 + 3 + 1 + 3


def hints():
    """All that the code says of certificates, handshakes, ports, proxies and names."""
    url = "https://em.example.com:9398"
    yield from (_advice.certificate_hint(code, given) for code in range(1, 97) for given in (False, True))
    yield from map(_advice.host_hint, (["em2"], []))
    yield _advice.handshake_hint(url)
    yield from map(
        _advice.port_hint, ("https://em", "https://em:9399", "http://em:9398", "http://em:9399", "https://em:9443")
    )
    proxy = _proxy.Proxy("http://px:3128", "px:3128", frozenset(), "BYPASS")
    yield from map(proxy.hint, (0, 403, 407, 502))
    yield from (_names.did_you_mean("Acme", {name: "ID"}) for name in ("ACME", "Acme 2"))


def test_each_hint_has_its_row_and_each_row_is_a_hint():
    tables = re.findall(r"^\| Sentence says \|.*\n((?:\|.*\n)+)", GUIDE, re.MULTILINE)
    rows = [re.findall("`([^`]+)`", row.split("|")[1]) for table in tables[:3] for row in table.splitlines()[1:]]
    phrases = [phrase for row in rows for phrase in row]
    said = list(hints())
    assert len(phrases) > 25
    assert not [hint for hint in said if not any(phrase in hint for phrase in phrases)]
    sources = [(REPO / f"plugins/module_utils/_api/{name}.py").read_text() for name in ("transport", "proxy")]
    said += [re.sub(r'"\n\s+f?"', "", source) for source in sources]
    assert not [phrase for phrase in phrases if not any(phrase in hint for hint in said)]


@pytest.mark.parametrize("kind", CASES)
def test_the_message_is_the_one_that_is_printed(em, run_module, run_action, monkeypatch, unhurried, kind):
    monkeypatch.setattr(_client, "_sleep", lambda seconds: None)
    module, options = CASES[kind](em)
    run = (
        run_action if module == "failover_plan" else run_module
    )  # as Ansible does, where a module has an action plugin
    result = run(module, **{"ca_path": em.ca_path, "retries": 3, **options})
    assert result["error"]["kind"] == kind
    printed = re.sub(r"(127\.0\.0\.1|localhost):\d+", SERVER, result["msg"])
    print(printed)
    assert compared(printed) in MESSAGES


def test_the_message_about_plans_is_the_one_that_is_printed(em, run_module):
    result = run_module("failover_plan_info", ca_path=em.ca_path, username="reader")
    assert result["error"]["kind"] == "permission"
    assert compared(result["msg"].replace(em.url[8:], SERVER)) in MESSAGES


@pytest.mark.parametrize(
    "options",
    [{"url": "", "username": "", "password": ""}, {"password": "Passw0rd!\n"}, {"plan": 7}],
    ids=["not set", "line break", "not a text"],
)
def test_the_message_about_a_value_is_the_one_that_is_printed(run_module, options):
    result = run_module("failover_plan", **{"plan": "A", "action": "test", **options})
    assert compared(result["msg"]) in MESSAGES


def test_the_message_about_the_vault_is_the_one_that_is_printed():
    message = str(OptionError("veeam_em_password", "...", UNDECRYPTABLE))
    assert compared(message) in MESSAGES


def test_the_reasons_why_a_vm_gives_no_host_are_listed():
    code = "".join(
        (REPO / "plugins" / "plugin_utils" / name).read_text(encoding="utf-8")
        for name in ("_host_names.py", "_hosts.py")
    )
    reasons = re.findall(
        r'^    +return f?"([^"]+)"$|^(?:CONTROLLER|OF_OTHERS|LIKE_GROUPS|BAD_ADDRESS) = "([^"]+)"$', code, re.MULTILINE
    )
    assert len(reasons) == 11
    for reason in map("".join, reasons):
        assert f"`{reason.replace('{MAX_BYTES}', str(MAX_BYTES))}`" in GUIDE
