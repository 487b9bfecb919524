# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import xml as _xml

NS = 'xmlns="http://www.veeam.com/ent/v1.0"'
GUID = "33333333-1111-4222-8333-444444444444"


def session(number=1, inner="<State>Working</State>", **attributes):
    given = {
        "Type": "CloudFailoverSession",
        "UID": f"urn:veeam:CloudFailoverSession:{number}",
        "Name": "Plan",
        **attributes,
    }
    written = " ".join(f'{name}="{value}"' for name, value in given.items())
    return f"<CloudFailoverSession {written}>{inner}</CloudFailoverSession>"


def query(content, paging='<PagingInfo PageNum="1" PageSize="100" PagesCount="1"/>'):
    return f"<QueryResult {NS}>{content}{paging}</QueryResult>".encode()


def uids(document):
    return [_xml.text(item, "UID").rpartition(":")[2] for item in document.items]


# The five shapes


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_reference_list(count):
    refs = "".join(f'<Ref Type="CloudFailoverSessionReference" UID="urn:x:{n}" Name="P"/>' for n in range(count))
    document = _xml.parse(f"<EntityReferences {NS}>{refs}</EntityReferences>".encode())
    assert document.shape == _xml.ENTITIES
    assert uids(document) == [str(n) for n in range(count)]


def test_single_reference():
    document = _xml.parse(f'<EntityRef {NS} Type="CloudFailoverSessionReference" UID="urn:x:7"/>'.encode())
    assert (document.root, document.shape, uids(document)) == ("EntityRef", _xml.ENTITY, ["7"])


def test_entity():
    document = _xml.parse(session(7).replace(" ", f" {NS} ", 1).encode())
    assert (document.root, document.shape, uids(document)) == ("CloudFailoverSession", _xml.ENTITY, ["7"])
    assert _xml.text(document.items[0], "State") == "Working"


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_entity_list(count):
    content = "".join(session(n) for n in range(count))
    document = _xml.parse(f"<CloudFailoverSessions {NS}>{content}</CloudFailoverSessions>".encode())
    assert (document.shape, uids(document)) == (_xml.ENTITIES, [str(n) for n in range(count)])


@pytest.mark.parametrize("count", [1, 2, 5])
def test_query_result_with_entities(count):
    content = "".join(session(n) for n in range(count))
    document = _xml.parse(query(f"<Entities><CloudFailoverSessions>{content}</CloudFailoverSessions></Entities>"))
    assert (document.shape, uids(document)) == (_xml.QUERY, [str(n) for n in range(count)])
    assert (document.root, document.paging) == ("QueryResult", (1, False))


@pytest.mark.parametrize("count", [1, 3])
def test_query_result_with_references(count):
    content = "".join(f'<Ref UID="urn:x:{n}" Type="T"/>' for n in range(count))
    document = _xml.parse(query(f"<Refs>{content}</Refs>"))
    assert (document.shape, uids(document)) == (_xml.QUERY, [str(n) for n in range(count)])


def test_query_result_with_resources():
    document = _xml.parse(query('<Resources><Tasks><Task Type="Task" Href="/api/tasks/task-1"/></Tasks></Resources>'))
    assert [item["Href"] for item in document.items] == ["/api/tasks/task-1"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<Entities/>",
        "<Entities></Entities>",
        "<Entities><CloudFailoverSessions/></Entities>",
        "<Refs/>",
        "<Entities> </Entities>",
    ],
)
def test_an_empty_query_result_has_no_items(content):
    assert _xml.parse(query(content)).items == []


def test_a_query_result_without_result_and_paging_is_refused():
    with pytest.raises(_xml.XmlError, match="^it is a QueryResult without a result$"):
        _xml.parse(f"<QueryResult {NS}/>".encode())


def test_a_list_child_is_read_whatever_its_element_is_called():
    # In a list of CloudVmReplicaPoints each child is called CloudReplica.
    body = f'<CloudVmReplicaPoints {NS}><CloudReplica Type="CloudVmReplicaPoint" UID="urn:x:1"/></CloudVmReplicaPoints>'
    document = _xml.parse(body.encode())
    assert (document.shape, uids(document)) == (_xml.ENTITIES, ["1"])


