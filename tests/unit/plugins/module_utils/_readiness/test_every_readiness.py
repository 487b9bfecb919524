# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another reading of docs/readiness.md, which shares no code with plugins/, says the same of random histories."""

from __future__ import annotations

import fnmatch
import random
import re
from collections import Counter
from datetime import datetime, timedelta
from statistics import median

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._readiness.status import readiness

NOW = datetime(2026, 11, 28, 20)
DAY = timedelta(days=1)
CODES = """
failed: not_passed retest_due retest_overdue
never_tested: never_tested
overdue: overdue
in_failover: in_failover
changed: vm_added vm_removed vm_reordered
partial: vm_not_exercised vm_overdue
due: due
no_policy: no_policy no_interval
unproven: only_undo run_not_finished kind_unknown plan_unknown plan_without_vms no_vms_listed gap no_look look_old
unproven: copy_age_unknown copy_stale plans_unread failover_unknown
"""
STATUS_OF = {code: status for status, those in re.findall(r"(\w+):(.*)", CODES) for code in those.split()}
ORDER = [*dict.fromkeys(STATUS_OF.values()), "ready"]


# The independent reading


def when(text):
    return text and datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")


def seconds(value):
    if value in (None, 0):
        return value
    number, unit = re.fullmatch(r"(\d+)([dhms])", value).groups()
    return int(number) * {"d": 86400, "h": 3600, "m": 60, "s": 1}[unit]


def choose_policy(plan, policies):
    def allowed(pattern, name):
        return pattern is None or pattern == name or fnmatch.fnmatchcase(name, pattern)

    usable = [
        policy
        for policy in policies
        if allowed(policy.get("tenant"), ((plan.get("tenant") or {}).get("name") or ""))
        and allowed(policy.get("backup_server"), (plan["backup_server"] or {}).get("name") or "")
    ]
    for policy in usable:
        if policy["match"] == plan["name"]:
            return policy
    for policy in usable:
        if fnmatch.fnmatchcase(plan["name"], policy["match"]):
            return policy
    return None


def server_matches(one, other):
    """Yes, no, or None where nobody says."""
    if not one or not other:
        return None
    if one["id"] and other["id"]:
        return one["id"] == other["id"]
    return one["name"] == other["name"] if one["name"] and other["name"] else None


def good(thing, policy):
    return thing["finished"] and thing["result"] in (
        ["Success"] if policy.get("allow_warnings") is False else ["Success", "Warning"]
    )


def up(session, name, number, policy):
    entries = [task for task in session["tasks"] if task["vm_name"] == name]
    return len(entries) >= number and all(good(task, policy) for task in entries)


def oldest_age(session):
    created = [task["replica_point"]["creation_time"] for task in session["tasks"]]
    if not created or None in created:
        return None
    age = (when(session["creation_time"]) - min(when(text) for text in created)).total_seconds()
    return age if age >= 0 else None


def why_not(session, policy):
    verdict, found = session["verdict"], []
    failed = [task for task in session["tasks"] if task["result"] == "Failed"]
    if verdict:
        if not verdict["passed"]:
            found = [item["code"] for item in verdict["reasons"]] or ["verdict_not_passed"]
    else:
        if failed:
            found.append("vm_failed")
        if session["result"] == "Failed" and not failed:
            found.append("failed")
        if session["result"] not in ("Success", "Warning", "Failed"):
            found.append("no_result")
        if session["result"] == "Warning" and policy.get("allow_warnings") is False:
            found.append("warning")
    if (verdict and verdict["passed"]) or session["result"] in ("Success", "Warning"):
        for target, known, names in (
            (seconds(policy.get("rto")), session["duration"], ("rto_unknown", "rto_missed")),
            (seconds(policy.get("rpo")), oldest_age(session), ("rpo_unknown", "rpo_missed")),
        ):
            if target is not None and (known is None or known > target):
                name = names[known is not None]
                if name not in found:
                    found.append(name)
    if any(not up(session, name, 1, policy) for name in policy.get("critical_vms") or []):
        found.append("critical_vm")
    return found


def over(text, now):
    return now >= (when(text) if "T" in text else datetime.strptime(text, "%Y-%m-%d") + DAY)


