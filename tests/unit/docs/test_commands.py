# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every code block of the pages for users is run as it is printed, or compared with what is real; test_recipes.py does it for the recipes.

Shell lines run in bash, playbooks against the emulator, installations from a stand-in for Galaxy, SQL in PostgreSQL. Programs that no test
can use are stand-ins (user_page.STAND_INS), whose arguments are checked. A block that nothing has taken fails the test of its page.
All of it takes six minutes of a processor: make test runs the quick start and the page on inventories, make matrix every page.
"""

from __future__ import annotations

import configparser
import importlib
import json
import os
import re
import shlex
import shutil
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import postgres_server
import programs
import pytest
import user_page
import yaml
from emulator import Behaviour, Emulator, User

REPO = user_page.REPO
PLAN = "ABC Company Failover Plan"
PLAYBOOK = "ansible-playbook "
VMS = [{"name": "filesrv03", "duration": 20}, {"name": "dbsrv01", "duration": 20}]


@pytest.fixture(scope="module")
def plain_emulator():
    """What the fixture em of all tests gives here."""
    users = [User(name, user_page.PASSWORD) for name in ("admin", *user_page.USERS)]
    options = {"documented": True, "drill": True, "sessions": 0, "tls": True, "clock_rate": 120, "users": users}
    with Emulator(**options, behaviour=Behaviour(collect_days=1)) as running:
        yield running


@pytest.fixture
def open_page(em, tmp_path):
    """The page, which has to be done at the end of the test."""
    opened = []

    def call(name, **environment):
        folder = tmp_path / "page"
        folder.mkdir()
        opened.append(user_page.Page(name, folder, em, **environment))
        return opened[0]

    yield call
    for page in opened:
        counts = ", ".join(f"{number} {how}" for how, number in page.counts().items() if number)
        print(f"{page.name}: {counts}")


DURATION = re.compile(r"\d+ (?:h|min|s)\b(?: \d+ (?:min|s)\b)*")


def like(sample, output):
    """Whether a sample is in the output, all but words with digits, durations, and dots for what is left out."""
    words = [r"\S*" if re.search(r"\d", word) else re.escape(word) for word in DURATION.sub("1s", sample).split()]
    return re.search(r'[\s",]+'.join(words).replace(r"\.\.\.", ".*"), DURATION.sub("1s", output))


def add_plan(em, **failed):
    """The plan of most pages, whose VMs come up in seconds, in the place of the documented one."""
    for plan in [plan for plan in em.world.plans if plan.name == PLAN]:
        em.world.remove_plan(plan)
    return em.world.add_plan(PLAN, [VMS[0], {**VMS[1], **failed}], tenant="ABC Company")


def targets(page, plan=PLAN, **more):
    """The file of the quick start, which other pages use."""
    (block,) = [block for block in user_page.blocks("docs/quick-start.md") if block.name == "targets.yml"]
    content = {**yaml.safe_load(block.text), "failover_run_plan": plan, "failover_run_poll_interval": 1, **more}
    if plan == PLAN:
        content["failover_run_targets"] = {"rto": "5m", "rpo": "4h", "required_vms": [VMS[0]["name"]]}
    page.write("targets.yml", yaml.safe_dump(content))


def unit(text):
    """The sections of a unit of systemd."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read_string(text)
    return parser


def started(text):
    """The command that a unit of systemd starts, without its folder."""
    command = unit(text)["Service"]["ExecStart"]
    return command.rpartition("/bin/")[2] + "\n"


def test_each_page_has_its_test():
    source = Path(__file__).read_text(encoding="utf-8")
    with_blocks = {page for page in user_page.pages() if user_page.blocks(page)}
    assert with_blocks - {"docs/recipes.md"} <= set(re.findall(r'"([\w./-]+\.(?:md|rst))"', source))


def test_each_target_of_make_exists():
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    text = "".join((REPO / page).read_text(encoding="utf-8") for page in user_page.pages())
    named = set(re.findall(r"(?:^|[`&] ?)make ([a-z][a-z-]*)", text, re.MULTILINE))
    assert {"demo", "setup", "emulator"} <= named <= targets


