# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The recipes, run as they are printed: real playbooks against the emulator, with stand-ins for all other services."""

from __future__ import annotations

import base64
import configparser
import json
import re
import socketserver
import subprocess
import sys
from email import message_from_string
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from xml.etree import ElementTree

import programs
import pytest
import user_page
import yaml
from emulator import Behaviour, Emulator

REPO = Path(__file__).resolve().parents[3]
GUIDE = (REPO / "docs" / "recipes.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", GUIDE, re.MULTILINE | re.DOTALL))
BLOCK = re.compile(r"^```(?:yaml|ini)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILES = {text.split()[1]: text for text in BLOCK.findall(GUIDE)}
COMMANDS = [block.text for block in user_page.blocks("docs/recipes.md") if not block.language]
PLAN = "ABC Company Failover Plan"
HOSTILE = "web<b>&{{ 7 * 7 }}"
REASON = 'Not enough memory on "esx05" <&'
PROGRAM = """#!/bin/sh
{ printf '%s ' "$(basename "$0")" "$@"; echo; test "$(basename "$0")" = psql -o "$(basename "$0")" = dig || cat; } >>"$CALLS"
case "$(basename "$0")" in psql) echo " 1" ;; dig) echo 192.0.2.7 ;; esac
"""


def test_each_recipe_is_short_and_each_file_is_used_by_a_test():
    assert len(SECTIONS) >= 18
    lines = {title: sum(map(len, map(str.splitlines, BLOCK.findall(text)))) for title, text in SECTIONS.items()}
    assert {title: number for title, number in lines.items() if number > 40} == {}
    source = Path(__file__).read_text(encoding="utf-8")
    named = set(re.findall(r'"([\w.-]+\.(?:yml|service|timer))"', source))
    assert [name for name in set(FILES) - named if not any(name in command for command in COMMANDS)] == []
    parts = re.findall(r'shell\("(.*?)"\)', source)
    assert [command for command in COMMANDS if not any(part in command for part in parts)] == []


def shell(part):
    """The commands of the page with this part, for bash."""
    (text,) = [text for text in COMMANDS if part in text]
    return "bash", "-ec", text


@pytest.fixture(scope="module")
def plain_emulator():
    """What the fixture em of all tests gives here."""
    with Emulator(documented=False, sessions=0, clock_rate=120, behaviour=Behaviour(collect_days=1)) as running:
        yield running


class _Web(BaseHTTPRequestHandler):
    """Teams, Slack, ServiceNow, a store of files, CyberArk and a tenant's web page: what each was sent."""

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.requests.append((self.command, self.path, self.headers, body))
        status, answer = 200, {}
        if "/api/now/" in self.path:
            status, answer = 201, {"result": {"sys_id": "9d385017c611228701d22104cc95c371"}}
        elif self.path.startswith("/AIMWebService"):
            answer = {"Content": "Passw0rd!"}
        elif self.path == "/teams":
            status = 202
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = _answer

    def log_message(self, *arguments):
        pass


class _Mail(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 mail.example.com\r\n")
        while line := self.rfile.readline():
            word = line.split()[0].upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                self.server.requests.append(b"".join(iter(self.rfile.readline, b".\r\n")).decode())
            self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")


@pytest.fixture
def web():
    with user_page.serving(_Web) as server:
        server.requests = []
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.of = lambda path: [(headers, body) for dummy, at, headers, body in server.requests if path in at]
        yield server


@pytest.fixture
def mail():
    with user_page.serving(_Mail, socketserver.ThreadingTCPServer) as server:
        server.requests = []
        yield server


@pytest.fixture
def calls(tmp_path):
    """The calls of programs that stand in for those of the recipes, with their input."""
    (tmp_path / "bin").mkdir()
    for name in ("zabbix_sender", "psql", "dig", "nsupdate"):
        (tmp_path / "bin" / name).write_text(PROGRAM)
        (tmp_path / "bin" / name).chmod(0o755)
    return (tmp_path / "calls").read_text


@pytest.fixture
def recipe(em, tmp_path, web):
    """Save all files of the page and run a command in their folder."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)

    def call(*command, user="admin", **settings):
        environment = programs.ansible_environment(
            tmp_path / "home",
            VEEAM_EM_URL=em.url,
            VEEAM_EM_USERNAME=user,
            VEEAM_EM_PASSWORD="Passw0rd!",
            VEEAM_EM_STORE=str(tmp_path / "history.db"),
            PATH=f"{tmp_path}/bin:{Path(sys.executable).parent}:{programs.os.environ['PATH']}",
            CALLS=str(tmp_path / "calls"),
            TEAMS_WEBHOOK=f"{web.url}/teams",
            SLACK_WEBHOOK=f"{web.url}/slack",
            ONCALL_WEBHOOK=f"{web.url}/oncall",
            UPLOAD_URL=f"{web.url}/upload",
            SN_HOST=web.url,
            SN_USERNAME="dr",
            SN_PASSWORD="secret",
            **settings,
        )
        return programs.run(list(command), cwd=tmp_path, env=environment)

    return call


def targets(folder, **more):
    path = folder / "targets.yml"
    folders = {"failover_report_directory": "reports"}
    variables = {"failover_run_plan": PLAN, "failover_run_poll_interval": 1, **folders, **more}
    path.write_text(yaml.safe_dump(variables))


def add_plan(em, name=PLAN, **failed):
    vms = [{"name": "db01", "duration": 20}, {"name": HOSTILE, "duration": 20, **failed}]
    return em.world.add_plan(name, vms, tenant="ABC Company")


def test_after_a_drill(em, recipe, tmp_path, web, mail, calls):
    assert yaml.safe_load(FILES["after-drill.yml"])[1]["tasks"][0]["loop"] == [
        *("teams-slack.yml", "mail.yml", "servicenow.yml", "sign.yml", "zabbix.yml")
    ]
    add_plan(em, result="Failed", failure_message=REASON)
    targets(tmp_path)
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(keys), "--batch"]
    subprocess.run([*gpg, "--passphrase", "", "--quick-gen-key", "dr@example.com", "ed25519"], check=True)
    try:
        port = mail.server_address[1]
        done = recipe(*shell("after-drill.yml"), GNUPGHOME=str(keys), SMTP_URL=f"smtp://127.0.0.1:{port}")
        assert done.returncode == 2, done.output
        headline = f"Drill of {PLAN} DID NOT PASS"
        assert headline in done.output and "UNREACHABLE" not in done.output
        (manifest,) = tmp_path.glob("reports/*.sha256")
        subprocess.run([*gpg, "--verify", f"{manifest}.asc", str(manifest)], check=True)
    finally:
        subprocess.run(["gpgconf", "--homedir", str(keys), "--kill", "all"], check=True)
    subprocess.run(["sha256sum", "-c", manifest.name], cwd=manifest.parent, check=True)

    ((dummy, teams),) = web.of("/teams")
    card = json.loads(teams)["attachments"][0]["content"]["body"]
    assert card[0]["text"] == headline and "memory" in card[1]["text"]
    ((dummy, slack),) = web.of("/slack")
    assert json.loads(slack)["text"].startswith(headline) and "<b>" not in json.loads(slack)["text"]

    (message,) = [message_from_string(text) for text in mail.requests]
    text, report = message.get_payload()
    page = manifest.with_suffix(".html").read_bytes()
    assert message["Subject"] == headline and "memory" in text.get_payload()
    assert report.get_payload(decode=True) == page

    (asked, incident), (attached, content) = web.of("/api/now/")
    assert json.loads(incident)["short_description"] == headline
    assert asked["Authorization"] == "Basic " + base64.b64encode(b"dr:secret").decode()
    assert content == page and attached["Content-Type"] == "text/html"

    uploaded = {path.rpartition("/")[2]: body for method, path, dummy, body in web.requests if method == "PUT"}
    assert uploaded[manifest.name] == manifest.read_bytes() and len(uploaded) == 6
    assert "zabbix_sender --zabbix-server zabbix.example.com --input-file - " in calls()
    assert "dr failover.passed 0\ndr failover.seconds 2" in calls()

    (junit,) = manifest.parent.glob("*.xml")
    failed = {
        case.get("name")
        for case in ElementTree.parse(junit).getroot().iter("testcase")
        if case.find("failure") is not None
    }
    assert HOSTILE in failed and "db01" not in failed
    pipeline = yaml.safe_load(FILES[".gitlab-ci.yml"])["drill"]
    assert pipeline["artifacts"]["reports"]["junit"] == "reports/*.xml"
    assert pipeline["script"] == ["ansible-playbook after-drill.yml -e @targets.yml"]


def test_after_a_real_failover(em, recipe, tmp_path, web, calls):
    em.world.add_plan(
        PLAN,
        [
            {"name": "db01", "duration": 20},
            {"name": "mail01", "duration": 20, "result": "Failed", "failure_message": REASON},
        ],
        tenant="ABC Company",
    )
    inventory = (REPO / "docs" / "inventory.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"^```yaml\n(# runbook\.veeam_em\.yml\n.*?)^```$", inventory, re.MULTILINE | re.DOTALL)
    (tmp_path / "runbook.veeam_em.yml").write_text(f"{text}name: {PLAN}\ncreated_after: 4h\n")
    folder = tmp_path / "group_vars"
    folder.mkdir()
    (folder / "plan_ABC_Company_Failover_Plan.yml").write_text(
        "{tenant_dns: 192.0.2.99, public_name: www.abc.example, public_address: 192.0.2.7, ansible_connection: local}"
    )
    targets(tmp_path, failover_run_confirm=PLAN)
    assert {"app-checks.yml", "dns-switch.yml", "recover.yml"} <= set(FILES)
    done = recipe(
        *shell("after-failover.yml"),
        http_proxy=web.url,  # the names of the VMs lead to the stand-in
        no_proxy="127.0.0.1",
    )
    assert done.returncode == 0, done.output
    assert [request[1] for request in web.requests if "health" in request[1]] == ["http://db01.dr.example.com/health"]
    assert "psql --host db01.dr.example.com --username probe" in calls()
    assert "dig +short db01.dr.example.com @192.0.2.99" in calls()
    assert "update add www.abc.example. 60 A 192.0.2.7\nsend" in calls()
    ((dummy, oncall),) = web.of("/oncall")
    assert json.loads(oncall) == {
        "vm": "mail01",
        "plan": PLAN,
        "reason": REASON,
        "step": "free memory on the host, then retry the VM in the console",
    }


def test_several_plans(em, recipe):
    for name, failed in (("ABC Company DR drill", {"result": "Failed"}), ("ABC Company small site", {})):
        add_plan(em, name, **failed)
    assert "include_tasks: one-plan.yml" in FILES["plans.yml"] and "one-plan.yml" in FILES
    settings = '{"failover_run_report": false, "failover_run_poll_interval": 1}'
    done = recipe("ansible-playbook", "plans.yml", "-e", settings)
    assert done.returncode == 2, done.output
    assert "ABC Company DR drill: " in done.output
    assert "; ABC Company small site: not tested" in done.output, done.output
    assert [run.action for run in em.runs] == ["test"]


def test_several_ems_and_their_passwords(em, recipe, tmp_path, web):
    em.world.add_session("Acme", tasks=[{"vm_name": "db01"}])
    text = FILES["managers.yml"]
    for old, new in {
        "https://em1.example.com:9398": em.url,
        "https://em2.example.com:9398": "http://127.0.0.1:1",
        "DR\\robot": "reader",
        "{{ vault_em1_password }}": "{{ veeam_em_password_of_em1 }}",
        "{{ vault_em2_password }}": "S3cret-of-em2",
    }.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "managers.yml").write_text(text)
    # The password of the EM that answers comes from a vault: the page's expressions, and a collection that stands in for Vault's.
    plugin = tmp_path / "collections/ansible_collections/community/hashi_vault/plugins/lookup/vault_kv2_get.py"
    plugin.parent.mkdir(parents=True)
    plugin.write_text(
        "from ansible.plugins.lookup import LookupBase\n"
        "class LookupModule(LookupBase):\n"
        "    def run(self, terms, variables=None, **options):\n"
        "        assert (terms, options) == (['dr/em'], {'engine_mount_point': 'secret'})\n"
        "        return [{'secret': {'password': 'Passw0rd!'}}]\n"
    )
    for name in ("password.yml", "password-cyberark.yml"):
        assert "\nveeam_em_password: " in FILES[name]
        text = FILES[name].replace("veeam_em_password", "veeam_em_password_of_em1")
        (tmp_path / name).write_text(text.replace("https://ccp.example.com", web.url))
        command = [part.replace("@password.yml", f"@{name}") for part in shell("@password.yml")]
        done = recipe(
            *command,
            ANSIBLE_COLLECTIONS_PATH=f"{programs.COLLECTIONS}:{tmp_path}/collections",
            ANSIBLE_VERBOSITY="3",
        )
        assert done.returncode == 2
        assert re.search(r"em1 +: ok=2 .* failed=0", done.output), done.output
        assert re.search(r"em2 +: ok=0 .* failed=1", done.output)
        assert "127.0.0.1:1 cannot be reached" in done.output
        assert "S3cret-of-em2" not in done.output and "Passw0rd!" not in done.output


@pytest.fixture
def recorded(em, run_module, tmp_path):
    """A history with one run that passed and one that did not."""
    add_plan(em)
    em.world.add_session(PLAN, result="Success", tasks=[{"vm_name": "db01", "result": "Success"}])
    run_module("failover_history", url=em.url, store=str(tmp_path / "history.db"))


def test_from_the_history(recorded, recipe, tmp_path, web):
    done = recipe("ansible-playbook", "overdue.yml")
    assert done.returncode == 0, done.output
    ((dummy, slack),) = web.of("/slack")
    assert json.loads(slack)["text"].splitlines()[:2] == ["Plans to test: 1", f"{PLAN}: unproven"]
    settings = (
        FILES["policy.yml"]
        .replace("/var/lib/dr/readiness", "portfolio")
        .replace("/var/lib/node_exporter", str(tmp_path))
    )
    (tmp_path / "policy.yml").write_text(settings)
    (tmp_path / "textfile").mkdir()
    done = recipe(*shell("@policy.yml"))
    assert done.returncode == 0, done.output
    assert f'plan="{PLAN}"' in (tmp_path / "textfile/veeam_em.prom").read_text()
    assert (tmp_path / "portfolio/portfolio.html").exists()
    (tmp_path / "your-runbook.yml").write_text(
        "[{hosts: succeeded, gather_facts: false, tasks: [{debug: {var: ansible_host}}]}]"
    )
    command = [part.replace("/var/lib/dr", str(tmp_path)) for part in shell("your-runbook.yml")]
    done = recipe(*command, user="nobody")
    assert "@succeeded" in done.output and '"ansible_host": "db01.dr.example.com"' in done.output, done.output


def test_the_gate(recorded, recipe):
    done = recipe("ansible-playbook", "gate.yml")
    assert done.returncode == 2
    assert f"{PLAN} is unproven" in done.output, done.output


def test_awx_accepts_the_schedules():
    options = yaml.safe_load((REPO / "tests/unit/extensions/awx_options.yml").read_text(encoding="utf-8"))["schedule"]
    configure = "".join(path.read_text(encoding="utf-8") for path in (REPO / "extensions/awx").rglob("*.yml"))
    for task in yaml.safe_load(FILES["awx-schedules.yml"])[0]["tasks"]:
        given = task["awx.awx.schedule"]
        assert set(given) <= set(options)
        assert given["unified_job_template"] in configure
        assert re.fullmatch(r"DTSTART;TZID=[\w/]+:\d{8}T\d{6} RRULE:(\w+=\w+;?)+", given["rrule"])


def test_the_units_of_systemd():
    units = {}
    for name in ("failover-drill.service", "failover-drill.timer"):
        units[name] = configparser.ConfigParser(strict=False, interpolation=None)
        units[name].optionxform = str
        units[name].read_string(FILES[name])
    command = units["failover-drill.service"]["Service"]["ExecStart"].split()
    assert (REPO / "playbooks" / f"{command[1].rpartition('.')[2]}.yml").exists()
    assert units["failover-drill.timer"]["Timer"]["OnCalendar"] == "Sat *-*-01..07 06:00"
