# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-doc shows is what roles and plugins take and give, in descriptions and in examples."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import jinja2
import programs
import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.dr_runbook.veeam_em.plugins.filter.failover_portfolio import failover_portfolio
from ansible_collections.dr_runbook.veeam_em.plugins.filter.failover_report import failover_report
from ansible_collections.dr_runbook.veeam_em.plugins.filter.failover_verdict import failover_verdict

REPO = Path(__file__).resolve().parents[2]
COLLECTION = "dr_runbook.veeam_em."
ROLES = sorted(path.name for path in REPO.glob("roles/*"))
# Of a default, and how it is documented; test_ansible_leaves_it_to_the_roles_to_refuse_a_key says why a dictionary is raw.
TYPES = {bool: "bool", int: "int", list: "list", dict: "raw", str: "str"}


def read(path):
    return yaml.safe_load(REPO.joinpath(path).read_text(encoding="utf-8"))


def spec_of(role):
    return read(f"roles/{role}/meta/argument_specs.yml")["argument_specs"]["main"]


def texts_of(role, *folders):
    return "\n".join(
        path.read_text(encoding="utf-8")
        for folder in folders
        for path in sorted(REPO.glob(f"roles/{role}/{folder}/*.yml"))
    )


@pytest.fixture(scope="module")
def documented(tmp_path_factory):
    """What ansible-doc knows, by kind and name: its options, examples and values."""
    environment = programs.ansible_environment(tmp_path_factory.mktemp("home"))
    command = ["ansible-doc", "--json", "--metadata-dump", "--no-fail-on-errors", COLLECTION.rstrip(".")]
    done = programs.run(command, env=environment, stderr=subprocess.DEVNULL)
    assert done.returncode == 0, done.output
    found = json.loads(done.output)["all"]
    return {kind: {name.removeprefix(COLLECTION): entry for name, entry in found[kind].items()} for kind in found}


# Roles


@pytest.mark.parametrize("role", ROLES)
def test_each_option_of_a_role_has_the_default_that_is_documented(role):
    options, defaults = spec_of(role)["options"], read(f"roles/{role}/defaults/main.yml")
    own = {name: option for name, option in options.items() if name.startswith(f"{role}_")}
    assert set(defaults) == {name for name, option in own.items() if not option.get("required")}
    fixed = {name: value for name, value in defaults.items() if value is not None and "{{" not in str(value)}
    assert {name: option["default"] for name, option in own.items() if "default" in option} == fixed
    assert {name: own[name]["type"] for name in fixed} == {name: TYPES[type(value)] for name, value in fixed.items()}


@pytest.mark.parametrize("role", ROLES)
def test_each_variable_that_a_role_uses_is_an_option_or_its_own_and_each_option_is_used(role):
    options = set(spec_of(role)["options"])
    own = texts_of(role, "tasks", "vars")
    used = set(re.findall(rf"\b{role}_[a-z0-9_]+", re.sub(r"^ *#.*$", "", own, flags=re.MULTILINE)))
    others = "\n".join(path.read_text(encoding="utf-8") for path in REPO.glob("playbooks/**/drill_*.yml"))
    roles = own + others + "".join(texts_of(other, "tasks") for other in ROLES if other != role)
    set_by_tasks = {
        name for name in used if re.search(rf"^ *{name}:|(register|loop_var): {name}$", roles, re.MULTILINE)
    }
    assert used - set_by_tasks <= options
    assert {name for name in options if not re.search(rf"\b{name}\b", own)} == set()


@pytest.mark.parametrize("role", ROLES)
def test_the_passwords_of_a_role_are_not_logged(role):
    options = spec_of(role)["options"]
    assert {name for name, option in options.items() if option.get("no_log")} == {
        name for name in options if "password" in name
    }


def shape(options):
    """What can be given: names, types, what is required, defaults; all the way down."""
    return {
        name: {
            **{key: option[key] for key in ("elements", "required", "default") if option.get(key) is not None},
            "type": option.get("type", "str"),
            "keys": shape(option.get("suboptions") or option.get("options") or {}),
        }
        for name, option in options.items()
    }


def filter_options(name):
    return shape(read(f"plugins/filter/{name}.yml")["DOCUMENTATION"]["options"])


def test_the_keys_of_an_option_of_a_role_are_those_of_its_filter():
    targets = filter_options("failover_verdict")
    for name in ("_input", "plan", "session_source", "problems"):
        del targets[name]
    options = shape(spec_of("failover_run")["options"])
    assert options["failover_run_targets"]["keys"] == targets
    options = shape(spec_of("failover_readiness")["options"])
    assert options["failover_readiness_policy"]["keys"] == filter_options("failover_readiness")["policy"]["keys"]
    options, report = shape(spec_of("failover_report")["options"]), filter_options("failover_report")
    with_keys = {name: option["keys"] for name, option in report.items() if option["keys"]}
    assert set(with_keys) == {"participants", "details", "checks", "findings", "undo"}
    assert {name: options[f"failover_report_{name}"]["keys"] for name in with_keys} == with_keys
    # The role reads manifests and logo, knows the policy by its own name, finds out how it knows the operator, and creates no report again.
    own = {"_input", "dates", "files", "manifests", "operator_source", "policy"}
    assert {f"failover_report_{name}" for name in set(report) - own} == set(options) - {
        "failover_report_session",
        "failover_report_directory",
    }


