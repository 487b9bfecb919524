# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from datetime import timedelta

import pytest
import yaml
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.interrupts import Interrupted
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import clock
from ansible_collections.dr_runbook.veeam_em.plugins.modules import data_collection

POST = "POST /api/backupServers/{id}"
JOBS = "GET /api/systemSessions"


@pytest.fixture(autouse=True)
def scheduled(em, fake_clock):
    """No job but those that a test wants, and no logon that ends meanwhile."""
    em.logons.idle_seconds = 1e9
    em.behaviour.collect_interval = None
    em.collecting.clear()


@pytest.fixture
def collect(run_module):
    def run(**options):
        result = run_module("data_collection", **options)
        result.pop("invocation", None)
        return result

    return run


def posts(em):
    return em.counters.routes[POST]


def last_job(em):
    return max(em.collecting.sessions(), key=lambda job: job.creation_time)


def shown(moment):
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}000Z"


def test_it_waits_for_the_end_of_the_job(em, collect, fake_clock):
    result = collect()
    assert result["changed"] is True
    assert (result["state"], result["collected_at"]) == ("CompletedSuccessfully", shown(last_job(em).creation_time))
    assert "warnings" not in result
    assert fake_clock.slept == [5] * 4  # 2 s until it begins, and 18 s
    assert posts(em) == 1
    assert em.counters.live_logons == 0


def test_the_next_task_reads_current_data(em, collect, run_module):
    em.behaviour.copy = "collected"
    em.clock.advance(86400)
    em.world.add_session(state="Stopped")
    em.clock.advance(1)
    assert run_module("failover_session_info", max_data_age="1m")["error"]["kind"] == "stale"
    assert run_module("failover_session_info")["failover_sessions"] == []
    collected = collect()
    result = run_module("failover_session_info", max_data_age="1m")
    assert result["query"]["data_age"]["collected_at"] == collected["collected_at"]
    assert len(result["failover_sessions"]) == 1


def test_every_documented_value_is_returned(em, collect):
    documented = set(yaml.safe_load(data_collection.RETURN))
    result = collect(wait_timeout=1)
    assert set(result) - {"failed", "changed"} == documented
    assert set(collect()) == (documented - {"error", "msg"}) | {"changed"}


def test_check_mode_asks_for_nothing(em, collect):
    result = collect(check_mode=True)
    assert result == {"changed": True, "collected_at": None, "state": None}
    assert posts(em) == 0
    assert em.counters.routes[JOBS] == 1


@pytest.mark.parametrize("check_mode", [False, True])
def test_without_waiting(em, collect, check_mode):
    """For users who may not read EM's own jobs."""
    result = collect(wait=False, username="reader", check_mode=check_mode)
    assert result == {"changed": True, "collected_at": None, "state": None}
    assert posts(em) == (0 if check_mode else 1)
    assert em.counters.routes[JOBS] == 0


def test_a_task_that_has_failed_already_is_a_failure_without_waiting_too(em, collect):
    em.behaviour.second_collect = "refuse"
    em.behaviour.collect_start_seconds = 0
    em.collecting.add(seconds=100)
    result = collect(wait=False, username="reader")
    assert (result["failed"], result["error"]["kind"]) == (True, "refused")
    assert "Data collection is already running" in result["msg"]


# Who may


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize("user", ["reader", "both"])
def test_whose_jobs_may_not_be_read_waits_for_nothing(em, collect, user, check_mode):
    result = collect(username=user, check_mode=check_mode)
    assert result["error"]["kind"] == "permission" and result["error"]["status"] == 403
    assert f"Check that {user} has the role Portal Administrator" in result["msg"]
    assert result["changed"] is False
    assert posts(em) == 0


def test_whose_servers_may_not_be_read(em, collect):
    result = collect(username="operator", wait=False)
    assert result["error"]["kind"] == "permission"
    assert "Check that operator has the role Portal User" in result["msg"]


