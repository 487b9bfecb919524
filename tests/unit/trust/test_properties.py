# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold for every input: XML to facts, filters, times, what is shown of a server's words.

The same few examples are tried on each run. ``HYPOTHESIS_PROFILE=large`` tries many more, and others each time.
"""

from __future__ import annotations

import encodings.aliases
import html
import json
import math
import re
import uuid
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

import pytest
import requests
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import client as _client
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import errors as _errors
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import response as _response
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import xml as _xml
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.filters import (
    all_of,
    any_of,
    batches,
    can_be_quoted,
    fits_in_url,
    one_of,
    quoted,
)
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.options import base_url_of
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.query import query_path
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.resource import is_reference
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover import session_facts as fs
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.criteria import (
    SORT_ORDERS,
    SessionCriteria,
)
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.facts import RESULTS, STATES
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.sessions import SessionReader
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._failover.times import (
    AGE,
    TIME,
    format_time,
    parse_time,
)
from emulator import Behaviour, Emulator, render, shapes
from emulator.clock import Clock
from emulator.filters import Field, parse_filter
from emulator.world import BackupServer, ReplicaPoint, Task, World, view
from hypothesis import assume, given, settings
from hypothesis import strategies as st

# Everything that an XML 1.0 document can carry, odd characters more often than chance would have it.
XML_CHARACTERS = st.one_of(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"),
    st.sampled_from("\t\n\r \"'&<>;,=()[]{}%\\/#:\x7f\x85\x9b\xa0\u2028\u202e\ufeff]\U0001f600"),
    st.characters(min_codepoint=32, max_codepoint=126),
)
XML_TEXTS = st.text(XML_CHARACTERS, max_size=30)
GUIDS = st.uuids().map(str)
UTC = timezone.utc


# XML to facts and back


def attribute(value):
    """What facts show of an attribute: its text as it is; missing, empty and blank are alike."""
    return value if value and not value.isspace() else None


def element(value):
    """What facts show of an element's text: white space around it has no meaning."""
    return (value or "").strip() or None