def test_ansible_leaves_it_to_the_roles_to_refuse_a_key():
    """Their sentences say what is accepted, and that nothing was started."""
    for role in ROLES:
        for name, option in spec_of(role)["options"].items():
            if "options" in option:
                assert "raw" in (option["type"], option.get("elements")), name


def keys_described(role, fact):
    """The names that the description has after this fact, one in a line."""
    lines = spec_of(role)["description"]
    first = next(place for place, line in enumerate(lines) if f"fact V({fact})" in line)
    found = []
    for line in lines[first + 1 :]:
        if not line.startswith("C("):
            break
        found += re.findall(r"C\(([a-z_]+)\)", re.split(" is | has | have | are ", line)[0])
    return found


def test_the_result_of_each_role_is_described():
    (set_fact,) = [
        task["ansible.builtin.set_fact"]["failover_run_result"]
        for task in read("roles/failover_run/tasks/steps.yml")
        if "ansible.builtin.set_fact" in task
    ]
    assert sorted(keys_described("failover_run", "failover_run_result")) == sorted(set_fact)
    recorded = re.search(r"failover_history_result: >-(.*?)\n\n", texts_of("failover_history", "tasks"), re.DOTALL)[1]
    assert keys_described("failover_history", "failover_history_result") == re.findall(r"'(\w+)':", recorded)
    judged = re.search(
        r"failover_readiness_result: >-(.*?)\n  vars:", texts_of("failover_readiness", "tasks"), re.DOTALL
    )[1]
    returned = read("plugins/filter/failover_readiness.yml")["RETURN"]["_value"]["contains"]
    assert keys_described("failover_readiness", "failover_readiness_result") == [
        *returned,
        *re.findall(r"'(\w+)':", judged),
    ]


def test_ansible_doc_shows_keys_and_what_is_required(tmp_path):
    command = ["ansible-doc", "-t", "role", *(COLLECTION + role for role in ROLES)]
    done = programs.run(command, env=programs.ansible_environment(tmp_path, COLUMNS="200"), stderr=subprocess.DEVNULL)
    assert done.returncode == 0, done.output
    for name in ("failover_run_plan", "failover_readiness_policy", "match", "failover_report_session", "finding"):
        assert re.search(rf"^ *= {name}\b", done.output, re.MULTILINE), name
    for name in ("failover_run_targets", "rto", "required_vms", "critical_vms", "failover_history_store"):
        assert re.search(rf"^ *- {name}\b", done.output, re.MULTILINE), name
    assert "failover_run_result" in done.output and "known_sessions" in done.output


# Filters


@pytest.mark.parametrize(
    ("call", "others"),
    [(failover_portfolio, {"history"}), (failover_report, set()), (failover_verdict, {"problems", "session_source"})],
)
def test_the_options_of_a_filter_are_those_that_it_names_if_one_is_unknown(call, others):
    with pytest.raises(AnsibleFilterError) as error:
        call({}, unknown=1)
    named = re.search(r"(?:Options|Targets) are: (.*)\.$", str(error.value))[1].split(", ")
    assert set(filter_options(call.__name__)) - {"_input"} == set(named) | others


# Examples


def mentions(node, path=()):
    """Each use of something of the collection: kind, name, given options by name; other keyword arguments are None."""
    if isinstance(node, list):
        for item in node:
            yield from mentions(item)
    if isinstance(node, str):
        yield from in_template(node)
    if not isinstance(node, dict):
        return
    for key, value in node.items():
        kind = key.removeprefix("ansible.builtin.")
        if key.startswith(COLLECTION):
            yield "module", key.removeprefix(COLLECTION), value or {}
        if kind in ("include_role", "import_role"):
            yield "role", value["name"].removeprefix(COLLECTION), node.get("vars", {})
        if kind == "roles":
            for role in value:
                yield "role", role["role"].removeprefix(COLLECTION), role.get("vars", {})
        yield from mentions(value)


def in_template(text):
    if "{{" not in text and "|" not in text:
        return
    template = jinja2.Environment().parse(text if "{{" in text else "{{ " + text + " }}")
    for node in template.find_all((jinja2.nodes.Filter, jinja2.nodes.Call)):
        name, kind = getattr(node, "name", None), "filter"
        if isinstance(node, jinja2.nodes.Call):
            is_lookup = isinstance(node.node, jinja2.nodes.Name) and node.node.name in ("lookup", "query")
            name, kind = (node.args[0].as_const(), "lookup") if is_lookup else (None, None)
        elif name in ("map", "select") and node.args:
            name = node.args[0].as_const()
        if name and name.startswith(COLLECTION):
            given = {argument.key: None for argument in node.kwargs}
            if kind == "filter" and node.name == name:
                positional = read(f"plugins/filter/{name.rpartition('.')[2]}.yml")["DOCUMENTATION"]["positional"].split(
                    ", "
                )
                given.update(dict.fromkeys(positional[: len(node.args) + 1]))
            yield kind, name.removeprefix(COLLECTION), given