CLI = {"ansible": "adhoc.AdHocCLI", "ansible-playbook": "playbook.PlaybookCLI", "ansible-doc": "doc.DocCLI"}
CLI.update(
    {
        "ansible-inventory": "inventory.InventoryCLI",
        "ansible-galaxy": "galaxy.GalaxyCLI",
        "ansible-vault": "vault.VaultCLI",
    }
)


def test_commands_within_sentences_have_options_and_names_that_exist():
    names = {
        path.stem for folder in ("plugins", "playbooks", "extensions/eda") for path in (REPO / folder).rglob("*.*")
    }
    names |= {path.name for path in (REPO / "roles").iterdir()} | {"NAME", "all"}
    parsed = 0
    for page in user_page.pages():
        text = (REPO / page).read_text(encoding="utf-8")
        assert set(re.findall(r"(?<![\w.])dr_runbook\.veeam_em\.(\w+)(?!\.\w)", text)) <= names, page
        for command in re.findall(r"(?<!`)`(ansible(?:-\w+)? -?\w[^`]*)`(?!`)", text):
            program, *arguments = shlex.split(command.replace("-t TYPE", "-t lookup"))
            if program in CLI and arguments != ["create"]:
                module, name = CLI[program].split(".")
                cli = getattr(importlib.import_module(f"ansible.cli.{module}"), name)([program, *arguments])
                cli.init_parser()
                cli.parser.parse_args([*arguments, *(["a.yml"] if program == "ansible-playbook" else [])])
                parsed += 1
    assert parsed > 15


@pytest.mark.matrix
def test_the_guide_on_galaxy(em, open_page):
    page = open_page("docs/docsite/rst/guide.rst")
    add_plan(em)
    page.save("Show the newest run of each plan", "newest.yml")
    page.write("targets.yml", page.take("failover_run_plan"))
    page.run("read -rsp", typed=f"{user_page.PASSWORD}\n")
    output = page.bash(f"ansible-playbook newest.yml -e vault_veeam_em_password={user_page.PASSWORD}")
    assert f"{PLAN}: Success" in output
    drill = page.take("dr_runbook.veeam_em.drill").strip()
    assert f"{drill}\n" in REPO.joinpath("docs/quick-start.md").read_text(encoding="utf-8")  # where it runs
    page.bash(f"{drill} --check")
    assert page.left() == []


@pytest.mark.matrix
def test_the_readme(em, open_page, tmp_path):
    page = open_page("README.md", CHECKOUT=str(user_page.copy_of_checkout(tmp_path / "checkout")))
    add_plan(em)
    output = page.run("make demo")
    assert "The portfolio of the made-up plans" in output
    checkout = page.cwd
    assert list(checkout.glob("build/demo-re*/*.html")) and checkout.name == "veeam_em"

    installed = page.folder / "home/.ansible/collections/ansible_collections/dr_runbook/veeam_em"
    installed.unlink()
    page.run("collection build")
    with user_page.galaxy(*checkout.glob("build/*.tar.gz")) as url:
        page.environment["ANSIBLE_GALAXY_SERVER"] = url
        shutil.rmtree(installed)
        page.run("python3 -m pip install")
        assert (installed / "MANIFEST.json").exists()
        shutil.rmtree(installed)
        page.save("collections:", "requirements.yml")
        page.cwd = page.folder
        page.bash("ansible-galaxy collection install -r requirements.yml")

    page.run("read -rsp", typed=f"{user_page.PASSWORD}\n")
    em.world.add_session("Acme", tasks=[{"vm_name": "db01"}])
    page.save("last 24 hours", "sessions.yml")
    assert "Acme: " in page.bash("ansible-playbook sessions.yml")
    assert f"Test of plan {PLAN} passed" in page.run("dr_runbook.veeam_em.drill")
    assert page.left() == []