@st.composite
def written_times(draw):
    """A time as it is written, and what it means."""
    if draw(st.booleans()):
        odd = [None, "", "  ", "soon", "1753-01-01T00:00:00Z", "0001-01-01T00:00:00", "9999-12-31T23:59:59.9999999Z"]
        return draw(st.sampled_from(odd)), None
    moment = draw(st.datetimes(datetime(1971, 1, 2), datetime(9998, 12, 30)))
    digits = draw(st.integers(0, 8))
    moment = moment.replace(microsecond=moment.microsecond // 10 ** max(0, 6 - digits) * 10 ** max(0, 6 - digits))
    fraction = f"{moment.microsecond:06}{draw(st.integers(0, 99)):02}"[:digits]
    text = moment.isoformat(timespec="seconds") + (f".{fraction}" if digits else "")
    return text + draw(st.sampled_from(["Z", ""])), moment


def served(run):
    """A run as raw properties of the emulator."""
    return {key: value[0] if isinstance(value, tuple) else value for key, value in run.items()}


RUNS = st.fixed_dictionaries(
    {
        "State": st.one_of(st.none(), st.sampled_from([*STATES, "Pausing", ""]), XML_TEXTS),
        "Result": st.one_of(st.none(), st.sampled_from([*RESULTS, "success", ""]), XML_TEXTS),
        "Progress": st.one_of(
            st.none(), st.integers(-5, 10**20).map(lambda n: (str(n), n)), st.just(("", None)), st.just(("1.5", None))
        ),
        "FailureMessage": st.one_of(st.none(), XML_TEXTS),
        "CreationTimeUTC": written_times(),
        "EndTimeUTC": written_times(),
    }
)
POINTS = st.one_of(st.none(), st.builds(ReplicaPoint, GUIDS, XML_TEXTS))
# One at least says something: an element with nothing in it is no object.
TASKS = st.tuples(RUNS, st.one_of(st.none(), XML_TEXTS), POINTS).filter(
    lambda task: any(value is not None for value in (*served(task[0]).values(), *task[1:]))
)
SESSIONS = st.fixed_dictionaries(
    {
        "id": GUIDS,
        "run": RUNS,
        "name": st.one_of(st.none(), XML_TEXTS),
        "job_type": st.one_of(st.none(), XML_TEXTS),
        "server": st.builds(BackupServer, GUIDS, XML_TEXTS),
        "tasks": st.lists(TASKS, max_size=3),
    }
)
STYLES = st.builds(
    render.Style,
    version=st.sampled_from([12, 13]),
    href_base=st.sampled_from(["https://em-internal:9398", "http://localhost:9399", ""]),
    empty_containers=st.sampled_from(["element", "omit"]),
    xml_prefix=st.sampled_from(["", "v", "_a.b-c", "\u00e4"]),
    indent=st.booleans(),
    bom=st.booleans(),
    query_order=st.booleans(),
)


def run_facts(run):
    state, result = element(run["State"]), element(run["Result"]) or "None"
    finished = state == "Stopped"
    start, end = run["CreationTimeUTC"][1], run["EndTimeUTC"][1] if finished else None
    return {
        "state": state,
        "result": result,
        "progress": run["Progress"][1] if run["Progress"] else None,
        "failure_message": element(run["FailureMessage"]),
        "creation_time": start and f"{start.isoformat(timespec='microseconds')}Z",
        "end_time": end and f"{end.isoformat(timespec='microseconds')}Z",
        "duration": (end - start).total_seconds() if start and end and start <= end else None,
        "finished": finished,
        "succeeded": result == "Success" if finished else None,
    }


def session_facts(session):
    """What was put in, as the facts that must come out."""
    tasks = [
        {
            "vm_name": attribute(name),
            **run_facts(run),
            "replica_point": point
            and {"id": point.id, "name": attribute(point.name), "creation_time": None, "state": None},
        }
        for run, name, point in session["tasks"]
    ]
    ended = [task["result"] for task in tasks if task["finished"]]
    counts = {word: sum(result.lower() == word for result in ended) for word in ("success", "warning", "failed")}
    return {
        "id": session["id"],
        "uid": f"urn:veeam:CloudFailoverSession:{session['id']}",
        "name": attribute(session["name"]),
        "job_type": element(session["job_type"]),
        **run_facts(session["run"]),
        "backup_server": {"id": session["server"].id, "name": attribute(session["server"].name)},
        "href": f"/api/cloud/failoverSessions/{session['id']}",
        "tasks": tasks,
        "task_summary": {
            "total": len(tasks),
            **counts,
            "running": len(tasks) - len(ended),
            "other": len(ended) - sum(counts.values()),
        },
    }


def view_of(session):
    raw = {**served(session["run"]), "Name": session["name"], "JobType": session["job_type"]}
    tasks = [
        Task("vm", replica_point=point, raw={**served(run), "VmName": name}) for run, name, point in session["tasks"]
    ]
    world = World(Clock(datetime(2030, 1, 1, tzinfo=UTC)))
    made = world.add_session(
        "Acme", id=session["id"], creation_time="2026-01-01", backup_server=session["server"], tasks=tasks, raw=raw
    )
    return view(made, world.clock.now())


def view_of_name(name):
    return view(
        World(Clock(datetime(2030, 1, 1, tzinfo=UTC))).add_session(name, state="Stopped"),
        datetime(2030, 1, 1, tzinfo=UTC),
    )


def facts_of(tree, style):
    return [fs.session_facts(item) for item in _xml.parse(render.to_bytes(tree, style)[1]).items]


@given(SESSIONS, STYLES)
def test_what_is_put_into_a_session_comes_out_as_facts(session, style):
    assert facts_of(shapes.session_entity(view_of(session), style), style) == [session_facts(session)]


@given(st.lists(SESSIONS, max_size=3, unique_by=lambda session: session["id"]), STYLES, st.integers(0, 3))
def test_what_is_put_into_a_list_comes_out_as_facts(sessions, style, more):
    views, expected = [view_of(session) for session in sessions], [session_facts(session) for session in sessions]
    paging = shapes.paging_info(style, 1, 100, 1 + more, {"Next": "/api/query?type=x"} if more else {})
    page = shapes.query_result("CloudFailoverSession", views, True, paging, style)
    assert facts_of(page, style) == expected
    assert _xml.parse(render.to_bytes(page, style)[1]).paging == (1 + more, more > 0)
    assert facts_of(shapes.entity_list("CloudFailoverSession", views, style), style) == expected


@given(st.lists(SESSIONS, max_size=3, unique_by=lambda session: session["id"]), STYLES)
def test_references_tell_who_and_no_more(sessions, style):
    tree = shapes.reference_list("CloudFailoverSession", [view_of(session) for session in sessions], style)
    document = _xml.parse(render.to_bytes(tree, style)[1])
    assert [_xml.identity(item) for item in document.items] == [session["id"] for session in sessions]
    assert [_xml.text(item, "Name") for item in document.items] == [attribute(each["name"]) for each in sessions]
    assert all(map(is_reference, document.items))


@given(SESSIONS, STYLES, st.sampled_from(["utf-16", "utf-16-le", "utf-16-be"]))
def test_the_encoding_has_no_meaning(session, style, encoding):
    tree = shapes.session_entity(view_of(session), style)
    written = render.to_bytes(tree, style)[1].decode("utf-8-sig").replace(' encoding="utf-8"', "")
    body = ("" if encoding == "utf-16" else "\ufeff") + written
    (item,) = _xml.parse(body.encode(encoding)).items
    assert fs.session_facts(item) == session_facts(session)


@given(
    st.text(
        st.one_of(st.characters(), st.sampled_from("\0\x08\x1f\ufffe\uffff\ud800\udfff\ud83d\ude00&<]>")), max_size=20
    ),
    STYLES,
)
def test_any_text_is_read_with_replacements(written, style):
    """Also as halves of characters, which XML does not allow: two that belong together are one character."""
    tree = shapes.session_entity(view_of_name(written), style)
    expected = re.sub(
        "[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]",
        "\ufffd",
        written.encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
    )
    (item,) = _xml.parse(render.to_bytes(tree, style)[1]).items
    assert _xml.text(item, "Name") == attribute(expected)
    assert len(item) == len(
        _xml.parse(render.to_bytes(shapes.session_entity(view_of_name("Acme"), style), style)[1]).items[0]
    )


# Any bytes

WORDS = [
    *(b"<", b">", b"/>", b"</", b"<a", b"<a>", b"</a>", b" x=''", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?", b"?>"),
    *(
        b"<!DOCTYPE ",
        b"<!ENTITY a 'b'>",
        b"&a;",
        b"&#0;",
        b"&#x1F;",
        b"&#xD83D;",
        b"&#56832;",
        b"&lt;",
        b"xmlns:v='x' ",
        b"<v:",
        b"\0",
        b"\xff\xfe",
        b"{",
        b"[",
    ),
    *(b"<QueryResult>", b"<Entities>", b"<Refs>", b"<Ref UID=''/>", b"<EntityRef ", b"<Error Message='", b"<html>"),
    *(
        b"<title>",
        b"<script>",
        b'{"Message":',
        b"<CloudFailoverSessions>",
        b"<Links>",
        b"<Link Rel='Delete'",
        b"\xef\xbb\xbf",
    ),
]
CODECS = sorted(
    {*encodings.aliases.aliases, *encodings.aliases.aliases.values(), "idna", "undefined", "punycode", "x-user"}
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.lists(st.one_of(st.sampled_from(WORDS), st.binary(max_size=3)), max_size=30).map(b"".join),
    st.tuples(st.sampled_from(CODECS), st.binary(max_size=20)).map(
        lambda given: b"<?xml version='1.0' encoding='%b'?><a>%b</a>" % (given[0].encode(), given[1])
    ),
    st.recursive(
        st.sampled_from([b"", b"x", b" ", b"<State/>"]),
        lambda inner: st.tuples(
            st.sampled_from("abSLs"), st.sampled_from(["", " a=''", " Type='x'"]), st.lists(inner)
        ).map(lambda given: f"<{given[0]}{given[1]}>".encode() + b"".join(given[2]) + f"</{given[0]}>".encode()),
        max_leaves=10,
    ),
)


def outcome(body):
    """What is made of a body; only the documented errors get out."""
    said = _xml.error_text(body)
    assert said is None or isinstance(said, str)
    path = _xml.log_off_path(body)
    assert path is None or "/api/logonSessions/" in path
    try:
        document = _xml.parse(body)
    except _xml.XmlError as exc:
        return str(exc)
    for item in document.items:
        facts = fs.session_facts(item)
        assert json.loads(json.dumps(facts)) == facts
    return document


@given(BODIES)
@settings(max_examples=5 * settings().max_examples)
def test_any_bytes_are_a_document_or_a_sentence(body):
    assert outcome(body)


@pytest.mark.parametrize("codec", CODECS)
def test_any_encoding_that_is_named(codec):
    assert outcome(b"<?xml version='1.0' encoding='%b'?><a>\xe4\xff</a>" % codec.encode())


@given(SESSIONS, STYLES, st.data())
def test_a_spoiled_document_is_a_document_or_a_sentence(session, style, data):
    body = bytearray(render.to_bytes(shapes.session_entity(view_of(session), style), style)[1])
    for dummy in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(body)))
        body[start : start + data.draw(st.integers(0, 20))] = data.draw(
            st.one_of(st.binary(max_size=3), st.sampled_from(WORDS))
        )
    assert outcome(bytes(body))


