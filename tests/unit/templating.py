# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Templates of tests, on each ansible-core."""

from __future__ import annotations

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core 2.18 and older take every text for a template

    def trust_as_template(text):
        return text


__all__ = ["trust_as_template"]
