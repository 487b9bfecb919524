# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in for the REST API of Veeam Backup Enterprise Manager. See README.md beside this file."""

from __future__ import annotations

from .behaviour import Behaviour
from .logons import User
from .server import Emulator

__all__ = ["Behaviour", "Emulator", "User"]