@pytest.mark.parametrize("attribute", ["Type", "UID", "Href"])
def test_any_of_three_attributes_makes_an_object(attribute):
    document = _xml.parse(query(f'<Refs><Ref {attribute}="x"><Links><Link Rel="Up" Href="y"/></Links></Ref></Refs>'))
    assert [item[attribute] for item in document.items] == ["x"]
    assert _xml.parse(f'<Runs {attribute}="x"/>'.encode()).shape == _xml.ENTITY


@pytest.mark.parametrize("root", ["EntityReferences", "CloudFailoverSessions"])
def test_a_list_may_have_pages(root):
    paging = '<PagingInfo PagesCount="3"><Links><Link Rel="Next" Href="x"/></Links></PagingInfo>'
    document = _xml.parse(f'<{root} {NS}><X UID="urn:x:1"/>{paging}</{root}>'.encode())
    assert (document.root, document.paging, uids(document)) == (root, (3, True), ["1"])


def test_lists_of_two_types_are_both_read():
    document = _xml.parse(query(f"<Entities><A>{session(1)}</A><B>{session(2)}{session(3)}</B></Entities>"))
    assert uids(document) == ["1", "2", "3"]


# Paging


@pytest.mark.parametrize(
    ("paging", "expected"),
    [
        ("", None),
        ('<PagingInfo PagesCount="3" PageSize="1" PageNum="2"/>', (3, False)),
        ("<PagingInfo/>", None),
        ('<PagingInfo PageNum="1"/>', (0, False)),
        ('<PagingInfo PagesCount="many"/>', (0, False)),
        ('<PagingInfo PagesCount="3"><Links><Link Rel="First" Href="a"/></Links></PagingInfo>', (3, False)),
        ('<PagingInfo PagesCount="0"><Links><Link Rel="Next" Href="a"/></Links></PagingInfo>', (0, True)),
        (
            '<PagingInfo PagesCount="9"><Links><Link Rel="Last" Href="a"/><Link Href="b" Rel="Next"/></Links></PagingInfo>',
            (9, True),
        ),
    ],
)
def test_paging(paging, expected):
    assert _xml.parse(query("<Entities/>", paging)).paging == expected


# Spelling that has no meaning


PLAIN = session(
    1,
    '<Links><Link Rel="Up" Href="/api/backupServers/1" Type="BackupServerReference" Name="a"/></Links><State>Stopped</State>',
)


def test_any_prefix_reads_the_same():
    prefixed = (
        '<?xml version="1.0"?><v:QueryResult xmlns:v="http://www.veeam.com/ent/v1.0"><v:Entities><v:CloudFailoverSessions>'
        '<v:CloudFailoverSession Type="CloudFailoverSession" UID="urn:veeam:CloudFailoverSession:1" Name="Plan"><v:Links>'
        '<v:Link Rel="Up" Href="/api/backupServers/1" Type="BackupServerReference" Name="a"/></v:Links>'
        "<v:State>Stopped</v:State></v:CloudFailoverSession></v:CloudFailoverSessions></v:Entities>"
        '<v:PagingInfo PageNum="1" PageSize="100" PagesCount="1"/></v:QueryResult>'
    )
    document = _xml.parse(prefixed.encode())
    plain = _xml.parse(query(f"<Entities><CloudFailoverSessions>{PLAIN}</CloudFailoverSessions></Entities>"))
    assert document._replace(items=[]) == plain._replace(items=[])
    assert uids(document) == uids(plain) == ["1"]
    for key in ("Name", "State", "Type"):
        assert _xml.text(document.items[0], key) == _xml.text(plain.items[0], key)
    assert _xml.links(document.items[0]) == _xml.links(plain.items[0])


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("<v:EntityReferences {}><v:Ref UID='urn:x:1'/><v:Ref UID='urn:x:2'/></v:EntityReferences>", ["1", "2"]),
        ("<v:CloudFailoverSessions {}><v:CloudFailoverSession UID='urn:x:1'/></v:CloudFailoverSessions>", ["1"]),
        ("<v:CloudFailoverSessions {}/>", []),
        ("<v:QueryResult {0}><v:Refs {0}><v:Ref {0} UID='urn:x:1'/></v:Refs></v:QueryResult>", ["1"]),
    ],
)
def test_a_namespace_declaration_is_no_child(body, found):
    declared = 'xmlns:v="http://www.veeam.com/ent/v1.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    assert uids(_xml.parse(body.format(declared).encode())) == found


