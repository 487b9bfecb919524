# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The five shapes in XML and JSON, both versions, and the documented replies."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from emulator import Emulator
from emulator.render import camel

NAMESPACE = "{http://www.veeam.com/ent/v1.0}"
LIST = "/api/cloud/failoverSessions"
ID = "475420ee-d045-4493-9869-0a970e08f6f9"
REPLIES = Path(__file__).resolve().parents[2] / "emulator" / "replies"


def meaning(node):
    """An element as nested tuples: no attribute order, no white space, no scheme and host in Hrefs."""
    attributes = {}
    for name, value in node.attrib.items():
        parts = urlsplit(value)
        attributes[name] = (parts.path, parts.query) if name == "Href" else value
    text = (node.text or "").strip()
    return node.tag, tuple(sorted(attributes.items())), text, tuple(meaning(child) for child in node)


@pytest.fixture(scope="module", params=[12, 13])
def documented(request):
    with Emulator(sessions=0, em_version=request.param) as em:
        yield em


@pytest.mark.parametrize(
    ("path", "fixture"),
    [
        (LIST, "failoverSessions.xml"),
        (f"{LIST}/{ID}", "failoverSession_entity_ref.xml"),
        (f"{LIST}/{ID}?format=Entity", "failoverSession_entity.xml"),
    ],
)
@pytest.mark.parametrize("switches", [{}, {"indent": True}, {"bom": True}])
def test_documented_replies_come_unchanged_in_meaning(documented, connect, path, fixture, switches):
    documented.reset()
    for name, value in switches.items():
        setattr(documented.behaviour, name, value)
    client = connect(documented)
    client.log_on()
    reply = client.get(path)
    assert reply.status == 200
    assert meaning(reply.xml) == meaning(ElementTree.parse(REPLIES / fixture).getroot())


def test_fixtures_hold_what_the_documents_say():
    references = ElementTree.parse(REPLIES / "failoverSessions.xml").getroot()
    assert [(ref.get("Name"), ref.get("UID").rpartition(":")[2]) for ref in references] == [
        ("ABC Company Failover Plan", ID),
        ("ABC Company Cloud Failover Plan", "10c5b348-dcbb-4d50-8b37-0e0fb4daf0ef"),
        ("UCM Company Full SIte Failover", "030015e0-8f8f-469a-93e1-10b680b46887"),
        ("ABC Company Failover Plan", "15db3c3b-b561-4115-a3e3-24a7bfc50c35"),
        ("ABC Company Failover Plan", "77becc1b-d82e-46c8-93e7-2b59f6d31192"),
    ]


def finished(em, **options):
    return em.world.add_session(
        **{
            "name": 'R&D "\u03a9" <Plan> 50%',
            "creation_time": "2026-03-02T08:00:01.5004567Z",
            "end_time": "2026-03-02T08:04:40Z",
            "result": "Failed",
            "failure_message": "a < b & c",
            "id": "33333333-1111-4222-8333-44444444444e",
            "tasks": [
                {
                    "vm_name": "db",
                    "result": "Failed",
                    "failure_message": "no memory",
                    "start_offset": 4.61,
                    "duration": 10,
                },
                {"vm_name": "web", "replica_point": None},
            ],
            **options,
        }
    )


def test_entity_in_xml(em, client):
    session = finished(em)
    root = client.get(f"{LIST}/{session.id}?format=Entity").xml
    assert root.tag == f"{NAMESPACE}CloudFailoverSession"
    assert root.get("Name") == session.name
    assert root.get("Href").endswith(f"{LIST}/{session.id}?format=Entity")
    assert root.findtext(f"{NAMESPACE}CreationTimeUTC") == "2026-03-02T08:00:01.5Z"
    assert root.findtext(f"{NAMESPACE}FailureMessage") == "a < b & c"
    container = root.find(f"{NAMESPACE}CloudFailoverTasks")
    db, web = container
    assert {db.tag, web.tag} == {container.tag}
    assert db.get("VmName") == "db"
    assert db.findtext(f"{NAMESPACE}CreationTimeUTC") == "2026-03-02T08:00:06.11Z"
    assert db.findtext(f"{NAMESPACE}FailureMessage") == "no memory"
    point = db.find(f"{NAMESPACE}VmReplicaPointLink")
    assert (point.get("Rel"), point.get("Type")) == ("Related", "CloudVmReplicaPointReference")
    assert point.get("Name") == "db@2026-03-02 05:00:01"
    assert web.find(f"{NAMESPACE}VmReplicaPointLink") is None