def test_the_quick_start(em, open_page):
    page = open_page("docs/quick-start.md")
    user_page.copy_of_checkout(page.folder / "checkout")
    page.cwd = page.folder / "checkout"
    (page.folder / "checkout/.cache/tls").mkdir(parents=True)
    shutil.copy(em.ca_path, page.folder / "checkout/.cache/tls/ca.pem")
    shutil.copy(em.ca_path, page.folder / "checkout/em.pem")
    page.run("make setup")
    page.run("read -rsp", typed=f"{user_page.PASSWORD}\n")
    page.run(".cache/tls/ca.pem")
    page.cwd = page.folder

    em.world.add_session("Acme", result="Failed", tasks=[{"vm_name": "db01", "result": "Failed", "duration": 1}])
    em.clock.advance(60)
    output = page.run("-m dr_runbook.veeam_em.failover_session_info")
    sample = page.take("localhost | SUCCESS", "checked")
    keys = re.findall(r'"\w+":', sample)
    assert keys == re.findall(r'"\w+":', output)[: len(keys)]
    assert [line for line in sample.splitlines() if not re.search(r'": [\d"]', line)][0] in output
    output = page.run("ansible-playbook sessions.yml")
    assert "Acme: Stopped, Failed" in output and "db01: no reason given" in output

    page.write("targets.yml", page.take("# targets.yml") + "failover_run_poll_interval: 1\n")
    output = page.run("drill -e @targets.yml --check")
    assert "Test of plan ABC Company DR drill passed" in output
    assert len(list(page.folder.glob("reports/*.html"))) == 1
    output = page.run("dr_runbook.veeam_em.readiness")
    assert re.search("1 ready", output), output
    assert (page.folder / "portfolio/portfolio.html").exists()

    output = page.run("openssl s_client")
    assert "DNS:localhost" in output and "sha1 Fingerprint=" in output.replace("SHA1", "sha1")
    page.take("# group_vars/all/veeam_em.yml")
    shutil.copy(em.ca_path, page.write("/etc/ssl/em-ca.pem", ""))
    variables = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    play = [{"hosts": "all", "gather_facts": False, "connection": "local", "vars": variables, "tasks": []}]
    play[0].update(yaml.safe_load(page.take("module_defaults:")))
    play[0]["tasks"].append({"dr_runbook.veeam_em.failover_session_info": {"limit": 1}})
    page.write("kept.yml", yaml.safe_dump(play))
    given = f"env -u VEEAM_EM_URL -u VEEAM_EM_CA_PATH ansible-playbook -i localhost, kept.yml -e vault_veeam_em_password={user_page.PASSWORD}"
    assert "ok=1" in page.bash(given)
    assert page.left() == []


@pytest.mark.matrix
def test_drill_and_report(em, open_page):
    page = open_page("docs/drill.md")
    add_plan(em)
    targets(page, "ABC Company DR drill")
    page.environment["VEEAM_EM_STORE"] = str(page.folder / "history.db")
    check, drill = page.take("-e failover_report_change_id=CHG0042").splitlines()
    assert check in REPO.joinpath("docs/quick-start.md").read_text(encoding="utf-8")  # where it runs
    output = page.bash(drill)
    assert like(page.take("RTO met", "checked"), output), output
    del page.environment["VEEAM_EM_STORE"]

    targets(page, failover_run_report=False)
    page.save("Fail over FOR REAL", "own.yml")
    policy = {"failover_readiness_policy": {"plans": [{"match": "*", "test_every": "90d", "retest_within": "30d"}]}}
    page.write("people.yml", page.take("failover_report_approved_by") + yaml.safe_dump(policy))
    before = f"""\
- dr_runbook.veeam_em.failover_session_info: {{name: {PLAN}, limit: 1, replica_points: true}}
  register: newest
- dr_runbook.veeam_em.failover_plan_info: {{name: {PLAN}}}
  register: known
- ansible.builtin.set_fact:
    failover_session: "{{{{ newest.failover_sessions[0] }}}}"
    failover_sessions: "{{{{ newest.failover_sessions }}}}"
    failover_plan: "{{{{ known.failover_plans[0] }}}}"
"""
    parts = ["recovery plan", "what became of the targets", "Show which runs did not pass", "left out"]
    parts += ["whoever started it", "goes into a ticket", "Page the team"]
    play = page.play("fragments.yml", before, *parts)
    output = page.bash(f"ansible-playbook own.yml verdict.yml {play} report.yml -e @people.yml")
    assert '"msg": "Passed"' in output, output
    assert '"msg": "RTO and RPO met"' in output, output
    (report,) = page.folder.glob("build/reports/*.html")
    said = report.read_text(encoding="utf-8")
    assert "Grace Hopper" in said and "Ada Lovelace" in said and "By the policy" in said

    named = "20151207T173816Z-abc-company-failover-plan-5d0c1f3a"
    text = page.take("chromium", "stand-in").replace(f"/srv/reports/{named}", str(report.with_suffix("")))
    page.bash(text)
    assert page.calls == [
        ["chromium", "--headless", "--no-pdf-header-footer", "--print-to-pdf=report.pdf", report.as_uri()]
    ]
    page.cwd = page.folder / "build"
    output = page.run("sha256sum -c", **{named: report.stem})
    assert output.count(": OK") >= 8
    page.cwd = page.folder
    assert "It is identical" in page.bash(f"ansible-playbook again.yml -e report={report.with_suffix('')}")
    assert page.left() == []


