# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the checkout importable as the collection, and gives the tests an emulator to talk to."""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings

REPO = Path(__file__).resolve().parents[2]
ROOT = REPO / ".ansible" / "collections"

for folder in (
    REPO / "tests",
    REPO / "tests" / "unit",
):  # for the package "emulator" and the modules beside this file
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

# The same few examples each time, however slow the machine is. HYPOTHESIS_PROFILE=matrix, as in make matrix, tries more of them;
# HYPOTHESIS_PROFILE=large many more, and others each time.
settings.register_profile(
    "quick", max_examples=40, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.register_profile("matrix", settings.get_profile("quick"), max_examples=200)
settings.register_profile("large", settings.get_profile("quick"), max_examples=3000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "quick")

# A shell ignores Ctrl-C for what it runs in the background, and so would the tests and all that they start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "ansible_collections" not in REPO.parts:  # under ansible-test the tree is already in place
    from ansible.plugins.loader import init_plugin_loader

    link = ROOT / "ansible_collections" / "dr_runbook" / "veeam_em"
    if not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(REPO, link.parent), target_is_directory=True)
    init_plugin_loader([str(ROOT)])


@pytest.fixture(scope="session", autouse=True)
def temporary_folder(tmp_path_factory):
    """Temporary files of the code under test, such as its locks, do not gather in the machine's folder for them."""
    folder = str(tmp_path_factory.mktemp("tmp"))
    before = tempfile.tempdir, os.environ.get("TMPDIR")
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    yield
    tempfile.tempdir = before[0]
    if before[1] is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = before[1]


@pytest.fixture(scope="session")
def postgres():
    """One PostgreSQL server for all tests of a worker; it starts with the first test that asks for it."""
    import postgres_server

    with postgres_server.running() as server:
        yield server


@pytest.fixture(scope="session")
def plain_emulator():
    """One emulator on plain HTTP for all tests of a worker; it starts once. Its generated sessions have all ended.

    It lists the data collection jobs of one day: those of 30 days, which it lists otherwise, take most of the time of a
    test that records a history.
    """
    from emulator import Behaviour, Emulator

    with Emulator(documented=False, running=0, behaviour=Behaviour(collect_days=1)) as running:
        yield running


def _join_prefetch():
    """Wait for the requests that an abandoned reading had sent ahead: they must not count in another test."""
    from programs import TIMEOUT

    for thread in threading.enumerate():
        if thread.name.startswith("veeam_em prefetch"):
            thread.join(TIMEOUT)


@pytest.fixture
def em(plain_emulator):
    """The emulator, emptied: no sessions, no faults, default behaviour, counters at zero."""
    plain_emulator.reset(sessions=0)
    yield plain_emulator
    plain_emulator.faults.clear()
    _join_prefetch()


@pytest.fixture
def idle_em(em):
    """The emulator when it has answered what earlier tests did not wait for, so that counters tell of one test only."""
    from programs import TIMEOUT

    _join_prefetch()
    until = time.monotonic() + TIMEOUT
    while em.counters.in_flight and time.monotonic() < until:
        time.sleep(0.02)
    em.reset(sessions=0)
    return em


@pytest.fixture
def connect(em):
    """Make a client for the emulator; keyword arguments replace options."""
    from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.client import EnterpriseManager

    def make(**options):
        return EnterpriseManager(
            **{"url": em.url, "username": "reader", "password": "Passw0rd!", "retries": 0, **options}
        )

    return make


@pytest.fixture
def unhurried(em, monkeypatch):
    """The time-out counts only for what the emulator is told to answer slowly, since a busy machine can make all else slow."""
    from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.transport import Transport
    from programs import TIMEOUT

    plain = Transport.send

    def send(self, method, url, operation, headers, timeout, body=b""):
        parts = urlsplit(url)
        slow = {"slow_headers", "slow_body"} & em.faults.due(method, parts.path, parts.query)
        return plain(self, method, url, operation, headers, timeout if slow else TIMEOUT, body)

    monkeypatch.setattr(Transport, "send", send)


@pytest.fixture
def fake_clock(em, monkeypatch):
    """Time that passes only where a wait sleeps: for the code under test and for the emulator alike.

    ``fake_clock.at(seconds, call)`` has something happen at that time; ``fake_clock.now`` is the time; ``fake_clock.slept`` the pauses.
    """
    from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import clock

    class FakeClock:
        now = 0.0

        def __init__(self):
            self.slept = []
            self.events = []

        def at(self, seconds, call):
            self.events.append((seconds, call))
            self.events.sort(key=lambda event: event[0])

        def sleep(self, seconds):
            assert seconds >= 0
            self.slept.append(seconds)
            until = self.now + seconds
            while self.events and self.events[0][0] <= until:
                when, call = self.events.pop(0)
                self._pass(max(0.0, when - self.now))
                call()
            self._pass(until - self.now)

        def _pass(self, seconds):
            self.now += seconds
            em.clock.advance(seconds)

    time = FakeClock()
    em.clock.rate = 0
    monkeypatch.setattr(clock, "sleep", time.sleep)
    monkeypatch.setattr(clock, "monotonic", lambda: time.now)
    return time


# Front ends in this process, so that tests can hold the clock