@pytest.mark.parametrize("declared", [1, 8, 9, 100_000])
def test_prefixes_without_end_are_read_like_one(declared):
    """Each of them is not looked for in the whole document."""
    names = " ".join(f'xmlns:v{number}="http://www.veeam.com/ent/v1.0"' for number in range(min(declared, 90)))
    comment = "".join(f"xmlns:c{number}= " for number in range(90, declared))
    body = f'<!--{comment}--><v0:Session {names} Type="Session"><v0:State>Stopped</v0:State></v0:Session>'
    document = _xml.parse(body.encode())
    assert (document.root, _xml.text(document.items[0], "State")) == ("Session", "Stopped")


def test_a_prefix_on_a_part_of_the_document_reads_the_same():
    body = f'<QueryResult {NS}><v:Refs xmlns:v="http://www.veeam.com/ent/v1.0"><v:Ref UID="urn:x:1"/></v:Refs></QueryResult>'
    assert uids(_xml.parse(body.encode())) == ["1"]


@pytest.mark.parametrize(
    "body",
    [
        PLAIN.encode(),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>\r\n' + PLAIN.encode(),
        PLAIN.encode("utf-16"),
        b"\n<!-- v:comment --> " + PLAIN.encode() + b"<!-- <v:x> -->\n",
        PLAIN.replace("><", ">\r\n\t <").encode(),
        PLAIN.replace('Rel="Up" Href="/api/backupServers/1"', "Href='/api/backupServers/1' Rel = 'Up'").encode(),
        PLAIN.replace(
            " ",
            ' xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ',
            1,
        ).encode(),
    ],
)
def test_bom_encoding_comments_indentation_and_quotes_have_no_meaning(body):
    item = _xml.parse(body).items[0]
    assert _xml.text(item, "State") == "Stopped"
    assert _xml.text(item, "Name") == "Plan"
    assert _xml.links(item) == [
        {"Rel": "Up", "Href": "/api/backupServers/1", "Type": "BackupServerReference", "Name": "a"}
    ]


def test_attribute_order_has_no_meaning():
    one = f'<EntityRef {NS} Type="T" Href="h" Name="n" UID="u"/>'
    other = f'<EntityRef UID="u" Name="n" Href="h" Type="T" {NS}/>'
    assert _xml.parse(one.encode()) == _xml.parse(other.encode())


def test_entities_are_decoded_exactly_once():
    body = '<EntityRef Type="T" Href="/a?x=1&amp;amp;y=2" Name="R&amp;D &quot;&#937;&quot; &lt;Plan&gt;&#x2F; &#39;&amp;lt;"/>'
    item = _xml.parse(body.encode()).items[0]
    assert item["Href"] == "/a?x=1&amp;y=2"
    assert item["Name"] == 'R&D "Ω" <Plan>/ \'&lt;'


def test_spaces_in_a_name_are_kept():
    assert _xml.text(_xml.parse(b'<EntityRef Type="T" Name=" two  spaces "/>').items[0], "Name") == " two  spaces "