def test_a_request_that_is_forbidden(em, collect):
    em.faults.add("status", status=403, method="POST", query="action=collect")
    result = collect()
    assert result["error"]["kind"] == "permission" and result["changed"] is False
    assert "Data collection from backup server" in result["msg"] and "role Portal User" in result["msg"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"action": "status", "status": 404}, "not_found"),
        ({"action": "html"}, "protocol"),
        ({"action": "status", "status": 503}, "server"),
        ({"action": "drop"}, "connection"),
    ],
)
def test_jobs_that_cannot_be_read_before_the_request(em, collect, fault, kind):
    em.faults.add(path="systemSessions", **fault)
    result = collect()
    assert result["error"]["kind"] == kind and result["changed"] is False
    assert posts(em) == 0


# Which servers


def servers(em, *names):
    for name in names:
        em.world.add_session(backup_server=name, state="Stopped")
    return [server.name for server in em.world.servers]


def asked(em):
    """The names of the servers that were asked to collect, in this order."""
    names = {server.id: server.name for server in em.world.servers}
    return [names[request.path.rpartition("/")[2]] for request in em.requests if "action=collect" in request.query]


@pytest.mark.parametrize("second", ["new", "join", "refuse"])
def test_all_backup_servers(em, collect, second):
    """One after another, since EM may not take a second request while a collection runs."""
    em.behaviour.second_collect = second
    names = servers(em, "vbr1", "vbr2")
    result = collect()
    assert asked(em) == names and len(names) == 3
    jobs = sorted(em.collecting.sessions(), key=lambda job: job.creation_time)
    assert len(jobs) == 3
    assert result["collected_at"] == shown(jobs[0].creation_time)


def test_the_worst_state_of_all_is_returned(em, collect, fake_clock):
    servers(em, "vbr1")
    em.behaviour.collect_state = "CompletedWarning"
    fake_clock.at(15, lambda: setattr(em.behaviour, "collect_state", "CompletedSuccessfully"))
    assert collect()["state"] == "CompletedWarning"


@pytest.mark.parametrize("given", ["vbr2", ["vbr2"], ["vbr2", "vbr1"], "vbr1, vbr2"])
def test_some_backup_servers(em, collect, given):
    servers(em, "vbr1", "vbr2", "vbr1, vbr2")
    collect(backup_server=given)
    assert set(asked(em)) == set([given] if isinstance(given, str) else given)
    assert len(asked(em)) == len(set(asked(em)))


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("vbr", "Did you mean 'vbr1' or "),
        ("VBR1", "'vbr1' differs only in blanks, case or Unicode form: give the name exactly. EM has "),
        ("elsewhere", "Check backup_server. EM has "),
    ],
)
def test_an_unknown_backup_server(em, collect, given, hint):
    servers(em, "vbr1")
    result = collect(backup_server=["vbr1", given])
    assert result["error"] == {"kind": "not_found", "status": None, "message": None}
    assert f"has no backup server named '{given}'" in result["msg"] and hint in result["msg"]
    assert result["changed"] is False and posts(em) == 0


def test_an_em_without_backup_servers(em, collect):
    body = '<EntityReferences xmlns="http://www.veeam.com/ent/v1.0" />'
    em.faults.add("reply", path="backupServers", body=body)
    result = collect()
    assert result["error"]["kind"] == "not_found" and "has no backup servers. Add one" in result["msg"]


def test_servers_as_entities(em, collect):
    server = em.world.default_server
    body = (
        '<BackupServers xmlns="http://www.veeam.com/ent/v1.0"><BackupServer Type="BackupServer" '
        f'Name="{server.name}" UID="urn:veeam:BackupServer:{server.id}"><Port>9392</Port></BackupServer></BackupServers>'
    )
    em.faults.add("reply", method="GET", path="backupServers", body=body)
    assert collect()["state"] == "CompletedSuccessfully"


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"backup_server": []}, "backup_server"),
        ({"backup_server": [" "]}, "backup_server"),
        ({"wait_timeout": 0}, "wait_timeout"),
        ({"poll_interval": 0}, "poll_interval"),
    ],
)
def test_options_that_cannot_be_used(em, collect, options, name):
    result = collect(**options)
    assert result["msg"].startswith(f"{name}: ") and result["changed"] is False
    assert em.counters.requests == 0


# Which job