# Filters: what is asked is what is found

POOL = [
    "Acme",
    "ACME",
    "acme ",
    "Acme, Inc;",
    "R&D (50%)",
    'quote"',
    "a==b",
    "plan-\u00fcn\u00efcode",
    "\u0130stanbul",
    "x\u202ey",
]
START = datetime(2026, 3, 1, tzinfo=UTC)
WHEN = st.integers(-8, 40).map(lambda quarters: START + timedelta(seconds=quarters / 4))
KNOWN = st.fixed_dictionaries(
    {
        "id": GUIDS,
        "name": st.sampled_from(POOL),
        "server": st.sampled_from(["vbr1", "VBR1", 'vbr "2"', "vbr,3"]),
        "state": st.sampled_from([*STATES, "Stopped", "Stopped"]),
        "result": st.sampled_from(RESULTS),
        "created": WHEN,
        "ended": WHEN,
    }
)


def bounds():
    return st.one_of(st.none(), WHEN.map(lambda when: when.isoformat()))


def some(values):
    return st.one_of(st.none(), st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))


OPTIONS = st.fixed_dictionaries(
    {
        "name": some([*POOL, "unknown"]),
        "backup_server": some(["vbr1", 'vbr "2"', "vbr,3", "vbr4"]),
        "state": some(STATES),
        "result": some(RESULTS),
        "created_after": bounds(),
        "created_before": bounds(),
        "ended_after": bounds(),
        "ended_before": bounds(),
        "latest_per_plan": st.booleans(),
        "sort_order": st.sampled_from(SORT_ORDERS),
        "limit": st.one_of(st.none(), st.integers(1, 6)),
        "page_size": st.sampled_from([1, 2, 3, 7, 100, 1000]),
    }
)
SERVERS = st.fixed_dictionaries(
    {
        "case_sensitive": st.booleans(),
        "and_binds_tighter": st.booleans(),
        "none_order": st.sampled_from(["first", "last"]),
        "uid_filter": st.sampled_from(["both", "urn", "guid"]),
        "refuse_result_none": st.booleans(),
        "refuse_uid_filter": st.booleans(),
        "refuse_query_type": st.sampled_from([None, None, None, 400, 404, 501]),
        "max_page_size": st.sampled_from([None, None, 2, 5]),
        "over_page_size": st.sampled_from(["cap", "refuse"]),
        "omit_paging_info": st.booleans(),
        "pages_count_of_empty": st.sampled_from([0, 1]),
        "xml_prefix": st.sampled_from(["", "v"]),
    }
)


