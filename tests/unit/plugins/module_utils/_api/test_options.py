# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of a connection, and what is made of them."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import values
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.client import EnterpriseManager
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import OptionError
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.options import MAX_TIMEOUT


@pytest.mark.parametrize("end", ["", "\n"])
def test_a_password_behind_the_user_name_is_not_shown(end):
    with pytest.raises(OptionError, match="username: 'admin'") as refusal:
        EnterpriseManager("https://em.example.com", f"admin:S3cret{end}", "p")
    assert "S3cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("https://em.example.com:9398", "https://em.example.com:9398"),
        ("https://em.example.com:9398/", "https://em.example.com:9398"),
        ("https://em.example.com:9398/api", "https://em.example.com:9398"),
        ("https://em.example.com:9398/api/", "https://em.example.com:9398"),
        (" https://EM.example.com ", "https://em.example.com"),
        ("http://10.0.0.1:9399", "http://10.0.0.1:9399"),
        ("https://[fe80::1]:9398/api", "https://[fe80::1]:9398"),
    ],
)
def test_url(given, base):
    assert EnterpriseManager(given, "u", "p").base_url == base


@pytest.mark.parametrize(
    "given",
    [
        "ftp://em.example.com",
        "em.example.com:9398",
        "em.example.com",
        "",
        "https://",
        "https://em:port",
        "https://em:99999",
        "https://em.example.com/veeam",
        "https://em.example.com/api?v=1",
        "https://em.example.com#x",
        "https://em .example.com",
        "https://em..example.com",
        f"https://{'a' * 64}.example.com",
        "https://[fe80::1",
        "file:///etc/passwd",
    ],
)
def test_other_urls_are_refused(given):
    with pytest.raises(OptionError, match=r"^url: .*https://em\.example\.com:9398"):
        EnterpriseManager(given, "u", "p")


@pytest.mark.parametrize(
    ("given", "cure"),
    [
        ("em.example.com:9398", "Give scheme, host and port"),
        ("https:em.example.com", "Give scheme, host and port"),
        ("https://em.example.com:9398/web", "Give scheme, host and port of Enterprise Manager and nothing else"),
        (
            "https://em.example.com:9398/enterprise/",
            "Give scheme, host and port of Enterprise Manager and nothing else",
        ),
        (
            "https://em.example.com:9398/api/sessionMngr/?v=latest",
            "Give scheme, host and port of Enterprise Manager and nothing",
        ),
        ("https://fe80::1", ".* An IPv6 address needs brackets."),
        ("https://2001:db8::1:9398/", ".* An IPv6 address needs brackets."),
        ("https://::1:9398", ".* An IPv6 address needs brackets."),
        ("https://::ffff:10.0.0.1", ".* An IPv6 address needs brackets."),
        ("https://em.example.com\u200b:9398", "Give scheme, host and port"),
        ("https://em.example.com\u00a0:9398", "Give scheme, host and port"),
        ("htps://em.example.com:9398", "Give scheme, host and port"),
    ],
)
def test_a_url_that_is_refused_comes_with_its_cure(given, cure):
    with pytest.raises(OptionError, match=rf"^url: .* cannot be used\. {cure}") as refusal:
        EnterpriseManager(given, "u", "p")
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize("blank", [" ", "   ", "\u00a0"])
def test_a_blank_at_either_end_of_a_url_does_no_harm(blank):
    url = "https://em.example.com:9398"
    assert EnterpriseManager(f"{blank}{url}{blank}", "u", "p").base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://bob:s3cret@em.example.com:9398",
        "https://bob:s3/cret@em.example.com:9398",
        "https://bob:s3cret@em.example.com:99999",
        "https://bob:s3@cret@[em",
        "bob:s3cret@em.example.com:9398",
    ],
)
def test_a_password_in_the_url_is_refused_and_not_shown(url):
    with pytest.raises(OptionError, match="username and password") as refusal:
        EnterpriseManager(url, "u", "p")
    assert "bob" not in str(refusal.value)
    assert "cret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("username", "a:b"),
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", MAX_TIMEOUT + 1),
        ("timeout", 99999999999),
        ("retries", -1),
        ("api_version", "1.7"),
        ("api_version", "v1_7&x=y"),
        ("ca_path", "/no/such/file"),
        ("ca_path", __file__),
    ],
)
def test_other_options_are_checked(option, value):
    with pytest.raises(OptionError, match=f"^{option}: "):
        EnterpriseManager(**{"url": "https://em.example.com", "username": "u", "password": "p", option: value})


@pytest.mark.parametrize("option", ["url", "username", "password", "api_version"])
@pytest.mark.parametrize("value", values.BROKEN, ids=ascii)
def test_a_control_character_is_refused_and_a_password_not_shown(option, value):
    options = {"url": "https://em.example.com", "username": "u", "password": "p"}
    if option == "url":
        value = value.replace("Passw", "https://em.example").replace("0rd!", ".com")
    with pytest.raises(OptionError, match=f"^{option}: .*{values.CONTROL}.*lookup.*strips it") as refusal:
        EnterpriseManager(**{**options, option: value})
    assert str(refusal.value).isprintable()
    assert option != "password" or "0rd" not in str(refusal.value)


@pytest.mark.parametrize(
    "password", [" Passw0rd!", "Passw0rd! ", "two words", "p\u00e4\u00df\u00a0w\u00f6rd", "\U0001f511"]
)
def test_blanks_and_letters_of_all_scripts_in_a_password(password):
    client = EnterpriseManager("https://em.example.com", "u", password)
    sent = client._request_logon.args[3]["Authorization"].split()[1]
    assert base64.b64decode(sent).decode() == f"u:{password}"


def test_the_outermost_values_of_options():
    client = EnterpriseManager("https://em", "u", "p", timeout=MAX_TIMEOUT, retries=0)
    assert (client.timeout, client.retries) == (MAX_TIMEOUT, 0)
    assert EnterpriseManager("https://em", "u", "p", timeout=0.5).timeout == 0.5


def test_defaults_of_options():
    client = EnterpriseManager("https://em", "u", "p")
    assert (client.timeout, client.retries, client._transport._verify) == (30, 3, True)


@pytest.mark.parametrize("given", ["~/ca.pem", "$FOLDER/ca.pem"])
def test_home_and_variables_in_ca_path(monkeypatch, tmp_path, tls_emulator, given):
    Path(tmp_path, "ca.pem").write_bytes(Path(tls_emulator.ca_path).read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FOLDER", str(tmp_path))
    client = EnterpriseManager("https://em", "u", "p", ca_path=given)
    assert client._transport._verify == str(tmp_path / "ca.pem")


def test_an_empty_ca_path_is_none():
    assert EnterpriseManager("https://em.example.com", "u", "p", ca_path="")._transport._verify is True


def test_no_verification_in_spite_of_a_ca_path(tmp_path):
    client = EnterpriseManager("https://em.example.com", "u", "p", validate_certs=False, ca_path=str(tmp_path))
    assert client._transport._verify is False


def test_ca_path_may_be_a_folder(tmp_path):
    EnterpriseManager("https://em.example.com", "u", "p", ca_path=str(tmp_path))