def expected(history, policies, now):
    plans = [plan for plan in history["failover_plans"] if not plan["deleted"]]
    if not history["failover_plans"]:
        groups = []
        for session in sorted(history["failover_sessions"], key=lambda session: session["creation_time"]):
            for group in groups:
                same = server_matches(group["backup_server"], session["backup_server"])
                if same or group["backup_server"] == session["backup_server"]:
                    group["backup_server"] = session["backup_server"]
                    break
            else:
                groups.append(
                    {
                        "em_name": "em",
                        "id": None,
                        "name": "Plan",
                        "vms": None,
                        "backup_server": session["backup_server"],
                    }
                )
        plans = groups
    return {(plan["id"], str(plan["backup_server"])): read_plan(plan, plans, history, policies, now) for plan in plans}


def read_plan(plan, plans, history, policies, now):
    chosen = choose_policy(plan, policies)
    policy = chosen or {}
    sessions = []
    for session in history["failover_sessions"]:
        same = server_matches(session["backup_server"], plan["backup_server"])
        if same is not False:
            possible = [
                each for each in plans if server_matches(session["backup_server"], each["backup_server"]) is not False
            ]
            sessions.append({**session, "kind": "unknown"} if len(possible) > 1 else session)
    sessions.sort(key=lambda session: session["creation_time"], reverse=True)

    def counts(session):
        return session["kind"] in ("test", "failover") and session["finished"]

    counting = [session for session in sessions if counts(session)]
    newest = counting[0] if counting else None
    passed = [session for session in counting if not why_not(session, policy)]
    last = passed[0] if passed else None
    vms = plan["vms"] or []
    every, grace, warn = (seconds(policy.get(name)) or 0 for name in ("test_every", "grace", "warn_before"))
    due = when(last["end_time"]) + timedelta(seconds=every) if last and every else None
    look = max(history["looks"], key=lambda look: look["seen_at"], default=None)
    found, retest_due = [], None

    if newest and newest not in passed:
        found += ["not_passed", *why_not(newest, policy)]
        if policy.get("retest_within"):
            retest_due = when(newest["end_time"]) + timedelta(seconds=seconds(policy["retest_within"]))
            found.append("retest_overdue" if now > retest_due else "retest_due")
    if not sessions:
        found.append("never_tested")
    if due and now > due + timedelta(seconds=grace):
        found.append("overdue")

    flag = flag_of(plan, plans, sessions, newest, newest in passed, look, history)
    if flag:
        found.append("in_failover")

    names = Counter(vm["name"] for vm in vms)
    success = {}
    for name, number in names.items():
        success[name] = next((session for session in counting if up(session, name, number, policy)), None)
    drift = None
    if last:
        before = then(plan, last)
        if before and vms:
            drift = difference(before, vms)
            found += [code for code, key in zip(("vm_added", "vm_removed", "vm_reordered"), drift) if drift[key]]
        known = [name for name in names if not drift or name not in drift["added"]]
        if any(success[name] is None for name in known):
            found.append("vm_not_exercised")
        limit = now - timedelta(seconds=every + grace)
        old = [name for name in known if success[name] and when(success[name]["end_time"]) < limit]
        if every and old and when(last["end_time"]) >= limit:
            found.append("vm_overdue")
    if due and due - timedelta(seconds=warn) <= now <= due + timedelta(seconds=grace):
        found.append("due")
    if chosen is None:
        found.append("no_policy")
    elif not every:
        found.append("no_interval")

    no_undo = [session for session in sessions if session["kind"] != "undo"]
    if sessions and not no_undo:
        found.append("only_undo")
    if no_undo and no_undo[0] is not newest:
        found.append("kind_unknown" if no_undo[0]["finished"] else "run_not_finished")
    if plan["vms"] is None:
        found.append("plan_unknown")
    elif not vms:
        found.append("plan_without_vms")
    if last and not last["tasks"]:
        found.append("no_vms_listed")
    if last and any(when(gap["to"]) > when(last["end_time"]) for gap in history["gaps"]):
        found.append("gap")
    if not look:
        found.append("no_look")
    else:
        if now - when(look["seen_at"]) > 30 * DAY:
            found.append("look_old")
        elif not look["collected_at"]:
            found.append("copy_age_unknown")
        elif when(look["seen_at"]) - when(look["collected_at"]) > DAY:
            found.append("copy_stale")
        if "plans" in look["missing"]:
            found.append("plans_unread")
        if sessions and flag is None:
            found.append("failover_unknown")

    statuses = {STATUS_OF[code] for code in found if code in STATUS_OF}
    notes = [
        note
        for note in history["notes"]
        if note.get("plan", "") in (plan["id"], plan["name"])
        or note.get("session_id") in [each["id"] for each in sessions]
    ]
    waivers = [note for note in notes if note["type"] == "waiver"]  # as they were recorded, whatever EM's clock said
    return {
        "status": next((status for status in ORDER if status in statuses), "ready"),
        "codes": found,
        "in_failover": flag,
        "next_due": due,
        "retest_due": retest_due,
        "last_passed": last and last["id"],
        "vms": [(vm["name"], success[vm["name"]] and success[vm["name"]]["id"]) for vm in vms],
        "drift": drift,
        "waived": waivers[-1]["until"] if waivers and not over(waivers[-1]["until"], now) else None,
        "findings": sorted(retested(note, sessions, passed, now) for note in notes if note["type"] == "finding"),
        "trend": {kind: trend(kind, counting, seconds(policy.get("rto"))) for kind in ("test", "failover")},
        "runs": [(each["id"], (each in passed) if counts(each) else None) for each in sessions],
    }