@pytest.fixture(scope="module")
def server():
    with Emulator(documented=False, sessions=0) as running:
        yield running


def naive(sessions, options, ids):
    """The ids of what the options ask for, in order, found in the simplest way."""

    def within(when, event):
        after, before = (options[f"{event}_{side}"] for side in ("after", "before"))
        if after is None and before is None:
            return True
        return (
            when is not None
            and (after is None or when >= datetime.fromisoformat(after))
            and (before is None or when < datetime.fromisoformat(before))
        )

    def newest(session):
        plan = [each for each in sessions if (each["name"], each["server"]) == (session["name"], session["server"])]
        return session == max(plan, key=lambda each: (each["created"], each["id"]))

    found = [
        session
        for session in sessions
        if (ids is None or session["id"] in ids)
        and all(
            options[option] is None or session[key] in options[option]
            for option, key in (("name", "name"), ("backup_server", "server"), ("state", "state"), ("result", "result"))
        )
        and within(session["created"], "created")
        and within(session["ended"] if session["state"] == "Stopped" else None, "ended")
        and (not options["latest_per_plan"] or newest(session))
    ]
    found.sort(key=lambda each: (each["created"], each["id"]), reverse=options["sort_order"] == "descending")
    return [session["id"] for session in found][: options["limit"]]


