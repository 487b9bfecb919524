# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has changed in a plan since its last passed run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypedDict

from .runs import Run


class Drift(TypedDict):
    """Names of VMs, in their start order."""

    added: list[str]
    removed: list[str]
    reordered: list[str]


def names_of(vms: Sequence[Mapping[str, Any]]) -> list[str]:
    return [vm["name"] or "" for vm in vms]


def vms_at(run: Run, versions: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The VMs of the plan at a run: those of the newest version that was seen until its end, else those that the session
    lists, without an order. Empty if neither is known.
    """
    end = run.session["end_time"] or run.session["creation_time"]
    before = [version for version in versions if version["seen_at"] <= end]
    newest = max(before, key=lambda version: str(version["seen_at"]), default=None)
    if newest and newest["vms"]:
        return list(newest["vms"])
    return [{"name": task["vm_name"], "order": None} for task in run.session["tasks"]]


def drift_between(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> Drift:
    """VMs that were added, removed, or moved among those that are in both."""
    was, is_ = Counter(names_of(before)), Counter(names_of(now))
    common = {name for name in was if was[name] == is_[name]}
    places = [_places(vms, common) for vms in (before, now)]
    moved = [name for name, place in places[1].items() if places[0].get(name, place) != place]
    return Drift(added=list((is_ - was).elements()), removed=list((was - is_).elements()), reordered=moved)


def _places(vms: Sequence[Mapping[str, Any]], common: Collection[str]) -> dict[str, list[int]]:
    """The places of these names; VMs of the same order share one. Nothing if an order is unknown."""
    ordered = [(vm["name"] or "", vm["order"]) for vm in vms if (vm["name"] or "") in common]
    if any(order is None for dummy, order in ordered):
        return {}
    ranks = {order: rank for rank, order in enumerate(sorted({order for dummy, order in ordered}))}
    places: dict[str, list[int]] = {}
    for name, order in sorted(ordered, key=lambda pair: pair[1]):
        places.setdefault(name, []).append(ranks[order])
    return places