def then(plan, last):
    seen = [version for version in plan.get("versions") or [] if when(version["seen_at"]) <= when(last["end_time"])]
    version = max(seen, key=lambda version: version["seen_at"], default={"vms": []})
    return version["vms"] or [{"name": task["vm_name"], "order": None} for task in last["tasks"]]


def difference(before, now):
    was, is_now = [vm["name"] for vm in before], [vm["name"] for vm in now]
    both = {name for name in was if was.count(name) == is_now.count(name)}

    def place(vms, name):
        """How many different orders are below each VM of that name."""
        shared = [vm for vm in vms if vm["name"] in both]
        return sorted(
            len({other["order"] for other in shared if other["order"] < vm["order"]})
            for vm in shared
            if vm["name"] == name
        )

    unknown = any(vm["order"] is None for vm in [*before, *now] if vm["name"] in both)
    return {
        "added": sorted((Counter(is_now) - Counter(was)).elements()),
        "removed": sorted((Counter(was) - Counter(is_now)).elements()),
        "reordered": [] if unknown else sorted(name for name in both if place(before, name) != place(now, name)),
    }


def flag_of(plan, plans, sessions, newest, newest_passed, look, history):
    used_by_all = {task["replica_point"]["id"] for session in history["failover_sessions"] for task in session["tasks"]}
    used = {task["replica_point"]["id"] for session in sessions for task in session["tasks"]}
    names = [vm["name"] for vm in plan["vms"] or []]
    states = [
        point["state"]
        for point in history["points"]
        if point["id"] in used
        or (
            point["id"] not in used_by_all
            and point["vm_name"] in names
            and server_matches(point["backup_server"], plan["backup_server"]) is not False
        )
    ]
    if {"Failover", "Failback", "PermanentFailover"} & set(states):
        return True
    ended = when(sessions[0]["end_time"] or sessions[0]["creation_time"]) if sessions else datetime.min
    at_rest = all(state in ("Ready", None) for state in states)
    if (
        at_rest
        and look
        and "points" not in look["missing"]
        and look["collected_at"]
        and when(look["collected_at"]) >= ended
    ):
        return False
    if newest is None or newest["kind"] == "test":
        return None
    later = [session for session in sessions if session["creation_time"] > newest["creation_time"]]
    if any(session["kind"] != "undo" for session in later):
        return None
    undos = [session for session in later if session["finished"] and session["result"] in ("Success", "Warning")]
    if undos or (newest["run"] or {}).get("undo", {}).get("done"):
        return False
    return True if newest_passed else None


def retested(note, sessions, passed, now):
    about = [session for session in sessions if session["id"] == note.get("session_id")]
    since = when(about[0]["end_time"] or about[0]["creation_time"]) if about else when(note["seen_at"])
    after = [session for session in passed if when(session["end_time"]) > since]
    retest = min(after, key=lambda session: session["end_time"])["id"] if after else ""
    return (retest, not retest and over(note["due"], now))


def trend(kind, counting, target):
    timed = [
        session
        for session in counting
        if session["kind"] == kind and session["result"] in ("Success", "Warning") and session["duration"] is not None
    ]
    times = [session["duration"] for session in timed]
    middle = median(times[1:6]) if len(times) >= 6 else None
    return {
        "runs": [(session["id"], oldest_age(session)) for session in timed[:12]],
        "median": middle,
        "regression": None if middle is None else times[0] > 1.25 * middle and times[0] > middle + 60,
        "shrinking": target - times[0] < 0.2 * target if times and target else None,
    }