@given(st.lists(KNOWN, max_size=12, unique_by=lambda session: session["id"]), OPTIONS, SERVERS, st.data())
@settings(max_examples=2 * settings().max_examples)
def test_what_is_asked_is_what_is_found(server, sessions, options, behaviour, data):
    for event in ("created", "ended"):
        after, before = options[f"{event}_after"], options[f"{event}_before"]
        assume(not (after and before) or datetime.fromisoformat(after) < datetime.fromisoformat(before))
    ids = None
    if data.draw(st.integers(0, 3)) == 0:
        ids = data.draw(
            st.lists(st.sampled_from([session["id"] for session in sessions] or [str(uuid.uuid4())]), min_size=1)
        )
        ids += data.draw(st.lists(GUIDS, max_size=2))
    server.reset(sessions=0)
    server.behaviour.collection_days = None
    for switch, value in behaviour.items():
        setattr(server.behaviour, switch, value)
    for session in sessions:
        server.world.add_session(
            session["name"],
            state=session["state"],
            id=session["id"],
            creation_time=session["created"],
            end_time=session["ended"] if session["state"] == "Stopped" else None,
            backup_server=session["server"],
            raw={"Result": session["result"]},
        )
    criteria = SessionCriteria.from_options({**options, "id": ids}.get)
    client = _client.EnterpriseManager(server.url, "reader", "Passw0rd!", retries=0, warn=lambda said: None)
    with client:
        answer = SessionReader(client).list_sessions(criteria)
    assert [fact["id"] for fact in answer.sessions] == naive(sessions, options, ids)
    assert set(answer.missing_ids) == set(ids or ()) - {session["id"] for session in sessions}
    assert server.counters.live_logons == 0


NAME_FIELD = {
    "name": Field("Name", "text", lambda item: item.name),
    "other": Field("Other", "text", lambda item: item.other),
}
SENSITIVE = Behaviour()
SENSITIVE.case_sensitive = True
TEXTS = st.one_of(st.text(max_size=20), XML_TEXTS, st.text('a"\\;,()= &+%\u00e9', max_size=8))


@given(TEXTS, TEXTS)
@settings(max_examples=5 * settings().max_examples)
def test_a_quoted_text_selects_exactly_itself(value, other):
    assume(can_be_quoted(value))
    path = query_path("CloudFailoverSession", quoted("Name", "==", value), "sortAsc=Name", 100, 1)
    url = requests.Request("GET", f"https://em{path}").prepare().url
    (sent,) = parse_qs(urlsplit(url).query)["filter"]
    matches = parse_filter(sent, NAME_FIELD, SENSITIVE).matches
    assert matches(SimpleNamespace(name=value))
    near = [
        f"{value} ",
        f" {value}",
        value.replace(" ", ""),
        value.swapcase(),
        f"{value}x",
        value[1:],
        f'"{value}"',
        other,
    ]
    for name in near:
        assert matches(SimpleNamespace(name=name)) == (name == value)


QUOTABLE = st.text("ab,;()= ", min_size=1, max_size=3)
ALTERNATIVES = st.lists(st.one_of(QUOTABLE, QUOTABLE, QUOTABLE, TEXTS), min_size=1, max_size=4)


