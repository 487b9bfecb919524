# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs and inventory updates by ansible-runner, with the files, variables and arguments that AWX gives them.

What AWX does is taken from its source (24.6.1): inject_credential in awx/main/models/credential.py, RunInventoryUpdate and RunJob in
awx/main/tasks/jobs.py, safe_dump in awx/main/utils/safe_yaml.py.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import programs
import pytest
import yaml
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils import _module
from jinja2.sandbox import ImmutableSandboxedEnvironment

REPO = Path(__file__).resolve().parents[3]
ROOT = Path(_module.__file__).absolute().parents[5]
CREDENTIAL_TYPE = yaml.safe_load((REPO / "extensions" / "awx" / "credential_type.yml").read_text(encoding="utf-8"))
SNIPPETS = {
    name: text
    for text, name in re.findall(
        r"^```yaml\n(# (\S+)\n.*?)^```$", (REPO / "docs" / "awx.md").read_text(encoding="utf-8"), re.M | re.S
    )
}

SECRET = "S3cr3tPart"
# Nothing on the way may read it as a template, or as text for a shell.
PASSWORD = f"{SECRET}{{{{ 7 * 7 }}}}'\"$HOME\u00fc"
USER = "DR\\robot"
RUN = "import ansible_runner, json, sys; sys.exit(ansible_runner.run(**json.load(sys.stdin)).rc)"
# What AWX sets for inventory updates: STANDARD_INVENTORY_UPDATE_ENV in awx/main/constants.py.
UPDATE_ENV = {
    "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
    "ANSIBLE_INVENTORY_EXPORT": "True",
    "ANSIBLE_VERBOSE_TO_STDERR": "True",
    "ANSIBLE_HOST_PATTERN_MISMATCH": "error",
}


class _Unsafe(yaml.SafeDumper):
    """Marks each text, so that Ansible does not take it for a template."""

    def represent_data(self, data: Any) -> yaml.Node:
        return self.represent_scalar("!unsafe", data) if isinstance(data, str) else super().represent_data(data)


def _inject(inputs, private):
    """The files and the variables that AWX makes of a credential."""
    names = {name: value for name, value in inputs.items() if value != ""}
    for field in CREDENTIAL_TYPE["inputs"]["fields"]:
        if field["type"] == "boolean":
            names.setdefault(field["id"], False)
    injectors = CREDENTIAL_TYPE["injectors"]
    sandbox = ImmutableSandboxedEnvironment()
    (private / "env").mkdir(exist_ok=True)
    handle, path = tempfile.mkstemp(dir=private / "env")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(sandbox.from_string(injectors["file"]["template"]).render(**names))
    names["tower"] = SimpleNamespace(filename=path)
    return {name: sandbox.from_string(template).render(**names) for name, template in injectors["env"].items()}


@pytest.fixture(scope="session")
def snippets():
    """The files of docs/awx.md, by the names in their first lines."""
    return SNIPPETS


@pytest.fixture
def inject():
    return _inject


@dataclass
class Done:
    """What has come of a job or an update.

    :ivar output: what AWX shows, as words with single spaces.
    :ivar answer: of an update, the inventory.
    """

    rc: int
    output: str
    events: list[dict[str, Any]]
    answer: Any = None

    def results(self, task):
        """What a task has returned, by host and item."""
        data = [event["event_data"] for event in self.events if event["event"] in ("runner_on_ok", "runner_item_on_ok")]
        return [(item["host"], item["res"]) for item in data if item["task"] == task]

    @property
    def artifacts(self):
        """What AWX hands to the next nodes of a workflow."""
        stats = [event["event_data"] for event in self.events if event["event"] == "playbook_on_stats"]
        return stats[0].get("artifact_data", {}) if stats else {}