# Random histories: mostly good ones, since in bad ones the worst rule hides the others


def text(moment):
    return moment.isoformat(timespec="microseconds") + "Z"


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.odd = self.random.choice([0.0, 0.03, 0.15, 0.4])
        self.names = self.random.choice([["db"], ["db", "web"], ["db", "web", "app", "web"]])
        self.servers = [{"id": "s1", "name": "vbr01"}, {"id": "s2", "name": "vbr02"}]

    def pick(self, usual, *others):
        return self.random.choice(others) if self.random.random() < self.odd else usual

    def day(self, most):
        """Also such that hit the limits of the policies exactly."""
        return NOW - timedelta(
            seconds=self.random.choice([self.random.uniform(0.001, most), self.random.randint(1, int(most))]) * 86400
        )

    def server(self):
        return self.pick(self.servers[0], self.servers[1], None, {"id": None, "name": "vbr01"})

    def tasks(self, start):
        names = [name for name in self.names if self.pick(True, False)]
        return [
            {
                "vm_name": name,
                "finished": self.pick(True, False),
                "result": self.pick("Success", "Failed", "Warning", "None", "Odd"),
                "replica_point": {
                    "id": f"{name}-{self.random.randint(1, 3)}",
                    "creation_time": self.pick(
                        text(start - timedelta(hours=self.random.randint(1, 9))), None, text(start + DAY)
                    ),
                },
            }
            for name in self.pick(names, [])
        ]

    def session(self, number, end):
        duration = float(self.pick(self.random.randint(300, 500), self.random.randint(1, 5000)))
        start = end - timedelta(seconds=duration)
        finished = self.pick(True, True, False)
        codes = self.random.choice([[], ["rto_missed"], ["failed", "x"]])
        verdicts = [None, {"passed": True, "reasons": []}]
        return {
            "id": f"run-{number}",
            "em_name": "em",
            "name": "Plan",
            "backup_server": self.server(),
            "finished": finished,
            "result": self.pick("Success", "Failed", "Warning", "None", "Odd") if finished else "None",
            "failure_message": None,
            "duration": self.pick(duration, None) if finished else None,
            "creation_time": text(start),
            "end_time": text(end) if finished else None,
            "kind": self.pick(self.random.choice(["test", "test", "failover"]), "undo", "unknown"),
            "verdict": self.pick(
                self.random.choice(verdicts),
                {"passed": False, "reasons": [{"code": c, "vm": None, "text": c} for c in codes]},
            ),
            "run": self.pick(None, {"undo": {"done": True}}, {"undo": {"done": False}}),
            "tasks": self.tasks(start),
        }

    def vms(self):
        others = [self.names[:-1], self.names[1:], [*self.names, "new"], self.names[::-1], []]
        names = self.names if self.random.random() < 0.7 else self.random.choice(others)
        return [{"id": name, "name": name, "order": self.pick(number, None, 0)} for number, name in enumerate(names)]

    def plan(self, number):
        first = [{"seen_at": text(NOW - 500 * DAY), "vms": self.vms()}]
        more = [
            {"seen_at": text(self.day(120)), "vms": self.vms()} for dummy in range(self.random.choice([0, 0, 0, 1]))
        ]
        versions = sorted(first + more, key=lambda version: version["seen_at"], reverse=True)
        return {
            "em_name": "em",
            "id": f"plan-{number}",
            "name": "Plan",
            "tenant": self.pick({"id": "t", "name": "Acme"}, None, {"id": "t", "name": "Globex"}),
            "backup_server": self.servers[number and self.pick(1, 0)],
            "deleted": self.pick(False, True),
            "vms": versions[0]["vms"],
            "versions": self.pick(versions, []),
        }

    def look(self, number):
        seen = self.day(self.pick(1, 40, 3)) - number * timedelta(seconds=1)
        copy = seen - timedelta(hours=self.pick(self.random.uniform(0, 0.2), 25, 24))
        missing = [name for name in ("plans", "points") if self.pick(False, True)]
        return {"em_name": "em", "seen_at": text(seen), "collected_at": self.pick(text(copy), None), "missing": missing}

    def point(self):
        name = self.random.choice(self.names)
        return {
            "em_name": "em",
            "id": f"{name}-{self.random.randint(1, 5)}",
            "vm_name": name,
            "backup_server": self.server(),
            "state": self.random.choice(["Ready", "Failover", "Failback", "PermanentFailover", "Unknown", None]),
        }

    def note(self):
        about = self.random.choice(
            [{"plan": "Plan"}, {"plan": "plan-0"}, {"session_id": f"run-{self.random.randint(0, 7)}"}]
        )
        ends = self.random.choice([text(self.day(9)), text(NOW + DAY), "2026-11-27", "2026-11-28"])
        kind = self.random.choice(
            [{"type": "finding", "due": ends}, {"type": "waiver", "until": ends}, {"type": "comment"}]
        )
        return {"em_name": "em", "by": "J. Doe", "text": "Why", "seen_at": text(self.day(60)), **about, **kind}

    def policy(self):
        chance = self.random.random
        given = {
            "match": self.random.choice(["Plan", "*", "Pl?n", "plan", "P*"]),
            "test_every": self.pick(self.random.choice(["30d", "90d", "10d"]), None),
            "tenant": self.pick(None, "Acme", "A*", "acme"),
            "backup_server": self.pick(None, "vbr01", "vbr0[2]"),
            "grace": self.random.choice([None, 0, "10d"]),
            "warn_before": self.random.choice([None, "7d"]),
            "retest_within": self.pick(None, "5d", "30d"),
            "rto": "10m" if chance() < 0.4 else None,
            "rpo": "8h" if chance() < self.odd else None,
            "critical_vms": self.pick(None, ["db"], ["web", "db"]),
            "allow_warnings": self.pick(None, False, True),
        }
        return given if chance() < 0.7 else {name: value for name, value in given.items() if value is not None}

    def history(self):
        times = sorted(
            {self.day(self.random.choice([5, 35, 130])) for dummy in range(self.random.choice([0, 1, 2, 3, 8, 14]))}
        )
        sessions = [self.session(number, end) for number, end in enumerate(times)]
        gaps = [
            {"em_name": "em", "from": text(NOW - 200 * DAY), "to": text(self.day(130))}
            for dummy in range(self.pick(0, 1))
        ]
        return {
            "failover_sessions": sessions,
            "failover_plans": [self.plan(number) for number in range(self.pick(1, 0, 2))],
            "looks": [self.look(number) for number in range(self.pick(2, 0, 1))],
            "gaps": gaps,
            "points": [self.point() for dummy in range(self.pick(0, 1, 2))],
            "notes": [self.note() for dummy in range(self.random.choice([0, 0, 2, 4]))],
        }


