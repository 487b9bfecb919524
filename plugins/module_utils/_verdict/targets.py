# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run is judged by: the targets that users give, checked."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .._api.errors import OptionError
from .._api.options import check_text
from .._api.redaction import describe
from .._failover.times import parse_duration

_OFFSET = re.compile(r"(?:Z|UTC)|([+-])(\d\d):?(\d\d)", re.IGNORECASE | re.ASCII)
_WILDCARD = re.compile(r"\[[^\]]+\]|[*?]")


@dataclass(frozen=True)
class Targets:
    """The targets. Durations are seconds, None is "no such target"."""

    rto: float | None = None
    vm_rto: Mapping[str, float] = field(default_factory=dict)
    rpo: float | None = None
    required_vms: Sequence[str] = ()
    max_failed: int = 0
    allow_warnings: bool = True
    plan: Mapping[str, Any] | None = None
    point_utc_offset: str | None = None

    @classmethod
    def from_options(cls, given: Mapping[str, Any]) -> Targets:
        """The targets by their names. None is as good as not given.

        :raises OptionError: there is no such target, or its value cannot be used.
        """
        checked = {}
        for name, value in given.items():
            if name not in TARGETS:
                raise OptionError("target", name, f"Targets are: {', '.join(TARGETS)}.")
            if value is not None:
                read, accepted = _READERS[name]
                checked[name] = read(value)
                if checked[name] is None:
                    raise OptionError(name, value, accepted)
        return cls(**checked)

    def rto_of(self, vm_name: str) -> float | None:
        """The RTO of a VM: that of its name, else that of the pattern with the most characters that are no wildcards,
        else, of several such patterns, the shortest RTO."""
        if vm_name in self.vm_rto:
            return self.vm_rto[vm_name]
        patterns = [pattern for pattern in self.vm_rto if fnmatch.fnmatchcase(vm_name, pattern)]
        ranked = [(-len(_WILDCARD.sub("", pattern)), self.vm_rto[pattern]) for pattern in patterns]
        return min(ranked)[1] if ranked else None

    def as_facts(self) -> dict[str, Any]:
        """The targets as plain data. Of the plan, only its id and name."""
        plan = None if self.plan is None else {key: text_of(self.plan.get(key)) for key in ("id", "name")}
        return {**vars(self), "vm_rto": dict(self.vm_rto), "required_vms": list(self.required_vms), "plan": plan}


_DURATION = "Give seconds, or a text with units such as '90s', '15m', '1h30m' or '2d'."


def _vm_rto(value: Any) -> dict[str, float] | None:
    if not isinstance(value, Mapping):
        return None
    checked = {}
    for pattern, target in value.items():
        if not isinstance(pattern, str) or not pattern:
            raise OptionError("vm_rto", pattern, "Its keys must be VM names or patterns such as 'db*'.")
        seconds = parse_duration(target)
        if seconds is None:
            raise OptionError(f"vm_rto[{describe(pattern)}]", target, _DURATION)
        checked[str(pattern)] = seconds
    return checked


def _required_vms(value: Any) -> list[str] | None:
    names = [value] if isinstance(value, str) else value
    for name in names if isinstance(names, Sequence) else ():
        check_text("required_vms", name)
    return sorted({str(name) for name in names}) if is_list_of(str, names) and all(names) else None


def _max_failed(value: Any) -> int | None:
    number = int(value) if isinstance(value, str) and re.fullmatch(r"\d{1,9}", value, re.ASCII) else value
    return number if isinstance(number, int) and not isinstance(number, bool) and number >= 0 else None


def _plan(value: Any) -> Mapping[str, Any] | None:
    is_plan = isinstance(value, Mapping) and {"name", "vms"} <= set(value) and is_list_of(Mapping, value["vms"] or [])
    return value if is_plan else None


def _utc_offset(value: Any) -> str | None:
    match = _OFFSET.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None or (match[1] and (int(match[2]) > 14 or int(match[3]) > 59)):
        return None
    return f"{match[1]}{match[2]}:{match[3]}" if match[1] else "+00:00"


# Each returns None for a value that cannot be used; the sentence says what can be.
_READERS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "rto": (parse_duration, _DURATION),
    "vm_rto": (_vm_rto, "Give a dictionary of VM names or patterns with durations, such as {'db*': '15m'}."),
    "rpo": (parse_duration, _DURATION),
    "required_vms": (_required_vms, "Give a list of VM names."),
    "max_failed": (_max_failed, "Give a whole number, 0 or more."),
    "allow_warnings": (lambda value: value if isinstance(value, bool) else None, "Give true or false."),
    "plan": (_plan, "Give one element of the failover_plans that failover_plan_info returns."),
    "point_utc_offset": (_utc_offset, "Give an offset from UTC, in quotes, such as '+01:00', '-05:30' or 'Z'."),
}

TARGETS = tuple(_READERS)


def is_list_of(kind: type | tuple[type, ...], value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(item, kind) for item in value)


def text_of(value: Any) -> str | None:
    """The text of a fact, which may be anything where users give it: a plain string, or None."""
    return None if value is None else str(value)