@pytest.mark.matrix
def test_a_real_failover(em, open_page):
    page = open_page("docs/failover.md")
    add_plan(em)
    targets(page)
    page.environment["ANSIBLE_STDOUT_CALLBACK"] = "default"
    assert f'"name": "{PLAN}"' in page.run("failover_plan_info")
    output = page.run("--check </dev/null", typed=f"{PLAN}\n")
    assert "A real failover needs failover_run_confirm" in output
    assert f"Start of plan {PLAN} passed" in output or "failed=0" in output, output
    (run,) = [run for run in em.runs if run.action == "start"]
    assert "point Failover, result Success" in page.bash("ansible-playbook what-is-up.yml")
    before = [session.id for session in em.world.sessions if session.name == PLAN and session.id != run.session_id]
    ids = {"475420ee-d045-4493-9869-0a970e08f6f9": run.session_id}
    ids['"15db3c3b-b561-4115-a3e3-24a7bfc50c35"'] = json.dumps(before)[1:-1]
    output = page.run("ansible-playbook undo.yml", **ids)
    assert f"The undo of session {run.session_id} is done." in output
    play = page.play("test.yml", "", "Test the plan and wait")
    page.bash(f"ansible-playbook {play}")
    assert [run.action for run in em.runs] == ["start", "undo", "test"]
    assert page.left() == []


@pytest.mark.matrix
def test_the_history(em, open_page, postgres):
    page = open_page("docs/history.md")
    folder = page.write("/var/lib/dr/empty", "").parent
    add_plan(em)
    console = em.world.add_session(
        PLAN,
        creation_time="2026-03-02T08:00:00Z",
        result="Success",
        tasks=[{"vm_name": "filesrv03", "result": "Success"}],
    )
    output = page.run("export VEEAM_EM_STORE=$PWD")
    sample = re.sub(
        r"points \d+, ", "", page.take("Recorded: look", "checked")
    )  # the emulator has none of this plan yet
    assert like(sample, output), output
    output = page.bash(f"ansible-playbook kind.yml -e session={console.id} -e kind=test")
    assert "changed=1" in output, output
    for part in ("ExecStart=", "OnCalendar=hourly"):
        assert unit(page.take(part, "checked")).sections()[0] == "Unit"
    assert started(page.take("ExecStart=")) in page.take("export VEEAM_EM_STORE=$PWD")

    before = (
        f"- dr_runbook.veeam_em.failover_plan: {{plan: {PLAN}, action: test, poll_interval: 1}}\n  register: tested\n"
    )
    play = page.play("fragments.yml", before, "Record the test and its result", "Read all runs of the last year")
    page.bash(f"ansible-playbook record.yml {play} -e vault_veeam_em_password={user_page.PASSWORD}")
    assert (folder / "history.jsonl").exists()
    assert "filesrv03" in page.bash("ansible-inventory -i rehearsal.veeam_em.yml --graph")
    page.cwd = folder
    body = json.loads((folder / "history.jsonl").read_text(encoding="utf-8").splitlines()[17])
    assert body["digest"] in page.run("jq -j")
    page.cwd = page.folder
    assert "records hold" in page.bash(f"python3 check_history.py {folder}/history.jsonl")

    postgres.execute("DROP DATABASE IF EXISTS dr")
    postgres.execute("CREATE ROLE dr_owner LOGIN CREATEDB CREATEROLE")
    try:
        page.replaced["db.example.com"] = postgres.folder
        page.environment["PATH"] += f":{postgres_server.binaries()}"
        shutil.copy(REPO / "extensions/history/postgresql.sql", page.folder)
        page.run("createdb", piped="secret\nsecret\n")
        page.environment["VEEAM_EM_STORE"] = f"postgresql://awx@/dr?host={postgres.folder}"
        page.bash("ansible-playbook dr_runbook.veeam_em.history")
        page.write("query.sql", page.take("SELECT s.plan"))
        assert "filesrv03" in page.bash("psql 'host=db.example.com dbname=dr user=awx' -f query.sql")
        (grafana,) = [
            block.text for block in user_page.blocks("docs/readiness.md") if "CREATE ROLE grafana" in block.text
        ]
        postgres.execute(grafana, "dr", "dr_owner")
        assert postgres.execute("SELECT count(*) FROM newest_session", "dr", "grafana")[0][0] > 0
    finally:
        postgres.execute("DROP DATABASE dr WITH (FORCE)")
        postgres.execute("DROP ROLE grafana, awx")
        postgres.execute("DROP OWNED BY dr_owner; DROP ROLE dr_owner, history_writer")
    assert page.left() == []