# Documents that are almost XML


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("&#x1F;", "\ufffd"),
        ("&#0;", "\ufffd"),
        ("&#31;&#x8;", "\ufffd\ufffd"),
        ("&#x0000001f;", "\ufffd"),
        ("&#xFFFE;&#65535;", "\ufffd\ufffd"),
        ("&#x110000;&#99999999999;", "\ufffd\ufffd"),
        ("&#xD83D;&#xDE00;", "\U0001f600"),
        ("&#55357;&#xde00;", "\U0001f600"),
        ("&#x1F;&#xD83D;&#xDE00;&#xD83D;", "\ufffd\U0001f600\ufffd"),
        ("&#xDE00;&#xD83D;", "\ufffd\ufffd"),
        ("&#xD83D;-&#xDE00;", "\ufffd-\ufffd"),
        ("\0\x1f\x7f\ufffe", "\ufffd\ufffd\x7f\ufffd"),
        ("&#x1F;&#65;&#38;&#60;&#x1F600;&#x1FFFE;&amp;&lt;", "\ufffdA&<\U0001f600\U0001fffe&<"),
        ("&amp;#x1F;&#1;", "&#x1F;\ufffd"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_what_xml_does_not_allow_is_read(written, read, encoding):
    item = _xml.parse(f"<Run Type='T' Name='a{written}b'><Text>a{written}b</Text></Run>".encode(encoding)).items[0]
    assert (item["Name"], item["Text"]) == (f"a{read}b", f"a{read}b")
    assert _xml.error_text(f"<Error Message='a{written}b'/>".encode(encoding)) == f"a{read}b"


def test_what_looks_like_a_reference_stays_in_cdata_and_comments():
    body = "<Run Type='T'><!-- &#x1F; \x01 --><?p &#x1F;?><Text>&#1;<![CDATA[&#x1F;\x07<!--&#60;]]>&#1;<!-- --></Text></Run>"
    assert _xml.parse(body.encode()).items[0]["Text"] == "\ufffd&#x1F;\ufffd<!--&#60;\ufffd"


@pytest.mark.parametrize(
    ("declared", "body", "read"),
    [
        ("utf-16", b"\xc3\xa9", "é"),  # .NET's StringWriter declares it whatever it is sent as
        ("UTF-32", b"\xc3\xa9&#x1F;", "é\ufffd"),
        ("no-such", b"\xc3\xa9", "é"),
        ("cp037", b"\xc3\xa9", "é"),
        ("idna", b"\xc3\xa9", "é"),
        ("utf-8", b"\xe9\xff&#x1F;", "\ufffd\ufffd\ufffd"),
        ("windows-1252", b"\x80\xe9", "€é"),
        ("iso-8859-1", b"\xe9", "é"),
        ("us-ascii", b"\xe9", "\ufffd"),
    ],
)
def test_encodings(declared, body, read):
    document = b"<?xml version='1.0' encoding='%b'?><Run Type='T' Name='%b'/>" % (declared.encode(), body)
    assert _xml.parse(document).items[0]["Name"] == read
    assert _xml.error_text(document.replace(b"Run Type='T' Name", b"Error Message")) == read


@pytest.mark.parametrize("body", [b"\r\n<?xml version='1.0'?><Run/>\0\0\x1a", b"\xef\xbb\xbf\xef\xbb\xbf<Run/>"])
def test_what_stands_around_a_document_has_no_meaning(body):
    assert _xml.parse(body).root == "Run"


def test_an_empty_list_in_a_list_is_no_item():
    body = f'<FileSystemEntries {NS}><Links/><Directories/><Files><FileEntry Type="FileEntry"/></Files></FileSystemEntries>'
    assert _xml.parse(body.encode()).shape == _xml.ENTITIES


def test_a_root_with_texts_only_is_no_list():
    assert _xml.parse(f"<FlrSettings {NS}><Mode>Auto</Mode></FlrSettings>".encode()).shape == _xml.ENTITY


# Values and children


@pytest.mark.parametrize("value", ["", " ", "\n\t"])
def test_an_empty_and_a_blank_attribute_are_missing(value):
    assert _xml.text({"Name": value}, "Name") is None
    assert _xml.text(_xml.parse(f'<EntityRef Name="{value}"/>'.encode()).items[0], "Name") is None


@pytest.mark.parametrize("inner", ["", "<State/>", "<State></State>", "<State> \n </State>"])
def test_missing_empty_and_blank_are_alike(inner):
    assert _xml.text(_xml.parse(session(1, inner).encode()).items[0], "State") is None


def test_text_of_an_element_with_attributes():
    item = _xml.parse(session(1, '<State xsi="1">Working</State>').encode()).items[0]
    assert _xml.text(item, "State") == "Working"


def test_text_where_a_name_is_attribute_and_element():
    item = _xml.parse(session(1, "<State/><State>Working</State>").encode()).items[0]
    assert _xml.text(item, "State") == "Working"


@pytest.mark.parametrize(("text", "number"), [("100", 100), ("-1", -1), (None, None), ("many", None), ("1.5", None)])
def test_whole_number(text, number):
    assert _xml.whole_number(text) == number


TASK = '<CloudFailoverTasks VmName="vm{}"><State>Stopped</State></CloudFailoverTasks>'


@pytest.mark.parametrize("count", [1, 2, 7])
def test_nested_tasks_are_the_direct_children_of_their_container(count):
    tasks = "".join(TASK.format(number) for number in range(count))
    item = _xml.parse(session(1, f"<CloudFailoverTasks>{tasks}</CloudFailoverTasks>").encode()).items[0]
    assert [task["VmName"] for task in _xml.children(item, "CloudFailoverTasks")] == [
        f"vm{number}" for number in range(count)
    ]


@pytest.mark.parametrize("inner", ["", "<CloudFailoverTasks/>", "<CloudFailoverTasks>\n</CloudFailoverTasks>"])
def test_an_empty_task_container_has_no_children(inner):
    assert _xml.children(_xml.parse(session(1, inner).encode()).items[0], "CloudFailoverTasks") == []


def test_objects_outside_containers():
    item = _xml.parse(
        session(1, '<VmReplicaPointLink Href="a"/><VmReplicaPointLink Href="b"/><Other>t</Other>').encode()
    ).items[0]
    assert [link["Href"] for link in _xml.objects(item, "VmReplicaPointLink")] == ["a", "b"]
    assert _xml.objects(item, "Other") == _xml.objects(item, "Missing") == []


# What is refused


DOCTYPES = [
    '<!DOCTYPE x [<!ENTITY a "b">]>',
    '<!DOCTYPE x [<!ENTITY % a SYSTEM "http://127.0.0.1:1/x"> %a;]>',
    '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">',
    "<!DOCTYPE x>",
    '<!DOCTYPE x [<!ELEMENT x ANY><!ATTLIST x Name CDATA "made up">]>',
    '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;"><!ENTITY c "&b;&b;">]>',
]


@pytest.mark.parametrize("doctype", DOCTYPES)
@pytest.mark.parametrize("root", ["EntityRef", "v:EntityRef"])
def test_a_document_type_declaration_is_refused(doctype, root):
    body = f'{doctype}<{root} xmlns:v="http://www.veeam.com/ent/v1.0" Type="T" Name="n"/>'
    with pytest.raises(_xml.XmlError, match="^it has .*DTD"):
        _xml.parse(body.encode())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b" \r\n", "empty"),
        (b"<QueryResult><Entities>", "not well-formed"),
        (b"<a></b>", "not well-formed"),
        (b"\x00\x01\x02garbage", "not well-formed"),
        (b"plain words", "not well-formed"),
        (b"<a>&undefined;</a>", "not well-formed"),
        (b"\xff\xfe", "empty"),
        (b'{"Entities": {}}', "JSON.* for$"),
        (b' \n {"Entities": {}}', "JSON"),
        (b'\xef\xbb\xbf[{"a": 1}]', "JSON"),
        (b"<!DOCTYPE html><html><head><title>Sign in</title></head></html>", 'web page: "Sign in"'),
        (b"<html><body><p>Proxy says no<br></body></html>", "web page"),
        (b"<?xml version='1.0'?>\n<HTML><p/></HTML>", "web page"),
        (b"<html><head><title>Sign in</title></head></html>", "a web page"),
        (b'<Error Message="Broken" StatusCode="500" Status=""/>', "Error: Broken"),
        (b"<Error/>", "Error: without a message"),
    ],
)
def test_what_is_no_reply_of_em_is_refused_with_words(body, said):
    with pytest.raises(_xml.XmlError, match=f"^it .*{said}"):
        _xml.parse(body)


