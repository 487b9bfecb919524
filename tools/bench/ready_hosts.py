# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what ``ansible-inventory --list`` prints to what a script inventory prints: ready_hosts.py NUMBER <IN >OUT

There must be so many hosts; they and their variables stay the same. Names and texts from outside are printed as objects
with a mark, which is taken off.
"""

from __future__ import annotations

import json
import sys
from typing import Any


def unmarked(value: dict[str, Any]) -> Any:
    return value["__ansible_unsafe"] if list(value) == ["__ansible_unsafe"] else value


inventory = json.load(sys.stdin, object_hook=unmarked)
hostvars = inventory["_meta"]["hostvars"]
if len(hostvars) != int(sys.argv[1]):
    sys.exit(f"{len(hostvars)} hosts came instead of {sys.argv[1]}")
json.dump({"_meta": {"hostvars": hostvars}, "ungrouped": {"hosts": list(hostvars)}}, sys.stdout)
