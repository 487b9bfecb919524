# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which VMs of a plan have shown that they come up, and in which run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from .policy import PlanPolicy
from .runs import Run, vms_up


def last_successes(vm_names: Iterable[str], runs: Iterable[Run], policy: PlanPolicy) -> Mapping[str, Run]:
    """The newest run in which the VM came up, by its name, also where the run as a whole did not pass.

    Of VMs that share a name, all must have come up in one run.

    :arg runs: those that count, newest first.
    """
    missing, found = Counter(vm_names), {}
    for run in runs:
        if not missing:
            break
        up = vms_up(missing, run.session["tasks"], policy)
        for name in [name for name, number in missing.items() if up[name] >= number]:
            found[name] = run
            del missing[name]
    return found