def test_entity_in_json_of_version_12(em, client):
    session = finished(em)
    reply = client.get(f"{LIST}/{session.id}?format=Entity", Accept="text/html, application/json;q=0.5")
    assert reply.headers["content-type"] == "application/json; charset=utf-8"
    entity = reply.json
    assert entity["Type"] == "CloudFailoverSession"
    assert entity["CreationTimeUTC"] == "2026-03-02T08:00:01.5Z"
    assert entity["Progress"] == 100
    assert [link["Rel"] for link in entity["Links"]] == ["Up", "Alternate"]
    db, web = entity["CloudFailoverTasks"]["CloudFailoverTasks"]
    assert db["VmReplicaPointLink"]["Name"] == "db@2026-03-02 05:00:01"
    assert web["VmReplicaPointLink"] is web["FailureMessage"] is None


def test_running_session_has_null_end_in_json_and_no_element_in_xml(em, client):
    session = em.world.add_session(name="now")
    path = f"{LIST}/{session.id}?format=Entity"
    assert client.get(path, Accept="application/json").json["EndTimeUTC"] is None
    assert client.get(path).xml.find(f"{NAMESPACE}EndTimeUTC") is None


def test_version_13_shows_seven_digits_and_camel_case(em13, client13):
    session = finished(em13)
    path = f"{LIST}/{session.id}?format=Entity"
    shown = "2026-03-02T08:00:01.5004564Z"  # six digits kept, the seventh (e -> 4) made from the id
    assert client13.get(path).xml.findtext(f"{NAMESPACE}CreationTimeUTC") == shown
    entity = client13.get(path, Accept="application/json").json
    assert entity["creationTimeUTC"] == shown
    assert entity["endTimeUTC"] == "2026-03-02T08:04:40Z"
    assert entity["uid"].endswith(session.id)
    assert entity["cloudFailoverTasks"]["cloudFailoverTasks"][0]["vmReplicaPointLink"]["rel"] == "Related"


def test_collections_and_queries_in_json(em, client):
    finished(em, creation_time=None, end_time=None)
    client.headers["Accept"] = "application/json"
    assert list(client.get(LIST).json) == ["Refs"]
    assert client.get(LIST).json["Refs"][0]["Type"] == "CloudFailoverSessionReference"
    assert len(client.get(f"{LIST}?format=entity").json["CloudFailoverSessions"]) == 1
    references = client.query().json
    assert len(references["Refs"]["Refs"]) == 1
    assert references["Entities"] is None
    entities = client.query(format="Entities").json
    assert entities["Refs"] is None
    members = entities["Entities"]
    assert len(members.pop("CloudFailoverSessions")["CloudFailoverSessions"]) == 1
    assert members and set(members.values()) == {None}
    paging = entities["PagingInfo"]
    assert (paging["PageNum"], paging["PageSize"], paging["PagesCount"]) == (1, 100, 1)
    assert {link["Rel"] for link in paging["Links"]} == {"First", "Last"}


def test_version_13_camel_cases_query_results(em13, client13):
    finished(em13)
    result = client13.get("/api/query?type=CloudFailoverSession", Accept="application/json").json
    assert result["refs"]["refs"][0]["links"][0]["href"].startswith("https://em-internal:9398/api/")
    assert result["pagingInfo"]["pageNum"] == 1


@pytest.mark.parametrize(
    ("path", "root", "child"),
    [
        (LIST, "EntityReferences", "Ref"),
        (f"{LIST}?format=Entity", "CloudFailoverSessions", "CloudFailoverSession"),
        (f"{LIST}?format=Entities", "EntityReferences", "Ref"),
        ("/api/query?type=CloudFailoverSession", "QueryResult", "Refs"),
        ("/api/query?type=CloudFailoverSession&format=Entities", "QueryResult", "Entities"),
    ],
)
def test_roots_and_children(em, client, path, root, child):
    em.world.add_session()
    found = client.get(path)
    assert found.headers["content-type"] == "application/xml; charset=utf-8"
    assert found.xml.tag == NAMESPACE + root
    assert found.xml[0].tag == NAMESPACE + child