@pytest.mark.parametrize("date", [0, None])
def test_the_job_must_begin_after_the_request(em, collect, fake_clock, date):
    """One that runs already, and ends in time, does not count."""
    em.behaviour.date_offset = date
    em.collecting.add(creation_time=em.clock.now() - timedelta(seconds=10), seconds=12)
    em.behaviour.collect_start_seconds = 60
    result = collect()
    assert result["collected_at"] == shown(last_job(em).creation_time)
    assert sum(fake_clock.slept) == 80


@pytest.mark.parametrize("ago", [1, 5, 3600])
def test_a_job_that_began_before_the_request_but_is_listed_later(em, collect, fake_clock, ago):
    began = em.clock.now() - timedelta(seconds=ago + 1)
    em.behaviour.collect_start_seconds = 60
    fake_clock.at(7, lambda: em.collecting.add(creation_time=began, seconds=0))
    assert collect()["collected_at"] == shown(last_job(em).creation_time)


@pytest.mark.parametrize("offset", [-86400, 86400])
def test_only_the_clock_of_em_counts(em, collect, offset):
    em.clock.advance(offset)
    assert collect()["collected_at"] == shown(last_job(em).creation_time)


@pytest.mark.parametrize("options", [{"session_type": "HistoryCollectJob"}, {"raw": {"CreationTimeUTC": None}}])
def test_other_jobs_do_not_count(em, collect, fake_clock, options):
    fake_clock.at(5, lambda: em.collecting.add(seconds=0, **options))
    fake_clock.at(9, lambda: em.collecting.add(seconds=0, state="Failed", **options))
    assert collect()["state"] == "CompletedSuccessfully"


def test_a_scheduled_job_that_fails_does_not_decide(em, collect, fake_clock):
    """Which of the new jobs belongs to the request is not known, so one that succeeded is enough."""
    fake_clock.at(4, lambda: em.collecting.add(seconds=0, state="Failed"))
    assert collect()["state"] == "CompletedSuccessfully"


@pytest.mark.parametrize(("second", "kind"), [("new", None), ("join", "wait_timeout"), ("refuse", "refused")])
def test_a_collection_that_runs_already(em, collect, second, kind):
    em.behaviour.second_collect = second
    em.collecting.add(seconds=100)
    result = collect()
    assert posts(em) == 1
    if kind is None:
        assert result["state"] == "CompletedSuccessfully"
    else:
        assert result["error"]["kind"] == kind and result["changed"] is True
        word = (
            "Data collection is already running"
            if kind == "refused"
            else "One that was running may have taken the request"
        )
        assert word in result["msg"]


def test_a_request_that_joins_waits_for_the_next_job(em, collect):
    em.behaviour.second_collect = "join"
    em.behaviour.collect_interval = 600
    em.collecting.add(seconds=100)
    result = collect()
    assert result["collected_at"] == shown(last_job(em).creation_time)


# How it ends


def test_a_warning_is_a_success_with_a_warning(em, collect):
    em.behaviour.collect_state = "CompletedWarning"
    result = collect()
    assert result["state"] == "CompletedWarning" and result["changed"] is True and "failed" not in result
    (warning,) = result["warnings"]
    assert (
        "ended with state CompletedWarning and the message 'Failed to collect data from one of the backup servers'"
        in warning
    )
    assert "max_data_age does not count it" in warning


@pytest.mark.parametrize("words", ["as state", "as table"])
def test_a_failed_collection_is_a_failure(em, collect, words):
    em.behaviour.collect_state = "Failed"
    em.behaviour.system_result = words
    result = collect()
    message = "Failed to collect data from backup servers"
    assert result["error"] == {"kind": "run_failed", "status": None, "message": message}
    assert f"with state Failed and the message '{message}'" in result["msg"]
    assert result["changed"] is True and result["state"] is None and result["collected_at"] is None


