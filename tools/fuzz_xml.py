# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fuzz the XML reader, guided by coverage: from the bytes of a reply to facts and to the text of an error.

Anything but the documented outcomes is a finding: an exception other than XmlError (or, for an item without id,
ValueError), facts that are no plain data, an input that takes longer than LONGEST. Used by ``make fuzz``; see
docs/quality.md.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path

import atheris

REPO = Path(__file__).resolve().parents[1]
LONGEST = 2.0
"""Seconds for one input of at most LARGEST bytes."""
LARGEST = 64 * 1024
WORDS = (
    *(
        "&#x1F;",
        "&#0;",
        "&#xD83D;&#xDE00;",
        "&#56832;",
        "&#xFFFE;",
        "&#99999999999;",
        "\x1f",
        "encoding='windows-1252'",
    ),
    *("<?xml version='1.0' encoding='utf-8'?>", "encoding='utf-16'", "<!DOCTYPE x [<!ENTITY a 'b'>]>", "&a;", "&#10;"),
    *("<!--", "-->", "<![CDATA[", "]]>", "<?x ?>", "xmlns:v='x'", "v:", "/>", "</", "=''", "\ufeff", "\ufffe"),
    *("<QueryResult>", "<Entities>", "<Refs>", "<Ref ", "<Resources>", "<PagingInfo ", "PagesCount='2'", "Rel='Next'"),
    *("<EntityReferences>", "<EntityRef ", "<CloudFailoverSessions>", "<CloudFailoverSession ", "<CloudFailoverTasks>"),
    *("<Links>", "<Link ", "Rel='Up'", "Rel='Delete'", "Type='BackupServerReference'", "<LogonSession>", "<SessionId>"),
    *("<State>Stopped</State>", "<Result>None</Result>", "<Progress>", "<CreationTimeUTC>2026-03-01T02:11:16.1234567Z"),
    *("<EndTimeUTC>", "UID='urn:veeam:CloudFailoverSession:475420ee-d045-4493-9869-0a970e08f6f9'", "Href='//x/"),
    *("<Error ", "Message='", "<FirstChanceExceptionMessage>", '{"Message":', '"StatusCode":', "<html>", "<title>"),
)

with atheris.instrument_imports(include=["core", "xmltodict"]):
    # The core is loaded as a package of its own, without Ansible.
    package = types.ModuleType("core")
    package.__path__ = [str(REPO / "plugins" / "module_utils")]
    sys.modules["core"] = package
    _xml = importlib.import_module("core._api.xml")
    _failover_session = importlib.import_module("core._failover.session_facts")
    _failover_plan = importlib.import_module("core._failover.plans")


def read(data: bytes) -> None:
    """All that the client does with a reply's bytes."""
    start = time.monotonic()
    try:
        document = _xml.parse(data)
    except _xml.XmlError as exc:
        assert str(exc)
    else:
        for item in document.items:
            plain(_failover_plan.plan_facts(item))
            try:
                facts = _failover_session.session_facts(item)
            except ValueError as exc:
                if "neither a UID nor an Href" not in str(exc):
                    raise
            else:
                plain(facts)
    for said in (_xml.error_text(data), _xml.log_off_path(data)):
        assert said is None or isinstance(said, str)
    taken = time.monotonic() - start
    assert taken < LONGEST, f"{taken:.1f} seconds for {len(data)} bytes"


def plain(facts: dict[str, object]) -> None:
    """Facts are plain data and the same after a way through JSON."""
    assert json.loads(json.dumps(facts)) == facts


def seeds() -> Iterator[bytes]:
    """The replies of the reference, what the emulator makes of them in every style, and other bodies that occur."""
    sys.path.insert(0, str(REPO / "tests"))
    from emulator import render, shapes
    from emulator.clock import Clock
    from emulator.logons import DEFAULT_USERS, Logons
    from emulator.sample_data import documented_plans, documented_sessions
    from emulator.world import World

    for reply in sorted(REPO.glob("tests/emulator/replies/*.xml")):
        yield reply.read_bytes()
        yield reply.read_text(encoding="utf-8-sig").replace('encoding="utf-8"', "").encode("utf-16")
    world = World(Clock())
    world.add(documented_sessions())
    world.add_session("R&D \u03a9", tasks=[{"vm_name": "db", "result": "Failed", "failure_message": "no memory"}])
    world.add_plans(documented_plans())
    sessions, plans = world.views(), list(world.plans)
    logon = Logons(world.clock, DEFAULT_USERS).log_on(DEFAULT_USERS[0])
    for style in (
        render.Style(),
        render.Style(version=13, xml_prefix="v", empty_containers="omit", query_order=True),
        render.Style(bom=True, indent=True, href_base="https://em:9398"),
    ):
        paging = shapes.paging_info(style, 1, 100, 2, {"Next": "/api/query?type=CloudFailoverSession&page=2"})
        for tree in (
            shapes.query_result("CloudFailoverSession", sessions, True, paging, style),
            shapes.query_result("CloudFailoverSession", sessions, False, paging, style),
            shapes.query_result("CloudFailoverPlan", plans, True, paging, style),
            shapes.entity_list("CloudFailoverSession", sessions, style),
            shapes.reference_list("CloudFailoverSession", sessions, style),
            shapes.session_entity(sessions[-1], style),
            shapes.logon_session(logon, style),
            shapes.plan_includes(plans[0], style),
        ):
            yield render.to_bytes(tree, style)[1]
    for odd in (b"&#x1F;", b"&#xD83D;&#xDE00;&#57343;", b"\x1f\xff", b"<![CDATA[&#x1F;\x07]]>"):
        yield (
            b"<?xml version='1.0' encoding='utf-16'?><Runs xmlns='http://www.veeam.com/ent/v1.0'><Run UID='x'>%b</Run></Runs>"
            % odd
        )
    yield b'<Error Message="Outer" StatusCode="500"><FirstChanceExceptionMessage>inner</FirstChanceExceptionMessage></Error>'
    yield b'{"FirstChanceExceptionMessage":null,"Message":"Went wrong","StackTrace":null,"StatusCode":400}'
    yield b"<!-- x --><!DOCTYPE html><html><head><title>Sign in</title></head><script>x</script><p>Words</html>"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=REPO / ".cache" / "fuzz", help="keeps the corpus between runs")
    given = parser.parse_args()
    corpus, first = given.folder / "corpus", given.folder / "seeds"
    for folder in (corpus, first):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds()):
        (first / f"{number:03}").write_bytes(seed)
    dictionary = given.folder / "words"
    escaped = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in WORDS)
    dictionary.write_text("".join(f'"{word}"\n' for word in escaped), encoding="ascii")
    print(
        f"atheris on {platform.python_implementation()} {platform.python_version()}, {platform.platform()}", flush=True
    )
    options = [
        f"-max_total_time={given.seconds}",
        f"-max_len={LARGEST}",
        f"-dict={dictionary}",
        f"-artifact_prefix={given.folder}/finding-",
        "-rss_limit_mb=2048",
        "-timeout=10",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus), str(first)], read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
