# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values as people's environments send them, for the tests of every front end that they can reach."""

from __future__ import annotations

import yaml

NOT_IN_QUOTES = {text: yaml.safe_load(text) for text in ("007", "12:30", "1.10", "0x10", "1_000", "no", "2026-03-01")}
"""Names without quotes, and what YAML makes of them."""
NUMBERS = [value for text, value in NOT_IN_QUOTES.items() if text != "2026-03-01"]
"""Those that JSON has, too: Ansible hands a date to a module as a text."""
QUOTE_IT = "It is not a text. YAML changes what is not in quotes"

BROKEN = [
    "Passw0rd!\n",
    "\nPassw0rd!",
    "Passw\r\n0rd!",
    "Passw0rd!\0",
    "\ufeffPassw0rd!",
    "Passw0rd!\u2028",
    "Passw\x1b0rd!",
    "Passw0rd!\udcff",
]
"""Texts that a file, a secret of Kubernetes or an environment in another encoding has spoilt."""
CONTROL = "It contains a line break, another control character or bytes that are not UTF-8"

EMPTY = ["", " ", "\t"]
"""What AWX and templates pass on for what was not filled in."""