class Awx:
    """The private data directory of an AWX job with a credential, and what AWX runs in it."""

    secret = SECRET

    def __init__(self, em, private, env, issued):
        self.em = em
        self.env = env
        self.private = private
        self.issued = issued
        self.snippets = SNIPPETS
        self.inputs = {
            "url": em.url,
            "username": USER,
            "password": PASSWORD,
            # Whoever pastes it may leave out the last line feed.
            "ca_certificate": Path(em.ca_path).read_text(encoding="utf-8").strip(),
        }

    def write(self, name, text):
        path = self.private / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def use_checkout(self):
        """The repository of the collection as the project."""
        (self.private / "project").mkdir(exist_ok=True)
        (self.private / "project" / "playbooks").symlink_to(REPO / "playbooks", target_is_directory=True)

    def secrets(self):
        basic = base64.b64encode(f"{USER}:{self.inputs['password']}".encode()).decode()
        return {SECRET, basic, *(logon.token for logon in self.issued)}

    def run(self, *, playbook=None, args=None, env=None):
        if args:
            self.write("args", " ".join(args))
        options = {"private_data_dir": str(self.private), "playbook": playbook, "ident": "7"}
        artifacts = self.private / "artifacts" / "7"
        shutil.rmtree(artifacts, ignore_errors=True)
        # In a process of its own, as ansible-runner forks, and the emulator's thread is in this one.
        run = programs.run(
            [sys.executable, "-c", RUN],
            json.dumps({**options, "suppress_env_files": True, "quiet": True}),
            env={**self.env, **_inject(self.inputs, self.private), **(env or {})},
        )
        secrets = self.secrets()
        assert not [secret for secret in secrets if secret in run.output]
        for file in artifacts.rglob("*"):
            if file.is_file() and file.name != "command":  # there ansible-runner itself keeps the whole environment
                content = file.read_text(encoding="utf-8", errors="replace")
                assert not [secret for secret in secrets if secret in content], file
        output = (artifacts / "stdout").read_text(encoding="utf-8")
        output = re.sub(r"\x1b\[[0-9;]*m", "", output)
        assert "Traceback" not in output
        # A worker of a busy machine may still be logging off: ansible-playbook waits half a second for it.
        until = time.monotonic() + 600
        while self.em.counters.live_logons and time.monotonic() < until:
            time.sleep(0.02)
        assert self.em.counters.live_logons == 0
        events = [json.loads(file.read_text(encoding="utf-8")) for file in (artifacts / "job_events").glob("*.json")]
        words = re.sub(r"\s+", " ", output).replace("\\\\", "\\")
        return Done(run.returncode, words, events)

    def job(self, name, *, extra_vars=None, safe_vars=None):
        """A job template with a playbook of docs/awx.md, or one of the project.

        :arg extra_vars: AWX marks them, so that Ansible does not take them for templates.
        :arg safe_vars: those of the template itself, which may hold templates.
        """
        if name in SNIPPETS:
            self.write(f"project/{name}", SNIPPETS[name])
        lines = [yaml.safe_dump({key: value}) for key, value in (safe_vars or {}).items()]
        lines += [yaml.dump({key: value}, Dumper=_Unsafe) for key, value in (extra_vars or {}).items()]
        self.write("env/extravars", "".join(lines) or "{}\n")
        if not (self.private / "inventory").exists():
            self.keep({"_meta": {"hostvars": {}}})
        return self.run(playbook=name)

    def update(self, path=None, source_vars=None):
        """An update of an inventory source: that of docs/awx.md, or a file of the project."""
        if path is None:
            path = "dr/veeam_em.yml"
            self.write(f"project/{path}", SNIPPETS[path])
        source = self.private / "project" / path
        answer = self.private / "output.json"
        answer.unlink(missing_ok=True)
        args = ["ansible-inventory", "--list", "--export", "-i", str(source), "--output", str(answer)]
        done = self.run(
            args=[*args, "--playbook-dir", str(source.parent), "-vvv"], env={**UPDATE_ENV, **(source_vars or {})}
        )
        (self.private / "args").unlink()
        done.answer = json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else None
        return done

    def keep(self, answer):
        """The inventory of later jobs, which AWX writes as a script."""
        text = json.dumps(answer)
        self.write("inventory/hosts", f"#!{sys.executable}\nprint({text!r})\n").chmod(0o700)


@pytest.fixture(scope="module")
def tls_em():
    from emulator import Behaviour, Emulator, User

    users = [User(USER, PASSWORD, "Portal Administrator")]
    with Emulator(documented=True, sessions=0, tls=True, users=users, behaviour=Behaviour(collect_days=1)) as running:
        yield running


@pytest.fixture
def awx(tls_em, tmp_path, monkeypatch):
    from emulator.logons import Logons

    # Of this process's environment nothing goes in but what finds Python and Ansible.
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LC_ALL": "C.UTF-8",
        "TMPDIR": os.environ["TMPDIR"],
        "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",  # for jobs too
        "ANSIBLE_COLLECTIONS_PATH": f"{tmp_path / 'collections'}:{ROOT}",
    }
    issued = []
    log_on = Logons.log_on

    def recorded(self, user):
        issued.append(log_on(self, user))
        return issued[-1]

    monkeypatch.setattr(Logons, "log_on", recorded)
    tls_em.reset(sessions=0)
    private = tmp_path / "private"
    private.mkdir()
    return Awx(tls_em, private, env, issued)