@given(ALTERNATIVES, ALTERNATIVES, QUOTABLE, QUOTABLE, st.booleans())
@settings(max_examples=3 * settings().max_examples)
def test_alternatives_within_conditions(names, others, name, other, tighter):
    """Whatever binds tighter: the brackets say what is meant."""
    terms = [*one_of("Name", names), *one_of("Other", others)]
    behaviour = Behaviour()
    behaviour.case_sensitive, behaviour.and_binds_tighter = True, tighter
    asked_for_names, asked_for_others = (all(map(can_be_quoted, values)) for values in (names, others))
    assert len(terms) == asked_for_names + asked_for_others
    if terms:
        matches = parse_filter(all_of(terms), NAME_FIELD, behaviour).matches
        for chosen_name in (name, names[0]):
            for chosen_other in (other, others[-1]):
                expected = (not asked_for_names or chosen_name in names) and (
                    not asked_for_others or chosen_other in others
                )
                assert matches(SimpleNamespace(name=chosen_name, other=chosen_other)) == expected


@given(st.lists(TEXTS.filter(can_be_quoted), max_size=40), st.sampled_from([1, 50]))
def test_batches_lose_nothing(names, times):
    base_url = "https://em.example.com:9398"
    terms = [quoted("Name", "==", name) for name in names] * times
    cut = list(batches(base_url, terms))
    assert [term for batch in cut for term in batch] == terms
    assert all(fits_in_url(base_url, any_of(batch)) for batch in cut)


# Times

MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(9998, 12, 31, 23, 59, 59, 999999))


@given(MOMENTS, MOMENTS)
def test_timestamps_are_read_back_and_sort_as_text(one, other):
    assert parse_time(format_time(one)) == one
    assert (format_time(one) < format_time(other)) == (one < other)
    near = one + timedelta(microseconds=1) if one.year < 9998 else one - timedelta(microseconds=1)
    assert (format_time(one) < format_time(near)) == (one < near)


@given(MOMENTS.filter(lambda when: 1971 < when.year < 9998), st.integers(-14 * 60, 14 * 60), st.sampled_from([":", ""]))
def test_zones(when, minutes, colon):
    local = when + timedelta(minutes=minutes)
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{colon}{abs(minutes) % 60:02}"
    assert parse_time(local.isoformat(timespec="microseconds") + zone) == when


TIME_LIKE = st.one_of(
    st.text(max_size=40),
    st.from_regex(TIME, fullmatch=True),
    st.from_regex(AGE, fullmatch=True),
    st.from_regex(r"(?i)\d{1,7}\s?[smhdw\u017f]"),
    st.text("0123456789-:TZ.,+ \u0661\u00b2wdhms\u017f", max_size=30),
    st.sampled_from(
        [
            "5\u017f",
            "2026-02-30T00:00:00Z",
            "2026-03-01T24:00:00Z",
            "2026-03-01T23:59:60Z",
            "999999w",
            "9998-12-31T23:59:59-14:00",
        ]
    ),
)


@given(TIME_LIKE)
@settings(max_examples=5 * settings().max_examples)
def test_a_time_is_read_or_is_none(text):
    when = parse_time(text)
    assert when is None or (when.tzinfo is None and 1969 < when.year <= 9999)
    assert when is None or parse_time(format_time(when)) in (when, None)


@given(TIME_LIKE, st.sampled_from(["created_after", "created_before", "ended_after", "ended_before"]))
@settings(max_examples=5 * settings().max_examples)
def test_a_bound_is_taken_or_refused_by_name(text, option):
    try:
        criteria = SessionCriteria.from_options({option: text}.get, now=datetime(2026, 3, 8))
    except _errors.OptionError as exc:
        assert str(exc).startswith(f"{option}: ")
    else:
        bound = getattr(criteria, option)
        assert bound == format_time(datetime.fromisoformat(bound[:-1]))
        assert criteria.to_filter("https://em")


UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


