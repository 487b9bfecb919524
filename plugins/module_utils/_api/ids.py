# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The form of Enterprise Manager's ids. A file of its own, so that what reads no XML loads no parser."""

from __future__ import annotations

import re

GUID = re.compile("-".join(f"[0-9a-fA-F]{{{length}}}" for length in (8, 4, 4, 4, 12)))
"""The unique part of EM's URNs and Hrefs."""