def options_of(documented, kind, name):
    entry = documented[kind][name]
    return entry["entry_points"]["main"]["options"] if kind == "role" else entry["doc"]["options"]


def problems_of(documented, kind, name, given):
    """What is wrong with options that an example gives."""
    options = options_of(documented, kind, name)
    aliases = {alias: option for option, entry in options.items() for alias in entry.get("aliases", [])}
    for option, value in given.items():
        entry = options.get(aliases.get(option, option))
        if entry is None:
            yield f"{name} has no option {option}"
        elif entry.get("choices") and value is not None and "{{" not in str(value):
            for item in value if isinstance(value, list) else [value]:
                if item not in entry["choices"]:
                    yield f"{name} does not accept {item} as {option}"
    for option, entry in options.items():
        if (
            entry.get("required")
            and option not in given
            and option not in ("url", "username", "password", "_input", "_terms")
        ):
            yield f"{name} needs {option}"


def examples_of(documented):
    for kind, entries in documented.items():
        for name, entry in entries.items():
            if kind == "role":
                yield kind, name, entry["entry_points"]["main"].get("examples")
            elif entry.get("doc"):
                yield kind, name, entry["examples"]


def test_each_example_gives_what_is_required_and_nothing_that_does_not_exist(documented):
    problems, seen = [], set()
    for kind, name, examples in examples_of(documented):
        if kind == "module_utils" or name.startswith("_"):
            continue
        assert examples, f"{kind} {name} has no example"
        found = [use for document in yaml.safe_load_all(examples) for use in mentions(document)]
        if kind == "inventory":
            found = [(kind, name, document) for document in yaml.safe_load_all(examples) if document]
        assert (kind, name) in {use[:2] for use in found}, f"the example of {kind} {name} does not use it"
        seen.add((kind, name))
        for use in found:
            problems += [f"{kind} {name}: {problem}" for problem in problems_of(documented, *use)]
    assert problems == []
    assert {kind for kind, dummy in seen} == {"module", "filter", "lookup", "inventory", "role"}
    plugins = [
        path for kind in ("modules", "filter", "lookup", "inventory") for path in REPO.glob(f"plugins/{kind}/*.py")
    ]
    assert len(seen) == len(ROLES) + len(plugins)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("failover_verdict(rtoo='1h')", "failover_verdict has no option rtoo"),
        ("failover_readiness(policy)", "failover_readiness needs now"),
        ("failover_report(action='test', undone=true)", "failover_report has no option undone"),
    ],
)
def test_a_wrong_example_would_be_found(documented, given, problem):
    ((kind, name, options),) = mentions({"msg": "{{ x | dr_runbook.veeam_em." + given + " }}"})
    assert list(problems_of(documented, kind, name, options)) == [problem]


# Values


def differences(value, contains, path):
    """Where a value and its documentation do not have the same keys. A description can name others that are there, too."""
    descriptions = [str(entry["description"]) for entry in contains.values()]
    others = {name for text in descriptions if " are here, too" in text for name in re.findall(r"C\((\w+)\)", text)}
    if set(value) != set(contains) | others:
        yield path, set(value) ^ (set(contains) | others)
    for name, entry in contains.items():
        inner = value.get(name)
        inner = inner[0] if entry["type"] == "list" and inner else inner
        if "contains" in entry and inner:
            yield from differences(inner, entry["contains"], f"{path}.{name}")


def test_each_value_of_a_filter_is_documented_and_no_other():
    run = {"state": "Stopped", "result": "Success", "failure_message": None}
    times = {"creation_time": "2026-03-02T08:00:06.000000Z", "end_time": "2026-03-02T08:18:12.000000Z"}
    session = {"id": "475420ee-d045-4493-9869-0a970e08f6f9", "name": "Acme", **run, **times, "duration": 1086.0}
    session["tasks"] = [{"vm_name": "db", **run, **times, "replica_point": None}]
    known = failover_verdict(session, rto="1m", vm_rto={"db": "1m"})
    report = failover_report(session, verdict=known, action="test")
    earlier = {file["name"]: file["content"] for file in report["files"] if file["kind"] == "sha256"}
    report = failover_report({**session, "name": "Acme 2"}, manifests=earlier)
    for name, value in (("failover_verdict", known), ("failover_report", report)):
        contains = read(f"plugins/filter/{name}.yml")["RETURN"]["_value"]["contains"]
        assert list(differences(value, contains, name)) == []