@given(
    st.integers(0, 99999),
    st.sampled_from("smhdwSMHDW"),
    st.sampled_from(["", " "]),
    st.datetimes(datetime(2024, 1, 1), datetime(2100, 1, 1)),
)
def test_ages(number, unit, space, now):
    criteria = SessionCriteria.from_options({"created_after": f"{number}{space}{unit}"}.get, now=now)
    assert criteria.created_after == format_time(now - timedelta(seconds=number * UNITS[unit.lower()]))


@given(MOMENTS, st.integers(-2, 2), MOMENTS, st.integers(-2, 2))
def test_after_is_inclusive_and_before_exclusive(after, late, before, early):
    near = timedelta(microseconds=1)
    assume(datetime(1972, 1, 1) < after < before < datetime(9998, 1, 1))
    options = {
        f"{event}_{side}": f"{when.isoformat()}Z"
        for event in ("created", "ended")
        for side, when in (("after", after), ("before", before))
    }
    criteria = SessionCriteria.from_options(options.get)
    fact = {"id": "x", "name": "x", "state": "Stopped", "result": "None", "backup_server": None}
    for when in (after + late * near, before + early * near):
        expected = after <= when < before
        text = format_time(when)
        inside = format_time(after)
        assert criteria.matches({**fact, "creation_time": text, "end_time": inside}) == expected
        assert criteria.matches({**fact, "creation_time": inside, "end_time": text}) == expected
        assert not criteria.matches({**fact, "creation_time": None, "end_time": inside})
        assert not criteria.matches({**fact, "creation_time": inside, "end_time": None})


@given(WHEN, WHEN, st.sampled_from([1, 1000, 10**6]))
def test_what_the_server_is_asked_never_hides_what_is_wanted(created, bound, unit):
    """Even if the server keeps only whole seconds or thousandths of one."""
    kept = created.replace(microsecond=created.microsecond // unit * unit)
    for option, holds in (("created_after", created >= bound), ("created_before", created < bound)):
        criteria = SessionCriteria.from_options({option: bound.isoformat()}.get)
        expression = criteria.to_filter("https://em")
        field = {"creationtime": Field("CreationTime", "time", lambda item: item)}
        assert parse_filter(expression, field, Behaviour()).matches(kept) or not holds


# Headers, links, options


@given(
    st.one_of(
        st.text(max_size=40),
        st.from_regex(r"[0-9]{1,5000}", fullmatch=True),
        st.from_regex(r"\w{3}, \d{2} \w{3} \d{1,9} \d\d:\d\d:\d\d [A-Z+-]{1,3}\d{0,6}"),
    )
)
@settings(max_examples=5 * settings().max_examples)
def test_a_pause_is_a_number_or_none(text):
    seconds = _response.Response("Read", "https://em", 503, {"Retry-After": text}, b"", None).retry_after
    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))


LINK_PARTS = [
    "https:",
    "http:",
    "//",
    "/",
    "\\",
    "evil.example",
    "@",
    ":80",
    ":x",
    "?",
    "#",
    "..",
    "%2e",
    "[",
    "]",
    "\r\n",
    "\t",
    " ",
    "\0",
    "javascript:",
    "file:",
    "\u202e",
    "\uff0f",
    "api",
]


@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(LINK_PARTS), max_size=8).map("".join)))
@settings(max_examples=5 * settings().max_examples)
def test_a_link_leads_to_the_configured_host(link):
    client = _client.EnterpriseManager("https://em.example.com:9398", "u", "p")
    url = client.on_base_url(link)
    assert url.startswith("https://em.example.com:9398/")
    try:
        prepared = requests.Request("GET", url).prepare()
    except (requests.exceptions.RequestException, UnicodeError):
        return
    parts = urlsplit(prepared.url)
    assert (parts.scheme, parts.netloc) == ("https", "em.example.com:9398")
    path = fs._path(link)
    assert path is None or urlsplit(f"https://em.example.com:9398{path}").netloc == "em.example.com:9398"


@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(LINK_PARTS), max_size=8).map("".join)))
@settings(max_examples=5 * settings().max_examples)
def test_a_url_is_taken_or_refused_by_name(url):
    try:
        base = base_url_of(url)
    except _errors.OptionError as exc:
        assert str(exc).startswith("url: ")
        assert str(exc).isprintable()
    else:
        assert base.startswith(("http://", "https://"))
        assert urlsplit(base).path == ""


