# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates that must be refused, with a sentence that says what to do; all are made by a CA of these tests."""

from __future__ import annotations

import datetime
import ssl

import pytest
import trustme
import urllib3
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import client as _client
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import errors as _errors
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import Operation
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from emulator import Emulator

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


class Served(Emulator):
    """The emulator with a certificate of the test's choice."""

    def __init__(self, context):
        super().__init__(tls=True, sessions=2, documented=False)
        self._context = context

    def _make_certificates(self):
        return self._context


def context_of(authority=None, names=("localhost",), **options):
    """A server's TLS settings with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (authority or trustme.CA()).issue_cert(*names, **options).configure_cert(context)
    return context


def self_signed(tmp_path, alternative_names=True):
    """A server's TLS settings as EM's installation makes them, and the certificate's file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - DAY)
        .not_valid_after(NOW + DAY)
    )
    if alternative_names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (tmp_path / "em.pem").write_bytes(certificate)
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "em.pem", tmp_path / "key.pem")
    return context, str(tmp_path / "em.pem")


@pytest.fixture
def connect(monkeypatch):
    """Log on to a server and read once; the environment names no bundle unless the test does."""
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)

    def call(em, **options):
        with _client.EnterpriseManager(em.url, "reader", "Passw0rd!", retries=0, warn=said.append, **options) as client:
            return client.get("/api/cloud/failoverSessions", Operation("Read"))

    said = call.said = []
    return call


def refused(connect, em, **options):
    """The sentence of the error; nothing may have reached the server."""
    with pytest.raises(_errors.EmTlsError) as caught:
        connect(em, **options)
    assert em.counters.requests == 0
    assert "Passw0rd!" not in str(caught.value)
    return str(caught.value)


def test_a_self_signed_certificate_is_refused_and_trusted_as_ca_path(connect, tmp_path):
    context, path = self_signed(tmp_path)
    with Served(context) as em:
        said = refused(connect, em)
        assert "has an untrusted TLS certificate" in said
        assert "(self" in said
        assert "for a self-signed one, the certificate itself) as ca_path" in said
        assert len(connect(em, ca_path=path).items) == 2


@pytest.mark.skipif(urllib3.__version__.startswith("1."), reason="urllib3 1 takes the common name")
def test_a_certificate_without_alternative_names_is_refused_with_the_reason(connect, tmp_path):
    context, path = self_signed(tmp_path, alternative_names=False)
    with Served(context) as em:
        assert "only the names under subjectAltName count" in refused(connect, em, ca_path=path)


@pytest.mark.parametrize("names", [["em.example.com"], ["127.0.0.2"], ["*.localhost"]])
def test_another_host_name_is_refused(connect, tmp_path, names):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Served(context_of(authority, names)) as em:
        said = refused(connect, em, ca_path=str(tmp_path / "ca.pem"))
        assert "Check that url names the host as its certificate does" in said


@pytest.mark.parametrize(("dates", "word"), [((-2, -1), "expired"), ((1, 2), "not yet valid")])
def test_a_certificate_out_of_its_dates_is_refused(connect, tmp_path, dates, word):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = context_of(authority, not_before=NOW + dates[0] * DAY, not_after=NOW + dates[1] * DAY)
    with Served(context) as em:
        said = refused(connect, em, ca_path=str(tmp_path / "ca.pem"))
        assert word in said
        assert "Check the dates of the certificate" in said


def test_a_certificate_of_another_ca_is_refused(connect, tmp_path):
    """As when the certificate has just been replaced."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "old.pem"))
    with Served(context_of()) as em:
        said = refused(connect, em, ca_path=str(tmp_path / "old.pem"))
        assert "unable to get local issuer certificate" in said
        assert "as ca_path" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "There is no such file as"), (b"", "PEM format"), (b"no certificate", "PEM format"), (b"\x30\x82", "PEM")],
)
def test_a_ca_path_that_is_none(connect, tmp_path, content, said):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with Served(context_of()) as em:
        with pytest.raises(_errors.OptionError, match=f"ca_path: .*{said}"):
            connect(em, ca_path=str(path))
        assert em.counters.requests == 0


def test_a_private_key_is_no_ca_path(connect, tmp_path):
    self_signed(tmp_path)
    with Served(context_of()) as em, pytest.raises(_errors.OptionError, match="ca_path"):
        connect(em, ca_path=str(tmp_path / "key.pem"))


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_without_validation_any_certificate_will_do(connect, tmp_path, monkeypatch, variable):
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    monkeypatch.setenv(variable, str(tmp_path / "other.pem"))
    for context in (self_signed(tmp_path)[0], context_of(names=["other"]), context_of(not_after=NOW - DAY)):
        with Served(context) as em:
            assert len(connect(em, validate_certs=False).items) == 2
            assert em.counters.live_logons == 0


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_ca_path_wins_over_a_bundle_of_the_environment(connect, tmp_path, monkeypatch, variable):
    context, path = self_signed(tmp_path)
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
    monkeypatch.setenv(variable, str(tmp_path / "other.pem"))
    with Served(context) as em:
        refused(connect, em)
        assert len(connect(em, ca_path=path).items) == 2


def test_plain_http_is_warned_about(connect):
    with Emulator(sessions=2, documented=False) as em:
        connect(em)
    assert connect.said == [f"The password is sent in clear text to {em.url}: use https."]