def nested(levels):
    return b"<a>" + b"<b><x/>" * (levels - 2) + b"<c/><c/>" + b"</b>" * (levels - 2) + b"</a>"


def test_the_depth_of_a_document_has_a_limit():
    assert _xml.parse(nested(_xml.MAX_DEPTH // 2)).root == "a"
    with pytest.raises(_xml.XmlError, match=f"^its elements .* more than {_xml.MAX_DEPTH} levels"):
        _xml.parse(nested(_xml.MAX_DEPTH + 2))


def test_the_number_of_tags_has_a_limit(monkeypatch):
    monkeypatch.setattr(_xml, "MAX_TAGS", 10)
    assert _xml.parse(b"<a>" + b"<b/>" * 8 + b"</a>").root == "a"
    with pytest.raises(_xml.XmlError, match="^it has more than 10 tags; .*smaller page_size$"):
        _xml.parse(b"<a>" + b"<b/>" * 9 + b"</a>")


def test_a_root_without_content_is_an_entity_without_values():
    document = _xml.parse(b"<LogonSession/>")
    assert (document.shape, document.items) == (_xml.ENTITY, [{}])


# Errors


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", None),
        (b"  \r\n", None),
        (b"\xef\xbb\xbf", None),
        (
            b'<Error Message="Something went wrong" StatusCode="500" Status="" xmlns="http://www.veeam.com/ent/v1.0"/>',
            "Something went wrong",
        ),
        (
            b'<Error Message="Outer"><FirstChanceExceptionMessage>inner</FirstChanceExceptionMessage><StackTrace/></Error>',
            "Outer / inner",
        ),
        (b'<Error Message="Same"><FirstChanceExceptionMessage>Same</FirstChanceExceptionMessage></Error>', "Same"),
        (
            b"<v:Error xmlns:v='x'><v:FirstChanceExceptionMessage>inner</v:FirstChanceExceptionMessage></v:Error>",
            "inner",
        ),
        (b'<Error Message="a"><StackTrace>at Veeam.Secret.Method()</StackTrace></Error>', "a"),
        (
            b'{"FirstChanceExceptionMessage":null,"Message":"Went wrong","StackTrace":null,"StatusCode":400}',
            "Went wrong",
        ),
        (b'\xef\xbb\xbf{"message":"camel","firstChanceExceptionMessage":"inner"}', "camel / inner"),
        (b"<Error><StackTrace>at Veeam.Secret.Method()</StackTrace></Error>", None),
        (b"<Error/>", None),
        (b'{"Message":null,"StatusCode":500,"StackTrace":"at Veeam.Secret.Method()"}', None),
        (b'{"other": 1}', '{"other": 1}'),
        (b'{"Message": ', '{"Message":'),
        (b"[1]", "[1]"),
        (b"[" * 100000, "[" * _xml.MAX_ERROR),
        (b"Bad Request - Invalid Hostname", "Bad Request - Invalid Hostname"),
        (b"<html><head><title>502 Bad\nGateway</title></head></html>", 'a web page: "502 Bad Gateway"'),
        (b"<HTML><HEAD><TITLE>Service &amp; more</TITLE></HEAD></HTML>", 'a web page: "Service & more"'),
        (b"<HTML><HEAD><TITLE></TITLE></HEAD><BODY><h2>Service<hr></BODY></HTML>", "a web page"),
        (b'<!DOCTYPE html SYSTEM "x"><html><title>T</title></html>', 'a web page: "T"'),
        ("größer".encode(), "größer"),
        (b"caf\xe9", "caf\ufffd"),
    ],
)
def test_error_text(body, said):
    assert _xml.error_text(body) == said


