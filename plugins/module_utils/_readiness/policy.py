# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How often which plan is to be tested, and by what: the policy that users give, checked."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._api.errors import OptionError
from .._api.options import check_text
from .._failover.times import parse_duration

_DURATION = "Give seconds, or a text with units such as '90d', '13w' or '1h30m', up to 36500d."
MAX_DURATION = 36500 * 86400.0
_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}  # as texts, where a template made them


@dataclass(frozen=True)
class PlanPolicy:
    """What is asked of the plans that fit. Durations are seconds; None is "not asked".

    :ivar match: name of a plan or a pattern; ``tenant`` and ``backup_server`` likewise, None fits all.
    """

    match: str
    tenant: str | None = None
    backup_server: str | None = None
    test_every: float | None = None
    grace: float = 0.0
    warn_before: float = 0.0
    retest_within: float | None = None
    rto: float | None = None
    rpo: float | None = None
    critical_vms: Sequence[str] = ()
    allow_warnings: bool = True


NO_POLICY = PlanPolicy("")
"""What a plan is judged by that no policy fits."""


def read_policies(policy: Any) -> list[PlanPolicy]:
    """The policies of ``{"plans": [...]}``, in their order.

    :raises OptionError: there is no such key, or its value cannot be used.
    """
    plans = policy.get("plans") if isinstance(policy, Mapping) else None
    if not isinstance(plans, Sequence) or isinstance(plans, str):
        raise OptionError("policy", policy, "Give a dictionary with plans, a list of what is asked of which plans.")
    for name in policy:
        if name != "plans":
            raise OptionError("policy", name, "Its only key is plans.")
    return [_read_policy(f"policy[plans][{place}]", item) for place, item in enumerate(plans)]


def _read_policy(path: str, given: Any) -> PlanPolicy:
    if not isinstance(given, Mapping) or not given.get("match"):
        raise OptionError(path, given, "Give a dictionary with match, the name of a plan or a pattern such as '*'.")
    checked = {}
    for name, value in given.items():
        if name not in _READERS:
            raise OptionError(path, name, f"Keys are: {', '.join(_READERS)}.")
        if value is not None:
            read, accepted = _READERS[name]
            checked[name] = read(f"{path}[{name}]", value)
            if checked[name] is None:
                raise OptionError(f"{path}[{name}]", value, accepted)
    return PlanPolicy(**checked)


def policy_of(plan: Mapping[str, Any], policies: Sequence[PlanPolicy]) -> PlanPolicy | None:
    """The first policy with exactly the name of the plan, else the first with a pattern that fits it; None if none does."""
    name = plan["name"] or ""
    fitting = [policy for policy in policies if _fits(plan, policy)]
    exact = [policy for policy in fitting if policy.match == name]
    patterns = [policy for policy in fitting if fnmatch.fnmatchcase(name, policy.match)]
    return next(iter(exact + patterns), None)


def _fits(plan: Mapping[str, Any], policy: PlanPolicy) -> bool:
    """Whether tenant and backup server fit."""
    for pattern, reference in ((policy.tenant, plan.get("tenant")), (policy.backup_server, plan.get("backup_server"))):
        name = (reference or {}).get("name") or ""
        if pattern is not None and pattern != name and not fnmatch.fnmatchcase(name, pattern):
            return False
    return True


def _text(path: str, value: Any) -> str | None:
    check_text(path, value)
    return str(value) or None


def _duration(dummy: str, value: Any) -> float | None:
    seconds = parse_duration(value)
    return seconds if seconds is not None and seconds <= MAX_DURATION else None


def _duration_or_none(dummy: str, value: Any) -> float | None:
    is_zero = not isinstance(value, bool) and re.fullmatch(r"0+[wdhms]?", str(value), re.ASCII)
    return 0.0 if is_zero else _duration(dummy, value)


def _names(path: str, value: Any) -> list[str] | None:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, Sequence) or not all(names):
        return None
    for name in names:
        check_text(path, name)
    return sorted(set(map(str, names)))


def _boolean(dummy: str, value: Any) -> bool | None:
    return value if isinstance(value, bool) else _BOOLEANS.get(str(value).lower())


_PATTERN = "Give a name, or a pattern such as 'Acme*'."
# Each returns None for a value that cannot be used; the sentence says what can be.
_READERS: dict[str, tuple[Callable[[str, Any], Any], str]] = {
    "match": (_text, _PATTERN),
    "tenant": (_text, _PATTERN),
    "backup_server": (_text, _PATTERN),
    "test_every": (_duration, _DURATION),
    "grace": (_duration_or_none, _DURATION),
    "warn_before": (_duration_or_none, _DURATION),
    "retest_within": (_duration, _DURATION),
    "rto": (_duration, _DURATION),
    "rpo": (_duration, _DURATION),
    "critical_vms": (_names, "Give a list of VM names."),
    "allow_warnings": (_boolean, "Give true or false."),
}