@contextmanager
def _arguments(params):
    from ansible.module_utils import basic

    try:
        from ansible.module_utils.testing import patch_module_args
    except ImportError:  # ansible-core 2.18 and older
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": params}).encode()
        yield
        basic._ANSIBLE_ARGS = None
    else:
        with patch_module_args(params):
            yield


@pytest.fixture
def module_arguments():
    """A context in which a module finds these parameters, as Ansible would give them."""
    return _arguments


@pytest.fixture
def run_module(em, capsys, monkeypatch):
    """Run a module as Ansible does; returns what it prints, with its warnings. ``None`` takes an option away."""
    from ansible.module_utils import basic
    from ansible_collections.dr_runbook.veeam_em.plugins.module_utils import _module

    for name in list(_module.CONNECTION_SPEC):
        monkeypatch.delenv(f"VEEAM_EM_{name.upper()}", raising=False)

    warnings = []
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda module, warning: warnings.append(warning))

    def call(module, check_mode=False, **options):
        warnings.clear()
        given = {"url": em.url, "username": "admin", "password": "Passw0rd!", "retries": 0, **options}
        params = {name: value for name, value in given.items() if value is not None}
        main = importlib.import_module(f"ansible_collections.dr_runbook.veeam_em.plugins.modules.{module}").main
        with _arguments({**params, "_ansible_check_mode": check_mode}), pytest.raises(SystemExit):
            main()
        said = [warning for warning in warnings if "clear text" not in warning]
        return {**json.loads(capsys.readouterr().out), **({"warnings": said} if said else {})}

    return call


@pytest.fixture
def undecryptable():
    """A value of Ansible Vault as ansible-core reads it, without a password that it could be decrypted with."""
    from ansible.parsing import vault
    from ansible.parsing.dataloader import DataLoader

    if hasattr(vault, "VaultSecretsContext") and vault.VaultSecretsContext.current(optional=True) is None:
        vault.VaultSecretsContext.initialize(vault.VaultSecretsContext(secrets=[]))
    return DataLoader().load("value: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3163\n", "/vars.yml")["value"]


@pytest.fixture
def displayed_lines(monkeypatch):
    """What action plugins show."""
    from ansible_collections.dr_runbook.veeam_em.plugins.plugin_utils import _progress

    shown = []

    def display(line, stderr):
        assert stderr
        shown.append(line)

    monkeypatch.setattr(_progress._display, "display", display)
    return shown


@pytest.fixture
def run_action(em, run_module, displayed_lines, fake_clock, monkeypatch):
    """Run an action plugin; ``run_action.runs`` are the modules that it ran, as name and options."""

    def call(name, check_mode=False, no_log=False, async_val=0, task_until=(), task_retries=None, **options):
        module = importlib.import_module(f"ansible_collections.dr_runbook.veeam_em.plugins.action.{name}")
        task = SimpleNamespace(
            args=options,
            async_val=async_val,
            check_mode=check_mode,
            no_log=no_log,
            until=list(task_until),
            retries=task_retries,
            action=f"dr_runbook.veeam_em.{name}",
            diff=False,
        )
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/nowhere"), has_native_async=False)
        plugin = module.ActionModule(task, connection, SimpleNamespace(), None, None, None)

        def execute(module_name, module_args=None, task_vars=None, wrap_async=False):
            given = options if module_args is None else module_args
            call.runs.append((module_name.rpartition(".")[2], dict(given)))
            call.wrapped = wrap_async
            if call.before:
                call.before.pop(0)()
            result = run_module(module_name.rpartition(".")[2], check_mode=check_mode, **given)
            fake_clock.sleep(call.cost)
            return result

        monkeypatch.setattr(plugin, "_execute_module", execute)
        call.runs = []
        return plugin.run(task_vars={})

    call.cost = 2
    call.before = []
    return call


@pytest.fixture
def no_proxy(monkeypatch):
    """The environment names no proxy, whatever the machine's own settings are."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def socks_proxy(no_proxy, monkeypatch):
    """The environment names a SOCKS proxy, and its library is missing; gives what is said of it for em.example.com."""
    from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import proxy

    monkeypatch.setattr(proxy, "find_spec", lambda name: None)
    monkeypatch.setenv("all_proxy", "socks5://bob:s3cret@px.example.com:1080")
    return "proxy: 'socks5://px.example.com:1080' cannot be used. .*PySocks.*no_proxy=em.example.com"


@pytest.fixture(scope="session")
def role():
    """The expressions of the role failover_run."""
    from role import Role

    return Role()


@pytest.fixture
def proxy(no_proxy, monkeypatch):
    """A proxy of the environment that passes requests on until ``refuses`` is set, and counts what it refuses, log offs aside."""

    class Handler(BaseHTTPRequestHandler):
        def pass_on(self):
            if proxy.refuses:
                proxy.refused += self.command != "DELETE"
                self.send_error(407)
                return
            url = urlsplit(self.path)
            with closing(HTTPConnection(url.netloc)) as connection:
                connection.request(self.command, f"{url.path}?{url.query}", headers=dict(self.headers))
                reply = connection.getresponse()
                body = reply.read()
            self.send_response(reply.status)
            for name in ("X-RestSvcSessionId", "Date"):
                if name in reply.headers:
                    self.send_header(name, reply.headers[name])
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = pass_on

        def log_message(self, *dummy):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as proxy:
        proxy.refuses, proxy.refused = False, 0
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
        yield proxy
        proxy.shutdown()