def test_attribute_order_differs_between_shapes(em, client):
    finished(em, creation_time=None, end_time=None)
    entity = client.get(f"{LIST}?format=Entity").xml[0]
    queried = client.query(format="Entities").xml[0][0][0]
    assert list(entity.attrib) == ["Type", "Href", "Name", "UID"]
    assert list(queried.attrib) == ["Href", "Type", "Name", "UID"]
    assert entity.attrib == queried.attrib


def test_root_resource_lists_versions(em, em13, connect):
    for running, name in ((em, "SupportedVersions"), (em13, "supportedVersions")):
        client = connect(running)
        versions = [node.get("Name") for node in client.get("/api/").xml.iter(f"{NAMESPACE}SupportedVersion")]
        assert versions == ["v1_5", "v1_6", "v1_7"]
        listed = client.get("/api", Accept="application/json").json[name][name]
        assert [entry.get("Name", entry.get("name")) for entry in listed] == versions


def test_cloud_links_lead_to_sessions_and_plans(client):
    links = list(client.get("/api/cloud").xml.iter(f"{NAMESPACE}Link"))
    assert {link.get("Type") for link in links} == {
        f"CloudFailover{kind}{shape}" for kind in ("Plan", "Session") for shape in ("List", "ReferenceList")
    }
    for link in links:
        parts = urlsplit(link.get("Href"))
        assert client.get(f"{parts.path}?{parts.query}").status == 200


def test_server_header_tells_the_version(em, em13, connect):
    assert connect(em).get("/api").headers["server"] == "Microsoft-HTTPAPI/2.0"
    assert connect(em13).get("/api").headers["server"] == "Kestrel"


def test_raw_values_are_served_verbatim_and_queried(em, client):
    odd = {"EndTimeUTC": "1753-01-01T00:00:00Z", "State": "Pausing", "Result": None, "JobUid": "urn:x", "UID": "odd"}
    session = em.world.add_session(name="odd", raw=odd)
    entity = client.get(f"{LIST}/{session.id}?format=Entity").xml
    assert entity.findtext(f"{NAMESPACE}EndTimeUTC") == "1753-01-01T00:00:00Z"
    assert entity.findtext(f"{NAMESPACE}State") == "Pausing"
    assert entity.find(f"{NAMESPACE}Result") is None
    assert entity.findtext(f"{NAMESPACE}JobUid") == "urn:x"
    assert entity.get("UID") == "odd"
    assert client.query("State!=Stopped").names == ["odd"]
    assert client.query('EndTime<"1800-01-01"').names == ["odd"]
    assert client.query("Result>=None").names == []


def test_raw_values_of_tasks(em, client):
    tasks = [{"vm_name": "a", "raw": {"VmName": None, "State": "Postponed"}}]
    session = em.world.add_session(state="Stopped", tasks=tasks)
    task = client.get(f"{LIST}/{session.id}?format=Entity").xml.find(f"{NAMESPACE}CloudFailoverTasks")[0]
    assert "VmName" not in task.attrib
    assert task.findtext(f"{NAMESPACE}State") == "Postponed"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "HEAD"])
@pytest.mark.parametrize("path", [LIST, f"{LIST}/{ID}"])
def test_sessions_are_read_only(client, method, path):
    assert client.request(method, path).status == 405


@pytest.mark.parametrize(
    ("name", "expected"),
    [("UID", "uid"), ("Name", "name"), ("CreationTimeUTC", "creationTimeUTC"), ("VMName", "vmName"), ("Id", "id")],
)
def test_camel_case_lowers_the_leading_run(name, expected):
    assert camel(name) == expected


def test_what_cannot_change_is_rendered_once(em, client):
    ended, running = em.world.add_session(state="Stopped"), em.world.add_session()
    bodies = {client.query("State==Stopped", format="Entities").body for dummy in range(3)}
    client.query(format="Entities")
    assert len(bodies) == 1
    assert len(ended.memo["session_entity"]) == 1
    assert not running.memo
    em.behaviour.href_base = "http://other"
    assert b"http://other/api/cloud" in client.query("State==Stopped", format="Entities").body


def test_attributes_are_escaped(em, client):
    em.world.add_session(name="a\"b'c<d>&e")
    body = client.get(LIST).body.decode()
    assert re.search(r'Name="a&quot;b&#39;c&lt;d&gt;&amp;e"', body)
