# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logon life cycle."""

from __future__ import annotations

import base64

import pytest
from emulator import Emulator, User

NAMESPACE = "{http://www.veeam.com/ent/v1.0}"
LIST = "/api/cloud/failoverSessions"


@pytest.mark.parametrize(
    "path",
    [
        "/api/sessionMngr/?v=latest",
        "/api/sessionMngr/?v=v1_5",
        "/api/sessionMngr/?v=v1_6",
        "/api/sessionMngr?v=v1_7",
        "/api/sessionMngr/",
        "/API/SESSIONMNGR/?V=LATEST",
    ],
)
def test_logon_gives_token_cookie_and_delete_link(em, connect, path):
    reply = connect(em).log_on(path)
    assert reply.status == 201
    session_id = reply.xml.findtext(f"{NAMESPACE}SessionId")
    token = reply.headers["x-restsvcsessionid"]
    assert base64.b64decode(token).decode() == session_id
    assert reply.headers["set-cookie"] == f"X-RestSvcSessionId={token}; Path=/api;"
    links = {link.get("Rel"): link.get("Href") for link in reply.xml.iter(f"{NAMESPACE}Link")}
    assert links["Delete"] == f"https://em-internal:9398/api/logonSessions/{session_id}"
    assert reply.headers["location"] == links["Delete"]
    assert em.counters.logons == em.counters.live_logons == 1


def test_location_may_be_missing(em, connect):
    em.behaviour.logon_location = "left out"
    reply = connect(em).log_on()
    assert (reply.status, "location" in reply.headers) == (201, False)


FORMS = ("application/x-www-form-urlencoded", "Multipart/Form-Data; boundary=x")


@pytest.mark.parametrize("form", FORMS)
def test_a_form_cannot_log_on(em, connect, form):
    assert connect(em).log_on(**{"Content-Type": form}).status == 415
    assert em.counters.logons == 0
    em.behaviour.form_logon = "accept"
    assert connect(em).log_on(**{"Content-Type": form}).status == 201


@pytest.mark.parametrize("media_type", ["application/json", "application/xml", "text/plain"])
def test_other_types_than_forms_can_log_on(em13, connect, media_type):
    assert connect(em13).log_on(**{"Content-Type": media_type}).status == 201


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("status", [500, 404])
def test_an_unknown_logon(em, client, method, status):
    if status != 500:
        em.behaviour.unknown_logon_id = status
    reply = client.request(method, "/api/logonSessions/99999999-1111-4222-8333-444444444444")
    assert reply.status == status
    assert reply.xml.get("Message") == "There is no logon session with id [99999999-1111-4222-8333-444444444444]"
    assert client.get(LIST).status == 200


def test_unsupported_version_is_refused_with_a_text(em, connect):
    reply = connect(em).log_on("/api/sessionMngr/?v=v1_4")
    assert reply.status == 400
    assert "v1_4" in reply.xml.get("Message")
    assert em.counters.logons == 0


@pytest.mark.parametrize("options", [{"password": "wrong"}, {"user": "nobody"}])
def test_wrong_credentials_are_refused(em, connect, options):
    reply = connect(em, **options).log_on()
    assert reply.status == 401
    assert reply.headers["www-authenticate"] == "Basic Realm=RestSvc"
    assert "incorrect" in reply.xml.get("Message")


@pytest.mark.parametrize("header", [None, "Bearer abc", "Basic !!!", "Basic"])
def test_other_authorization_is_refused(em, connect, header):
    headers = {} if header is None else {"Authorization": header}
    assert connect(em).request("POST", "/api/sessionMngr/", headers).status == 401


def test_users_with_odd_names_and_passwords(connect):
    users = [User.parse("EM1\\robot:a:b:c:Portal User"), User("j\u00f6rg@example.net", "\u00fc\u00df")]
    with Emulator(sessions=0, users=users) as em:
        assert connect(em, user="em1\\Robot", password="a:b:c").log_on().status == 201
        for encoding in ("utf-8", "latin-1"):
            client = connect(em, user="j\u00f6rg@example.net", password="\u00fc\u00df")
            assert client.log_on(encoding=encoding).status == 201
        assert connect(em, user="admin").log_on().status == 401


@pytest.mark.parametrize("text", ["name", "name:password"])
def test_incomplete_user_is_an_error(text):
    with pytest.raises(ValueError):
        User.parse(text)


def test_everything_but_root_and_logon_needs_a_token(em, connect):
    client = connect(em)
    for path in (LIST, f"{LIST}/x", "/api/query", "/api/cloud", "/api/logonSessions", "/api/nothing"):
        assert client.get(path).status == 401, path
    assert client.get("/api/").status == client.get("/api").status == 200