@pytest.mark.parametrize(
    "body",
    [
        "<EntityReferences><Ref/></EntityReferences>",
        "<CloudFailoverSessions><CloudFailoverSession UID='urn:x:1'/><CloudFailoverSession/></CloudFailoverSessions>",
        "<QueryResult><Entities><A><CloudFailoverSession/></A></Entities></QueryResult>",
        "<QueryResult><Refs><Ref/></Refs></QueryResult>",
    ],
)
def test_an_item_without_content_is_not_one_item_less(body):
    with pytest.raises(_xml.XmlError, match="without content"):
        _xml.parse(body.encode())


@pytest.mark.parametrize(
    ("value", "guid"),
    [
        (f"/api/x/{'0' * 8}{GUID[8:]}/y/{GUID.upper()}?z", GUID),
        (f"urn:x:{GUID}", GUID),
        ("urn:x:1", None),
        ("", None),
        (None, None),
    ],
)
def test_the_last_guid_in_lower_case(value, guid):
    assert _xml.guid(value) == guid


def test_identity():
    assert _xml.identity({"UID": f"urn:veeam:X:{GUID.upper()}"}) == GUID
    assert _xml.identity({"Href": f"https://h/api/x/{GUID}/?format=Entity"}) == GUID
    assert _xml.identity({"UID": "urn:veeam:X:ABC"}) == "urn:veeam:x:abc"
    assert _xml.identity({"UID": "urn:veeam:X:ABC", "Href": f"https://h/api/x/{GUID}"}) == GUID
    assert _xml.identity({}) == ""


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("<LogonSession><SessionId>1-2</SessionId></LogonSession>", "/api/logonSessions/1-2"),
        ("<LogonSession><SessionId>a/../b</SessionId></LogonSession>", None),
        ("<LogonSession><SessionId>..</SessionId></LogonSession>", None),
        (
            '<LogonSession><Links><Link Rel="Down" Href="d"/><Link Rel="Delete" Href="https://h:1/api/logonSessions/x"/></Links></LogonSession>',
            "https://h:1/api/logonSessions/x",
        ),
        # What is no logon would be deleted.
        (
            '<LogonSession><Links><Link Rel="Delete" Href="/api/cloud/cloudFailoverPlans/7"/></Links></LogonSession>',
            None,
        ),
        (
            '<LogonSession><Links><Link Rel="Delete" Href="/api/logonSessions/../jobs/7"/></Links><SessionId>1-2</SessionId></LogonSession>',
            "/api/logonSessions/1-2",
        ),
        (
            '<LogonSession><Links><Link Rel="Delete" Href="/api/logonSessions/%2e%2e/jobs"/></Links></LogonSession>',
            None,
        ),
        ("<LogonSession><Links/></LogonSession>", None),
        ("<EntityReferences/>", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_log_off_path(body, path):
    assert _xml.log_off_path(body.encode()) == path


@pytest.mark.parametrize(
    "value",
    [
        "{0}",
        "urn:veeam:CloudFailoverSession:{0}",
        "https://em:9398/api/cloud/failoverSessions/{0}",
        "https://em:9398/api/cloud/failoverSessions/{0}?format=Entity",
        "/api/cloud/failoverSessions/{0}/",
        "/api/backupServers/{1}/cloud/failoverSessions/{0}",
        "/api/backupServers/{1}?session={0}",
        "/api/sessions/{1}?a-b={0}&format=Entity",
    ],
)
def test_the_last_guid_counts_in_lower_case(value):
    one, other = "475420EE-D045-4493-9869-0A970E08F6F9", "8FFF3B8E-C3F1-4EF5-AECC-561F07BF9982"
    assert _xml.guid(value.format(one, other)) == one.lower()


@pytest.mark.parametrize("value", [None, "", "no guid", "475420ee-d045-4493-9869", "?-"])
def test_where_there_is_no_guid(value):
    assert _xml.guid(value) is None