@pytest.mark.matrix
def test_readiness(em, open_page):
    page = open_page("docs/readiness.md")
    folder = page.write("/var/lib/dr/empty", "").parent
    page.write("/srv/dr/empty", "")
    page.write("/var/lib/node_exporter/textfile/empty", "")
    page.bash(
        f"PYTHONPATH={REPO}/tests:{programs.COLLECTIONS} python3 {REPO}/tools/demo_history.py {folder}/history.db"
    )
    before = """\
- dr_runbook.veeam_em.failover_history_info: {store: /var/lib/dr/history.db}
  register: history
- ansible.builtin.set_fact:
    policy: {plans: [{match: "*", test_every: 365d}]}
"""
    judged = [
        "Judge by a policy",
        "Fail if a plan failed or is overdue",
        "Create the page of all plans",
        "a page for each tenant",
    ]
    gates = [
        "Look up all plans that the change touches",
        "'Acme Web', policy=policy).status",
        "selectattr('name', 'eq'",
    ]
    play = page.play("fragments.yml", before, *judged, "Write the metrics", *gates)
    page.environment["VEEAM_EM_STORE"] = str(folder / "history.db")
    output = page.bash(f"ansible-playbook readiness.yml {play}", status=2)
    assert "Acme ERP: failed" in output
    metrics = page.path("/var/lib/node_exporter/textfile/veeam_em.prom").read_text(encoding="utf-8")
    rules = yaml.safe_load(page.take("FailoverPlanNotReady", "checked"))["groups"][0]["rules"]
    used = set(re.findall(r"veeam_em_\w+", "".join(rule["expr"] for rule in rules)))
    assert used and used <= set(re.findall(r"^(veeam_em_\w+)", metrics, re.MULTILINE))
    assert "CREATE ROLE grafana" in page.take("CREATE ROLE grafana")  # test_the_history runs it

    output = page.run("ansible-playbook dr_runbook.veeam_em.readiness", status=2)
    sample = page.take("12 plans at", "checked")
    counts = r"\d+ plans at [\d-]+ [\d:]+ UTC: (?:\d+ [a-z ]+(?:, )?)+\. Test next: Acme ERP\."
    for line in (counts, r"Portfolio: \S+/[\dTZ]+-portfolio\.html", r"Not ready: Acme ERP \(failed\)"):
        assert re.search(line, sample) and re.search(line, output), line
    assert page.left() == []