@given(st.one_of(st.text(max_size=60), GUIDS, st.tuples(st.text(max_size=20), GUIDS, st.text(max_size=5)).map("".join)))
def test_an_id_is_a_guid_or_refused_by_name(text):
    try:
        (guid,) = SessionCriteria.from_options({"id": [text]}.get).ids
    except _errors.OptionError as exc:
        assert str(exc).startswith("id: ")
        assert str(exc).isprintable()
    else:
        assert guid == str(uuid.UUID(guid))
        assert guid in text.lower()


# What is shown

# Passwords and what surrounds them have no character in common, so that a rest of a password can be told.
PASSWORDS = st.text(
    "abcdefXYZ0123456789 \"'&<>;%+=/\\:?@!$\u00e4\u03a9\U0001f600{}nrtu", min_size=6, max_size=40
).filter(lambda password: len(password.strip()) >= 6 and "*" not in password)
AROUND = st.text("\u0430\u0431\u0432\u0433 \n\t\x1b\x9b\u202e\u2028", max_size=30)


def rest_of(password, said):
    """Parts of a password that are still there; a few characters are, where it stood in its own spelling by chance."""
    return [part for n in range(len(password) - 4) if (part := password[n : n + 5]) in said]


def percent_all(text):
    return "".join(f"%{byte:02x}" for byte in text.encode())


def quote_all(text):
    return quote(text, safe="")


def in_json(text):
    return json.dumps(text)[1:-1]


def in_json_raw(text):
    return json.dumps(text, ensure_ascii=False)[1:-1].replace("/", "\\/")


ENCODERS = [
    str,
    html.escape,
    lambda text: "".join(f"&#{ord(char)};" for char in text),
    lambda text: "".join(f"&#x{ord(char):x};" for char in text),
    quote_all,
    quote,
    quote_plus,
    percent_all,
    in_json,
    in_json_raw,
]


@given(PASSWORDS, st.sampled_from(ENCODERS), AROUND, AROUND, st.integers(0, 330))
@settings(max_examples=5 * settings().max_examples)
def test_no_secret_is_shown_in_any_spelling_at_any_place(password, encode, before, after, far):
    client = _client.EnterpriseManager("https://em.example.com", "u", password)
    written = encode(password)
    said = client.redact(before + "\u0436" * (far + 1) + written + "\u0436" + after)
    assert said.isprintable()
    assert len(said) <= 300
    assert not rest_of(password, said)


FORMATS = [html.escape, quote_all, quote, quote_plus, in_json, in_json_raw]
"""Those that leave letters and digits as they are."""


@given(PASSWORDS, st.sampled_from(FORMATS), st.sampled_from(FORMATS))
@settings(max_examples=5 * settings().max_examples)
def test_no_secret_is_shown_that_was_escaped_twice(password, first, then):
    client = _client.EnterpriseManager("https://em.example.com", "u", password)
    assert client.redact(f"\u0436{then(first(password))}\u0436") == "\u0436********\u0436"


@pytest.mark.parametrize("between", ["\n", "\0", "\x9b \u202e", " "])
def test_a_secret_that_only_the_line_shows(between):
    client = _client.EnterpriseManager("https://em.example.com", "u", "two words")
    assert client.redact(f"You sent two{between}words to us") == "You sent ******** to us"


@given(st.text(max_size=400), PASSWORDS)
@settings(max_examples=5 * settings().max_examples)
def test_what_is_shown_is_one_short_line(text, password):
    client = _client.EnterpriseManager("https://em.example.com", "u", password)
    said = client.redact(f"{text}{password}{text}")
    assert said.isprintable()
    assert len(said) <= 300
    assert said == " ".join(said.split())
    assume("*" not in password and "." not in password)
    assert password not in said


@given(st.text(max_size=100), st.text(max_size=100))
def test_every_error_is_one_line(link, said):
    client = _client.EnterpriseManager("https://em.example.com", "u", "Passw0rd!")
    error = _errors.EmProtocolError("Read", client.on_base_url(link), client.redact(said), "Check.", 200)
    assert str(error).isprintable()
