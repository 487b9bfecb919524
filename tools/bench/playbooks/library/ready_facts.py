#!/usr/bin/python
# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Return facts that were saved before (``client.py save``), and do nothing else."""

from __future__ import annotations

import json
import os

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    module = AnsibleModule(argument_spec={})
    with open(os.environ["BENCH_READY_FACTS"], encoding="utf-8") as saved:
        module.exit_json(changed=False, failover_sessions=json.load(saved))


if __name__ == "__main__":
    main()