def test_inventory_and_lookup(em, open_page):
    page = open_page("docs/inventory.md")
    session = em.world.add_session(
        PLAN,
        result="Failed",
        tasks=[{"vm_name": "db01", "result": "Failed", "failure_message": "no memory", "duration": 1}],
    )
    em.clock.advance(60)
    assert "db01" in page.run("ansible-inventory -i veeam_em.yml")
    output = page.run("-i session.veeam_em.yml", status=2, **{"475420ee-d045-4493-9869-0a970e08f6f9": session.id})
    assert "db01: no memory" in output and "db01 has failed" in output
    page.write("runbook.veeam_em.yml", page.take("# runbook.veeam_em.yml") + page.take("cache: true"))
    play = page.play("once.yml", "", "Read once")
    output = page.bash(f"ansible-inventory -i runbook.veeam_em.yml --graph && ansible-playbook newest_run.yml {play}")
    assert "@plan_ABC_Company_Failover_Plan" in output and '"msg": "Failed"' in output
    assert list(page.folder.glob("home/.cache/veeam_em_inventory/*"))
    assert page.left() == []


class Health(BaseHTTPRequestHandler):
    """The application on a VM."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"ready")

    def log_message(self, *arguments):
        pass


def awx_modules(folder):
    """An artifact of awx.awx 24.6.1 whose modules, here actions, check and keep their options."""
    code = """\
import json, os
from ansible.plugins.action import ActionBase
class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        dummy, options = self.validate_argument_spec(argument_spec={spec!r})
        with open(os.environ["CALLS"], "a") as file:
            file.write("awx.awx.{name}\\n" + str(options.get("name")) + "\\n\\n")
        return {{"changed": True}}
