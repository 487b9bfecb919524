# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people read has the words of the field, and none of those that were replaced: guides, documentation, messages, playbooks.

And there is not too much of it: the pages for users have a limit.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]
WORDS = {
    "start": r"\b[Bb](egin|egins|egan|egun|eginning)\b",
    "undo, undone": r"\b(take|takes|took|taken|taking) (it |them |a test |the test |that |this )?back\b",
    "permissions": r"\brights\b",
    "logon": r"(?<!-)\b[Ll]ogins?\b(?! page)",
    "create": r"\b(make|makes|made) (a|the|no|another) (session|file|folder|directory)\b",
    "report": r"\b(is|are|was|were) (not )?told\b|\bnot told\b",
    "is in": r"\bstands in\b",
    "did not pass": r"\b(has|have) not passed\b",
    "finished": r"\b(is|was|are|were|not) over(?! \d)\b(?=[ .,;:)])(?! (by|from|to|the|a|an|which|half|\d))",
    "unavailable": r"\b(EM|server|Manager|it|database) (is|was) away\b|\bwhile away\b",
    "is not an error": r"\bis no (error|problem)\b",
    "for example": r"\bsuch as this\b",
    "If you do X": r"(?:^|[.:] )Who [a-z]+s (?!what\b)",
    "Maximum number of X": r"\bso many\b",
    "fix": r"\bmend(s|ed|ing)?\b",
    "a sentence with a subject": r"\bIt is (looked|tried|asked|said|judged|told)\b",
    "did not pass, for reasons": r"\bspeaks? against\b|\bheld against\b",
    "is allowed to": r"\bnone may\b",
    "did not come up": r"\bbut not successful\b",
    "no undo was requested": r"\bIt was not asked for\b",
    "the same facts always produce an identical file": r"\bsame to the byte\b",
    "met all its targets": r"\ball that it was judged by\b",
    "no VM was being processed": r"\bin work for\b|\bfirst bar\b",
    "Restore point age (RPO)": r"\bAge of the point\b",
    "Record the result, Show the path, Validate": r"\bwhat came of it\b|\bSay where they are\b|\bare such$|\bwhat runs of it\b",
    "No plan named X": r"\blists no plan\b",
    "set force to run it anyway": r"\ball the same\b",
    "accepted the request, but the task failed": r"\btook it as a task\b",
    "cannot be reached": r"\bbroke off \(",
    "untrusted certificate": r"\bhas no trusted\b",
    "Duplicate host name": r"\bHost names that stand for\b|\bone that tells them apart\b",
    "excluded by another criterion": r"\bcriterion does not hold\b",
    "is ignored, except": r", save with\b",
    "removed, deprecated": r"\bis to go\b|\bis to be done\b",
    "the port is unreachable": r"\bway is closed\b",
    "contacts no server, ignores the current time": r"\basks nobody\b|\breads no clock\b",
    "is never assumed": r"\bis not made up\b",
    "is not a list": r"\bWhat is no list\b|\bwhat is no\b",
    "polls, sends": r"\bhands ansible-rulebook\b|\bagain and again, and\b",
    "prefetched": r"\bsent ahead\b|\basking ahead\b",
    "lets through": r"\bfilters out for\b",
}


def pages():
    for pattern in ("*.md", "docs/*.md", "docs/site/*.md", "docs/docsite/**/*.*", "roles/*/*.md"):
        yield from REPO.glob(pattern)


def yaml_files():
    for pattern in (
        "roles/**/*.yml",
        "playbooks/**/*.yml",
        "extensions/**/*.yml",
        "plugins/**/*.yml",
        "changelogs/fragments/*.yml",
    ):
        yield from REPO.glob(pattern)


def templates():
    yield from (REPO / "plugins").rglob("*.j2")


def strings(path):
    """The texts of a program, with their lines: its documentation and messages, but no docstrings, which developers read."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            for number, line in enumerate(node.value.splitlines()):
                yield node.lineno + number, line


def texts():
    for path in [*pages(), *yaml_files(), *templates()]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            yield path, number, line
    for pattern in ("plugins/**/*.py", "extensions/**/*.py"):
        for path in REPO.glob(pattern):
            for number, line in strings(path):
                yield path, number, line


ALL = list(texts())


@pytest.mark.parametrize("better", WORDS)
def test_no_text_has_words_that_were_replaced(better):
    pattern = re.compile(WORDS[better])
    found = [f"{path.relative_to(REPO)}:{number}: {line.strip()}" for path, number, line in ALL if pattern.search(line)]
    assert found == [], better


# The pages for users are README and the guides. Not these: the site has them under "Evidence and quality".
FOR_OTHERS = {"evidence.md", "quality.md", "security.md"}
USER_PAGES = [REPO / "README.md", *sorted(path for path in REPO.glob("docs/*.md") if path.name not in FOR_OTHERS)]


def count_words(page):
    """What stands between blanks and has a letter or a digit: in prose and tables, but not in blocks of code."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return sum(re.search(r"\w", word) is not None for word in text.split())


def test_the_pages_for_users_are_few_and_short():
    words = {page.name: count_words(page) for page in USER_PAGES}
    print(words, sum(words.values()))
    assert len(words) <= 12
    assert min(words.values()) > 300  # all of them were read
    assert sum(words.values()) <= 20_000


def test_the_readme_is_short():
    assert len((REPO / "README.md").read_text(encoding="utf-8").splitlines()) <= 130