@pytest.mark.parametrize(
    ("raw", "outcome"),
    [
        ({"State": "Canceled"}, "run_failed"),
        ({"State": "Success"}, "run_failed"),  # no word of the list
        ({"State": None}, "wait_timeout"),
    ],
)
def test_unknown_words_are_no_success(em, collect, fake_clock, raw, outcome):
    em.behaviour.second_collect = "join"
    em.collecting.add(seconds=5)
    fake_clock.at(20, lambda: em.collecting.add(seconds=0, raw=raw))
    result = collect()
    assert result["error"]["kind"] == outcome


def test_wait_timeout(em, collect, fake_clock):
    em.behaviour.collect_seconds = None
    result = collect(wait_timeout=120)
    assert result["error"]["kind"] == "wait_timeout"
    assert (
        "in state InProgress after 120 seconds. It goes on in EM; give it more time with wait_timeout." in result["msg"]
    )
    assert result["changed"] is True
    assert sum(fake_clock.slept) == 120


def test_the_time_limit_is_for_all_servers(em, collect, fake_clock):
    servers(em, "vbr1", "vbr2", "vbr3")
    assert collect(wait_timeout=60)["error"]["kind"] == "wait_timeout"
    assert sum(fake_clock.slept) == 60


# A reply that is lost


@pytest.mark.parametrize("action", ["drop_after_handling", "garbage", "empty"])
def test_a_lost_reply_is_not_repeated_and_the_job_is_found(em, collect, action):
    em.faults.add(action, method="POST", query="action=collect")
    if action != "drop_after_handling":  # which has an effect
        em.behaviour.collect_interval = 60
    result = collect()
    assert posts(em) == 1
    assert result["state"] == "CompletedSuccessfully" and result["changed"] is True
    assert "Looking for the data collection job that it may have started" in result["warnings"][0]


@pytest.mark.parametrize("wait", [True, False])
@pytest.mark.parametrize(
    "fault",
    [
        {"action": "drop"},
        {"action": "status", "status": 500},
        {"action": "html"},
        {"action": "reply", "body": "<Done/>"},
    ],
)
def test_a_lost_reply_without_a_job_is_in_doubt(em, collect, fault, wait):
    em.faults.add(method="POST", query="action=collect", **fault)
    result = collect(wait=wait, wait_timeout=60)
    assert result["error"]["kind"] == "in_doubt"
    assert "may or may not have accepted the request, after this: " in result["msg"]
    assert "Collecting again is harmless." in result["msg"]
    assert result["changed"] is True
    assert posts(em) == 1


def test_a_server_that_does_not_answer_was_asked_nothing(em, collect):
    result = collect(url="http://127.0.0.1:9")
    assert result["error"]["kind"] == "connection" and result["changed"] is False


# Outages and interruptions


@pytest.mark.parametrize("kind", ["drop", "status"])
def test_an_outage_during_the_wait(em, collect, fake_clock, kind):
    options = {"status": 503} if kind == "status" else {}
    fake_clock.at(4, lambda: em.faults.add(kind, path="/api/(systemSessions|tasks)", times=4, **options))
    result = collect()
    assert result["state"] == "CompletedSuccessfully"
    (warning,) = result["warnings"]
    assert "The wait goes on until its time limit." in warning


def test_an_outage_until_the_end(em, collect, fake_clock):
    fake_clock.at(4, lambda: em.faults.add("status", status=503, path="/api/systemSessions"))
    result = collect(wait_timeout=60)
    assert result["error"]["kind"] == "wait_timeout"
    assert "EM was unavailable at the end (Read system sessions failed" in result["msg"]


def test_a_logon_that_ends_during_the_wait(em, collect, fake_clock):
    """EM's task is lost with it; the job is not."""
    fake_clock.at(4, em.expire_logons)
    assert collect()["state"] == "CompletedSuccessfully"
    assert posts(em) == 1


def test_an_interruption(em, collect, fake_clock, monkeypatch):
    def interrupted(seconds):
        raise Interrupted("Interrupted by SIGTERM.")

    monkeypatch.setattr(clock, "sleep", interrupted)
    result = collect()
    name = em.world.default_server.name
    assert result["msg"] == (
        f"Interrupted by SIGTERM. Data collection from backup server {name} may go on in EM. Collecting again is harmless."
    )
    assert result["changed"] is True
    assert em.counters.live_logons == 0
