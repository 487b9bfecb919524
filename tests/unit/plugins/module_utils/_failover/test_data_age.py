# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The age of EM's data, on the front ends that read it."""

from __future__ import annotations

from datetime import timedelta

import pytest

ROUTE = "GET /api/systemSessions"
DOCUMENT = '<SystemSessions xmlns="http://www.veeam.com/ent/v1.0">{}</SystemSessions>'


@pytest.fixture(autouse=True)
def clock(em):
    """Time stands still, on a whole second, and the newest job began seven minutes ago."""
    em.clock.rate = 0
    em.clock.advance(1 - em.clock.now().microsecond / 1e6)
    em.behaviour.collect_interval = None
    em.collecting.clear()
    yield em.clock
    em.clock.rate = 1


def job(em, age, **options):
    """A job that began so many seconds ago."""
    return em.collecting.add(creation_time=em.clock.now() - timedelta(seconds=age), **options)


@pytest.fixture
def info(run_module):
    def run(**options):
        return run_module("failover_session_info", **options)

    return run


def test_age_is_from_the_start_of_the_newest_job_that_succeeded(em, info):
    newest = job(em, 420.5, seconds=300)
    job(em, 1320)
    result = info(data_age=True)
    assert result["query"]["data_age"] == {
        "collected_at": newest.creation_time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:23] + "000Z",
        "seconds": 420.5,
    }
    assert "warnings" not in result


@pytest.mark.parametrize(
    "options",
    [
        {"state": "Failed"},
        {"state": "CompletedWarning"},
        {"seconds": None},  # it goes on
        {"session_type": "HistoryCollectJob"},
        {"session_type": "SecurityScopesRebuild"},
        {"raw": {"SessionType": None}},
        {"raw": {"SessionType": "collectjob "}},
        {"raw": {"State": "Completed"}},
        {"raw": {"State": "Success"}},
        {"raw": {"State": None}},
        {"raw": {"CreationTimeUTC": None}},
        {"raw": {"CreationTimeUTC": "yesterday"}},
        {"raw": {"CreationTimeUTC": "0001-01-01T00:00:00"}},
    ],
)
def test_other_jobs_do_not_count(em, info, options):
    job(em, 1200)
    job(em, 300, **options)
    assert info(data_age=True)["query"]["data_age"]["seconds"] == 1200


@pytest.mark.parametrize("words", ["as state", "as table"])
@pytest.mark.parametrize(
    ("state", "age"), [("CompletedSuccessfully", 300), ("CompletedWarning", 1200), ("Failed", 1200)]
)
def test_both_spellings_of_the_inner_result(em, info, words, state, age):
    em.behaviour.system_result = words
    job(em, 1200)
    job(em, 300, state=state)
    assert info(data_age=True)["query"]["data_age"]["seconds"] == age


