# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts from outside: one line, short, without secrets."""

from __future__ import annotations

from html import escape
from urllib.parse import quote, quote_plus

import pytest
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.redaction import MAX_MESSAGE, Redactor, some_of


def redactor(*secrets):
    made = Redactor()
    made.add(*secrets)
    return made


def test_a_secret_that_is_added_later_is_masked_too():
    made = redactor("abc")
    assert made.redact("abc xyz") == "******** xyz"
    made.add("xyz", "")
    assert made.redact("abc xyz") == "******** ********"


def test_only_the_newest_tokens_are_masked():
    """Else an event source that logs on for months would slow down."""
    made = redactor("abc")
    for number in range(10, 99):
        made.add_token(f"token-{number}")
    assert made.redact("abc token-97 token-98") == "******** ******** ********"
    assert made.redact("token-10") == "token-10"


def test_the_value_of_basic_is_not_shown_without_the_word_either():
    basic = "cmVhZGVyOlBhc3N3MHJkIQ=="
    assert (
        redactor(basic, f"Basic {basic}").redact(f"You sent {basic} as Basic {basic}.")
        == "You sent ******** as ********."
    )


def test_of_two_secrets_the_longer_is_taken_out_first():
    assert redactor("abc", "abcdef").redact("a abcdef b abc") == "a ******** b ********"


@pytest.mark.parametrize(
    "written", [r"p\u00e4\"s\/w\ud83d\ude00\n", r"p\u00E4\"s\/w\uD83D\uDE00\n", r"\u0070ä\"s/w😀\n"]
)
def test_a_password_in_json_is_not_shown(written):
    assert redactor('pä"s/w😀\n').redact(f'{{"m":"{written}"}}') == '{"m":"********"}'


@pytest.mark.parametrize(
    "written",
    [
        r"p\u0026amp;\u0026quot;w",  # HTML in JSON
        r"p&amp;\&quot;w",  # JSON in HTML
        "p&amp;amp;&amp;quot;w",  # HTML twice
        "p&#38;amp;&#x26;#034;w",
        "p%2526%2522w",  # URL twice
        r"p&\\\"w",  # JSON twice
        r"p\\u0026\\u0022w",
        "p&amp;%22w",  # URL in HTML
        "p%26amp%3B%26quot%3bw",  # HTML in URL
        "p%5Cu0026%5c%22w",  # JSON in URL
    ],
)
def test_a_password_that_was_escaped_twice_is_not_shown(written):
    assert redactor('p&"w').redact(f"a {written} b") == "a ******** b"


def test_two_secrets_in_two_forms():
    assert redactor('p&w"d', "tok/en==").redact("a p&amp;w&quot;d b tok%2Fen%3D%3D") == "a ******** b ********"


@pytest.mark.parametrize("message", ["a\r\n  b\tc", "a \x1b b \x00 c"])
def test_what_a_server_says_is_one_line_without_control_characters(message):
    assert redactor().redact(message) == "a b c"


def test_what_a_server_says_is_cut():
    said = redactor().redact("x" * 10**6)
    assert len(said) == MAX_MESSAGE
    assert said.endswith("...")


@pytest.mark.parametrize("password", ["two  spaces pw", "Passw0rd!", 'qu"ote & <tag>', "50% Ω+x"])
@pytest.mark.parametrize(
    "repeat",
    [
        lambda password: password,
        lambda password: "x" * 290 + password,
        escape,
        lambda password: "".join(f"&#{ord(char)};" for char in password),
        lambda password: quote(password, safe=""),
        quote_plus,
    ],
)
def test_a_password_is_found_in_any_form(password, repeat):
    said = redactor(password).redact(f"You sent {repeat(password)} to us")
    assert "You sent" in said or said.startswith("You sent x")
    for part in (password, password[:6], repeat(password)[-12:]):
        assert part not in said


@pytest.mark.parametrize(
    ("items", "expected"), [([], ""), (["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c", "d"], "a, b and 2 more")]
)
def test_some_of_many(items, expected):
    assert some_of(items, 2) == expected