"""
    options = yaml.safe_load((REPO / "tests/unit/extensions/awx_options.yml").read_text(encoding="utf-8"))
    files = {f"plugins/action/{name}.py": code.format(spec=spec, name=name) for name, spec in options.items()}
    return user_page.artifact(folder, "awx", "awx", "24.6.1", files)


@pytest.mark.matrix
def test_awx(em, open_page, tmp_path):
    page = open_page("docs/awx.md")
    add_plan(em)
    page.save("failover_history_store: postgresql", "history.yml")
    with user_page.galaxy(awx_modules(tmp_path)) as url:
        page.environment["ANSIBLE_GALAXY_SERVER"] = url
        more = " -e @notifications.yml -e @history.yml -e vault_slack_token=secret\n"
        configure = page.take("CONTROLLER_OAUTH_TOKEN").rstrip() + more
        page.bash(configure, typed=f"token\n{user_page.PASSWORD}\n")
    kinds = [call[0].rpartition(".")[2] for call in page.calls]
    assert {"credential", "job_template", "workflow_job_template", "notification_template", "schedule"} <= set(kinds)

    page.environment["VEEAM_EM_PASSWORD"] = user_page.PASSWORD
    shutil.copy(REPO / "playbooks/inventory/drill.veeam_em.yml", page.folder)
    with user_page.serving(Health) as health:
        port = health.server_port
        reached = {"ansible_host": "127.0.0.1", "health_port": port, "failover_check_timeout": 5}
        page.write(
            "group_vars/all.yml", yaml.safe_dump({**reached, "failover_check_tasks": f"{page.folder}/checks/web.yml"})
        )
        by_hand = page.take("drill_run").splitlines()
        page.bash(by_hand[0])
        (run,) = em.runs
        em.run_by_others(PLAN, "start")
        em.clock.advance(120)
        started = em.runs[-1].session_id
        known = (
            "\n".join(by_hand[1:]).replace("475420ee-d045-4493-9869-0a970e08f6f9", started).replace("[22]", f"[{port}]")
        )
        output = page.bash(known)
    assert "filesrv03" in output and list(page.path("/srv/failover-reports").glob("*.html"))
    page.take("# checks/web.yml")

    page.write("sources/veeam_em.yml", page.take("# dr/veeam_em.yml"))
    given = f'-e failover_session_id={started} -e \'{{"plan": "{PLAN}"}}\' -e failover_run_rto_minutes=60'
    books = "report.yml find_session.yml check_session.yml failover/drill_verdict.yml"
    output = page.bash(
        f"ansible-playbook {books} {given} && ansible-playbook -i sources/veeam_em.yml check_synced.yml {given}"
    )
    assert f"{PLAN}: Success" in output and "filesrv03: Success" in output

    page.write("dr_runbook-veeam_em-1.0.0.tar.gz", "")
    page.bash(page.take("ansible-builder build", "stand-in"))
    calls = [call for call in page.calls if not call[0].startswith("awx.awx.")]
    pinned = re.search(r'"(ansible-builder==[\d.]+)"', (REPO / "pyproject.toml").read_text(encoding="utf-8"))[1]
    assert calls[0] == ["pip", "install", pinned]
    assert calls[1][:3] == ["ansible-builder", "build", "--tag"] and calls[2] == ["podman", "push", calls[1][3]]
    environment = yaml.safe_load(page.take("# execution-environment.yml", "checked"))
    (source,) = environment["additional_build_files"]
    galaxy = yaml.safe_load((REPO / "galaxy.yml").read_text(encoding="utf-8"))
    assert source["src"] == f"{galaxy['namespace']}-{galaxy['name']}-{galaxy['version']}.tar.gz"
    assert environment["dependencies"]["galaxy"]["collections"][0]["name"] == f"{source['dest']}/{source['src']}"
    assert page.left() == []


@pytest.mark.matrix
def test_troubleshooting(em, open_page):
    page = open_page("docs/troubleshooting.md", no_proxy="localhost")
    add_plan(em, result="Failed", failure_message="no memory")
    em.world.add_session(PLAN, id="9d63f46f-d549-4ef5-b619-f4c7b252ff2d")
    output = page.bash(
        "\n".join(page.take(part) for part in ("getent hosts", "curl -sS -i", "issuer -dates", "limit=1"))
    )
    assert "HTTP/1.1" in output and "DNS:localhost" in output and f'"name": "{PLAN}"' in output
    asked = [
        "-m dr_runbook.veeam_em.failover_plan_info",
        "limit=3",
        "veeam_em.data_collection",
        '0a970e08f6f9"',
        "finish_timeout=7200",
    ]
    output = page.bash("\n".join(page.take(part) for part in asked))
    assert output.count("localhost | ") == len(asked) and "FAILED!" not in output
    run = f"- dr_runbook.veeam_em.failover_plan: {{plan: {PLAN}, action: test, poll_interval: 1}}\n  register: run\n  ignore_errors: true\n"
    play = page.play("failed.yml", run, "Show what failed")
    assert '"dbsrv01"' in page.bash(f"ansible-playbook {play}")

    page.write("veeam_em.yml", "plugin: dr_runbook.veeam_em.failover_session")
    em.world.add_session("Acme", tasks=[{"vm_name": "localhost"}])
    words = " ".join(page.bash("ansible-inventory -i veeam_em.yml --graph").split())
    assert " ".join(page.take("VMs that give no hosts", "checked").split()) in words
    words = " ".join(page.bash("VEEAM_EM_PASSWORD=wrong ansible-inventory -i veeam_em.yml --graph").split())
    sample = " ".join(page.take("Failed to parse inventory", "checked").split()).rstrip(".")
    assert (sample if core() >= (2, 19) else sample.partition("plugin: ")[2]) in words, words
    none = "{debug: {msg: x}, when: newest.succeeded, vars: {newest: {succeeded: null}}}"
    page.write("none.yml", f"[{{hosts: localhost, gather_facts: false, tasks: [{none}]}}]")
    sentence = " ".join(page.take("Conditional result", "checked").split())
    if core() >= (2, 19):
        words = " ".join(page.bash("ansible-playbook none.yml", status=2).split())
        assert re.sub(" at '.*?'", "", sentence) in re.sub(r" at '.*?'", "", words), words
    # test_troubleshooting.py compares the others with what is printed.
    for block in page.blocks:
        if block.language == "text" and not block.how:
            page.take(block.text, "checked")
    assert page.left() == []


def core():
    from ansible.release import __version__

    return tuple(map(int, __version__.split(".")[:2]))


@pytest.mark.matrix
def test_the_roles(em, open_page):
    """The examples of all roles, in one play."""
    page = open_page("roles/failover_run/README.md")
    for role in (
        "roles/failover_report/README.md",
        "roles/failover_history/README.md",
        "roles/failover_readiness/README.md",
    ):
        page.blocks += user_page.blocks(role)
    page.write("/var/lib/dr/empty", "")
    add_plan(em)
    read = f"- dr_runbook.veeam_em.failover_session_info: {{name: {PLAN}, limit: 1}}\n  register: newest\n"
    parts = ["Test the plan", "Write the report", "Record what Enterprise Manager shows", "Judge which plans"]
    play = page.play("roles.yml", read, *parts)
    page.bash(f"ansible-playbook {play}", status=2)
    assert list(page.path("/var/lib/dr-reports").glob("*.html")) and list(page.folder.glob("reports/*.html"))
    assert page.path("/var/lib/dr/readiness/portfolio.html").exists()
    assert page.left() == []


@pytest.mark.matrix
def test_events(em, open_page, run_module):
    page = open_page("docs/eda.md")
    page.save("run_playbook:", "rules/notify.yml")
    page.save("hosts: localhost", "rules/notify_team.yml")
    page.save("ansible_connection", "rules/inventory.yml")
    page.cwd = page.folder / "rules"
    command = page.take("ansible-rulebook -r notify.yml")
    assert started(page.take("[Service]", "checked")) == command
    session = "475420ee-d045-4493-9869-0a970e08f6f9"
    output = page.bash(f"ansible-playbook -i inventory.yml notify_team.yml -e failover_session_id={session}")
    assert f"{PLAN}: Success" in output

    event = json.loads(page.take('"event": "vm_failed"', "checked"))["failover_session"]
    em.world.add_session("Acme", tasks=[{"vm_name": "db01"}])
    em.clock.advance(60)  # until EM lists the VM
    (facts,) = run_module("failover_session_info", ca_path=em.ca_path, name="Acme")["failover_sessions"]
    assert set(event) == {"event", "session", "vm", "em"}
    assert set(event["session"]) == {*facts, "tasks_kept_at"} and event["vm"] == event["session"]["tasks"][0]
    assert set(event["vm"]) == set(facts["tasks"][0])

    book = yaml.safe_load(page.take("run_playbook:"))
    own = "ansible-rulebook -r dr_runbook.veeam_em.failover_session"
    assert own in page.take("-r dr_runbook.veeam_em.failover_session\n")
    (book[0]["rules"][0]["action"],) = yaml.safe_load(page.take("run_job_template:", "checked")).values()
    assert page.left() == []
    # ansible-rulebook needs a newer ansible-core than the oldest, as the page says, and Java, which not every developer has.
    if core() >= (2, 17) and (shutil.which("java") or os.environ.get("CI")):
        from ansible_rulebook.validators import Validate

        Validate.rulebook(book)
        page.write("rules/notify.yml", page.take("run_playbook:").replace("interval: 60", "interval: 5"))
        watch(em, page, own, command)


def watch(em, page, *commands):
    """Run both rulebooks while a session runs and ends."""
    state = page.write("/var/lib/eda/failover_session.json", "")
    state.unlink()
    failed = {"vm_name": "db01", "result": "Failed", "failure_message": "no memory", "duration": 1}
    em.clock.rate = 0
    em.world.add_session(PLAN, tasks=[failed, {"vm_name": "web01", "duration": 300}])
    em.clock.advance(30)
    output = page.folder / "output"
    with (
        output.open("w", encoding="utf-8") as file,
        programs.started(["bash", "-c", " & ".join(commands)], cwd=page.cwd, env=page.environment, stdout=file) as both,
    ):
        until(both, output, lambda text: state.exists() and "VM FAILED: db01" in text)
        em.clock.advance(600)
        until(both, output, lambda text: f"{PLAN}: Success" in text)


def until(process, output, condition):
    """Wait for what a program writes, as long as it runs."""
    end = time.monotonic() + programs.TIMEOUT
    while not condition(text := output.read_text(encoding="utf-8")):
        assert process.poll() is None and time.monotonic() < end, text
        time.sleep(0.1)
