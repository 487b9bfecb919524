# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which name may have been meant, where EM has no object of exactly that name. Names are only compared, never replaced."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from difflib import get_close_matches

from .._api.redaction import some_of, truncate

MAX_NAME = 60
"""Characters of a name that are shown; names are texts of tenants."""
MAX_COMPARED = 200
"""Characters of a name that are compared: to find near names takes the square of it."""
MAX_SHOWN = 2


def did_you_mean(wanted: str, ids: Mapping[str, str]) -> str:
    """A sentence about names that look like this one or are near to it, or nothing, if there are none or the name exists.

    :arg ids: the names that there are, each with an id that can be given instead, or with an empty text.
    """
    if wanted in ids:
        return ""
    plain = _plain(wanted)
    alike = [name for name in ids if _plain(name) == plain]
    if alike:
        given = [f" (id {ids[name]})" if ids[name] else "" for name in alike]
        shown = some_of([_visible(name, wanted) + guid for name, guid in zip(alike, given)], MAX_SHOWN)
        cure = "the id, or the name exactly" if any(given) else "the name exactly"
        return f"{shown} differs only in blanks, case or Unicode form: give {cure}."
    by_plain = {_plain(name)[:MAX_COMPARED]: name for name in ids}
    near = get_close_matches(plain[:MAX_COMPARED], by_plain, MAX_SHOWN)
    longer = [name for name in by_plain if name.startswith(plain) or (len(plain) > 1 and plain in name)]
    near += [name for name in longer if name not in near]
    names = [_visible(by_plain[name], by_plain[name]) for name in near[:MAX_SHOWN]]
    return f"Did you mean {' or '.join(names)}?" if names else ""


def _plain(name: str) -> str:
    """What is left of a name for somebody who looks at it: no case, no blanks, no characters without width, one Unicode form."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return "".join(char for char in folded if not char.isspace() and unicodedata.category(char) not in ("Cc", "Cf"))


def _visible(name: str, wanted: str) -> str:
    """The name in quotes, with escapes for what does not print; also for letters, where nothing else shows the difference."""
    quoted = repr(name) if name.casefold() == wanted.casefold() else ascii(name)
    return truncate(quoted, MAX_NAME)