def test_cookie_alone_is_enough_and_wins_over_the_header(em, connect):
    client = connect(em)
    good = client.log_on().headers["x-restsvcsessionid"]
    cookie = {"Cookie": f"a=b; X-RestSvcSessionId={good}"}
    stale = {"Cookie": "X-RestSvcSessionId=c3RhbGU="}
    client.token = None
    assert client.request("GET", LIST, cookie).status == 200
    assert client.request("GET", LIST, {**stale, "X-RestSvcSessionId": good}).status == 401
    assert client.request("GET", LIST, {**cookie, "X-RestSvcSessionId": "c3RhbGU="}).status == 200
    assert client.request("GET", LIST, {"x-RESTSVCsessionid": good}).status == 200


def test_logons_expire_when_idle_and_are_renewed_by_use(em, client):
    for dummy in range(3):
        em.clock.advance(899)
        assert client.get(LIST).status == 200
    em.clock.advance(901)
    assert client.get(LIST).status == 401
    assert em.counters.live_logons == 0


def test_idle_time_out_can_be_set(connect):
    with Emulator(sessions=0, idle_seconds=5) as em:
        client = connect(em)
        client.log_on()
        em.clock.advance(5)
        assert client.get(LIST).status == 401


def test_expire_logons_forgets_all(em, client):
    em.expire_logons()
    assert client.get(LIST).status == 401


def test_log_off_by_session_id_not_by_token(em, client):
    session_id = base64.b64decode(client.token).decode()
    assert client.request("DELETE", f"/api/logonSessions/{client.token}").status == 500
    reply = client.request("DELETE", f"/api/logonSessions/{session_id.upper()}")
    assert (reply.status, reply.body) == (204, b"")
    assert client.get(LIST).status == 401
    assert (em.counters.logons, em.counters.logoffs, em.counters.live_logons) == (1, 1, 0)


def test_logons_of_others_are_not_shown_and_cannot_be_ended(em, client, connect):
    reader = connect(em, user="reader")
    reader.log_on()
    listed = reader.get("/api/logonSessions").xml
    assert [node.text for node in listed.iter(f"{NAMESPACE}UserName")] == ["reader"]
    admin_id = base64.b64decode(client.token).decode()
    assert reader.request("DELETE", f"/api/logonSessions/{admin_id}").status == 500
    assert client.get(f"/api/logonSessions/{admin_id}").xml.findtext(f"{NAMESPACE}UserName") == "admin"
    assert em.counters["max_live_logons"] == 2


RESOURCES = ("failoverSessions", "cloudFailoverPlans", "vmReplicaPoints")
TYPES = ("CloudFailoverSession", "CloudFailoverPlan", "CloudVmReplicaPoint")


@pytest.mark.parametrize(
    ("user", "statuses"),
    [
        ("admin", (200, 200, 200)),
        ("reader", (200, 403, 200)),
        ("operator", (200, 200, 403)),
        ("both", (200, 200, 200)),
        ("restricted", (403, 403, 403)),
    ],
)
def test_default_users_may_what_the_reference_says(em, connect, user, statuses):
    client = connect(em, user=user)
    assert client.log_on().status == 201
    assert client.get("/api/cloud").status == client.get("/api/tasks").status == 200
    assert tuple(client.get(f"/api/cloud/{name}").status for name in RESOURCES) == statuses
    assert tuple(client.query(type=name).status for name in TYPES) == statuses
    unknown = {200: 400, 403: 403}
    assert tuple(client.get(f"/api/cloud/{name}/x").status for name in RESOURCES) == tuple(map(unknown.get, statuses))
    assert client.query(type="Planet").status == 400


def test_what_a_role_forbids_says_so(em, connect):
    client = connect(em, user="restricted")
    client.log_on()
    for reply in (client.get(LIST), client.query()):
        assert (reply.status, "Access is denied" in reply.xml.get("Message")) == (403, True)


@pytest.mark.parametrize(
    ("role", "statuses"),
    [
        ("file restore operator", (200, 200, 403)),
        ("Oracle Restore Operator,SQL Restore Operator", (403, 403, 403)),
        ("SQL Restore Operator , portal user", (200, 403, 200)),
        ("Portal User,Portal Administrator", (200, 200, 200)),
        ("Restore Operator", (403, 403, 403)),  # the web page's word, no role of the API
    ],
)
def test_roles_add_up(connect, role, statuses):
    with Emulator(sessions=0, users=[User.parse(f"x:y:{role}")]) as em:
        client = connect(em, user="x", password="y")
        client.log_on()
        assert tuple(client.get(f"/api/cloud/{name}").status for name in RESOURCES) == statuses


def test_queries_may_be_refused_to_all_but_administrators(em, connect):
    em.behaviour.role_query = "refused"
    for user, status in (("admin", 200), ("both", 403), ("reader", 403)):
        client = connect(em, user=user)
        client.log_on()
        assert client.query().status == status
        assert client.get(LIST).status == 200