@pytest.mark.parametrize(
    ("result", "age"),
    [
        ("<Result>Warning</Result>", 1200),
        ("<Result>Failed</Result>", 1200),
        ("<Result>CompletedWarning</Result>", 1200),
        ("<Result>Success</Result><IsCanceled>true</IsCanceled>", 1200),
        ("<Result>Success</Result><IsCanceled>True</IsCanceled>", 1200),
        ("<Result>Success</Result><Message /><IsCanceled>False</IsCanceled>", 300),
        ("<Result>None</Result>", 300),
        ("<Result />", 300),
        ("", 300),
    ],
)
def test_an_inner_result_that_contradicts_the_state(em, info, result, age):
    def entry(age, inner):
        started = (em.clock.now() - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return (
            f"<Sessions Type='SystemSession'><SessionType>CollectJob</SessionType><CreationTimeUTC>{started}</CreationTimeUTC>"
            f"<State>CompletedSuccessfully</State><Result>{inner}</Result></Sessions>"
        )

    body = DOCUMENT.format(entry(300, result) + entry(1200, "<Result>Success</Result>"))
    em.faults.add("reply", path="systemSessions", body=body)
    assert info(data_age=True)["query"]["data_age"]["seconds"] == age


@pytest.mark.parametrize(("age", "seconds"), [(0, 0.0), (-0.4, 0.0), (-1, None), (-300, None), (-86400 * 400, None)])
def test_a_job_ahead_of_the_clock(em, info, age, seconds):
    # Whole seconds are all that EM's clock tells, so less than one is no contradiction.
    em.faults.add("reply", path="systemSessions", body=_body(em, age))
    job(em, 1200)
    data_age = info(data_age=True)["query"]["data_age"]
    assert (data_age and data_age["seconds"]) == seconds


def _body(em, age):
    started = (em.clock.now() - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return DOCUMENT.format(
        f"<Sessions Type='SystemSession'><SessionType>CollectJob</SessionType><CreationTimeUTC>{started}</CreationTimeUTC>"
        "<State>CompletedSuccessfully</State></Sessions>"
    )


def test_the_local_clock_has_no_say(em, info):
    em.clock.advance(-86400 * 100)
    job(em, 600)
    assert info(data_age=True)["query"]["data_age"]["seconds"] == 600


UNKNOWN = {
    "forbidden": (lambda em: em.faults.add("status", status=403, path="systemSessions"), "answered with HTTP 403", 403),
    "absent": (lambda em: setattr(em.behaviour, "system_sessions", "absent"), "answered with HTTP 404", 404),
    "empty": (lambda em: em.collecting.clear(), "lists no data collection job that completed successfully", None),
    "web page": (lambda em: em.faults.add("html", path="systemSessions"), "a web page", 200),
    "garbage": (lambda em: em.faults.add("garbage", path="systemSessions"), "not well-formed XML", 200),
    "method": (lambda em: em.faults.add("status", status=405, path="systemSessions"), "HTTP 405", 405),
    "without Date": (lambda em: setattr(em.behaviour, "date_offset", None), "no header Date", None),
    "clock behind": (lambda em: setattr(em.behaviour, "date_offset", -3600), "but its clock says", None),
}


@pytest.mark.parametrize("why", UNKNOWN)
def test_unknown_is_null_and_stale(em, info, why):
    job(em, 60)
    em.world.add_session()
    cause, reason, status = UNKNOWN[why]
    cause(em)
    result = info(data_age=True)
    assert result["query"]["data_age"] is None
    assert len(result["failover_sessions"]) == 1
    assert reason in result["warnings"][0]
    result = info(max_data_age="900d")
    assert result["failed"] and result["error"]["kind"] == "stale" and result["error"]["status"] == status
    assert reason in result["msg"]
    assert result["msg"].endswith(f"({em.url}/api/systemSessions)")
    assert em.counters.routes["GET /api/query"] == 1
    assert em.counters.live_logons == 0


@pytest.mark.parametrize("user", ["reader", "operator", "both"])
def test_roles_that_may_not_read_it(em, info, user):
    job(em, 60)
    warning = info(data_age=True, username=user)["warnings"][0]
    assert f"Check that {user} has the role Portal Administrator" in warning
    assert f"Check that {user} has the role Portal Administrator" in info(max_data_age="1d", username=user)["msg"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"action": "drop"}, "connection"),
        ({"action": "status", "status": 503}, "server"),
        ({"action": "status", "status": 500}, "server"),
    ],
)
@pytest.mark.parametrize("options", [{"data_age": True}, {"max_data_age": "1d"}])
def test_other_errors_are_errors(em, info, fault, kind, options):
    em.faults.add(path="systemSessions", **fault)
    assert info(**options)["error"]["kind"] == kind


@pytest.mark.parametrize(
    ("limit", "stale"),
    [("20m", False), ("1200s", False), ("1199s", True), ("19m", True), ("1h", False), ("1 d", False), ("", False)],
)
def test_limit(em, info, limit, stale):
    job(em, 1200)
    result = info(max_data_age=limit)
    assert result.get("failed", False) is stale
    if not stale:
        assert result["query"]["data_age"] == ({"collected_at": ANY, "seconds": 1200.0} if limit else None)


class _Any:
    def __eq__(self, other):
        return True


ANY = _Any()


def test_sentence(em, info):
    newest = job(em, 47 * 60)
    result = info(max_data_age="20m")
    assert result["error"] == {"kind": "stale", "status": None, "message": None}
    host = em.url.partition("://")[2]
    collected = newest.creation_time.strftime("%Y-%m-%dT%H:%M:%S")
    assert result["msg"] == (
        f"Read the age of EM's data failed: {host} shows data that is 47 min old (collected at {collected}.000000Z), and "
        "max_data_age allows 20 min. Collect data now with the module data_collection, or have EM collect more often "
        f"(Configuration, Backup Servers, Schedule). ({em.url}/api/systemSessions)"
    )


@pytest.mark.parametrize("limit", ["20", 20, "0m", "20x", "-5m", "P1D", "2026-03-01T00:00:00Z", "20m 5s", True])
def test_no_age(em, info, limit):
    result = info(max_data_age=limit)
    assert result["failed"] and result["msg"].startswith("max_data_age: ") and "20m" in result["msg"]
    assert em.counters.requests == 0


def test_it_is_read_only_where_asked_and_before_the_sessions(em, info):
    job(em, 60)
    without = info()
    assert without["query"]["data_age"] is None
    assert em.counters.routes[ROUTE] == 0
    asked = info(data_age=True)
    assert asked["query"]["requests"] == without["query"]["requests"] + 1
    paths = [request.path for request in em.requests[-asked["query"]["requests"] :]]
    assert paths.index("/api/systemSessions") < paths.index("/api/query")
    em.counters.reset()
    info(data_age=True, max_data_age="1h")
    assert em.counters.routes[ROUTE] == 1


def test_thirty_days_of_jobs(em, info):
    em.behaviour.collect_interval = 900
    em.behaviour.collect_days = 30
    em.collecting.reset()
    assert 400 < info(data_age=True)["query"]["data_age"]["seconds"] < 430


def test_version_13(info, em):
    from emulator import Emulator

    with Emulator(sessions=1, documented=False, em_version=13) as em13:
        data_age = info(url=em13.url, data_age=True)["query"]["data_age"]
    assert 400 < data_age["seconds"] < 500