def shown(plan):
    trends = {
        kind: {**each, "runs": [(run["session_id"], run["rpo"]) for run in each["runs"]]}
        for kind, each in plan["trend"].items()
    }
    return {
        "status": plan["status"],
        "codes": [item["code"] for item in plan["reasons"]],
        "in_failover": plan["in_failover"],
        "next_due": when(plan["next_due"]),
        "retest_due": when(plan["retest_due"]),
        "last_passed": plan["last_passed"] and plan["last_passed"]["session_id"],
        "vms": [(vm["name"], vm["session_id"]) for vm in plan["vms"]],
        "drift": plan["drift"] and {key: sorted(names) for key, names in plan["drift"].items()},
        "waived": plan["waived"] and plan["waived"]["until"],
        "findings": sorted((each["retested_by"] or "", each["overdue"]) for each in plan["findings"]),
        "trend": trends,
        "runs": [(each["session_id"], each["passed"]) for each in plan["runs"]],
    }


def agree(seeds):
    statuses, codes = Counter(), Counter()
    for seed in seeds:
        maker = Maker(seed)
        history, policies = maker.history(), [maker.policy() for dummy in range(maker.pick(1, 0, 2, 3))]
        plans = readiness(history, {"plans": policies}, text(NOW))["plans"]
        found = {(plan["id"], str(plan["backup_server"])): shown(plan) for plan in plans}
        assert found == expected(history, policies, NOW), f"seed {seed}"
        ranks = [ORDER.index(plan["status"]) for plan in plans]
        assert ranks == sorted(ranks)
        statuses.update(plan["status"] for plan in plans)
        codes.update(item["code"] for plan in plans for item in plan["reasons"])
    return statuses, codes


def test_random_histories():
    statuses, dummy = agree(range(300))
    assert set(statuses) >= set(ORDER) - {"partial"}


@pytest.mark.matrix
def test_many_random_histories():
    """All statuses and all codes are among them."""
    statuses, codes = agree(range(1000, 3000))
    assert set(statuses) == set(ORDER)
    assert set(codes) >= set(STATUS_OF)
