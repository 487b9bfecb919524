# Copyright (c) 2026 dr_runbook contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates that must be refused, with a sentence that says what to do; all are made by a CA of these tests."""

from __future__ import annotations

import datetime
import re
import socket
import ssl
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trustme
import urllib3
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import client as _client
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api import errors as _errors
from ansible_collections.dr_runbook.veeam_em.plugins.module_utils._api.errors import Operation
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
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
        assert "It is self-signed: save it to a file" in said
        assert len(connect(em, ca_path=path).items) == 2


def test_a_self_signed_certificate_that_was_replaced(connect, tmp_path):
    old = tmp_path / "old.pem"
    old.write_text(Path(self_signed(tmp_path)[1]).read_text())
    with Served(self_signed(tmp_path)[0]) as em:
        assert "ca_path does not hold it; maybe EM's certificate was replaced" in refused(connect, em, ca_path=str(old))


@pytest.mark.skipif(urllib3.__version__.startswith("1."), reason="urllib3 1 takes the common name")
def test_a_certificate_without_alternative_names_is_refused_with_the_reason(connect, tmp_path):
    context, path = self_signed(tmp_path, alternative_names=False)
    with Served(context) as em:
        said = refused(connect, em, ca_path=path)
        assert "only the names under subjectAltName count" in said


@pytest.mark.parametrize("names", [["em.example.com"], ["127.0.0.2"], ["*.localhost"]])
def test_another_host_name_is_refused(connect, tmp_path, names):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with Served(context_of(authority, names)) as em:
        said = refused(connect, em, ca_path=str(tmp_path / "ca.pem"))
        assert f"It is for {names[0]}: give one of these names as the host in url" in said


@pytest.mark.parametrize(
    ("dates", "word", "cure"),
    [((-2, -1), "expired", "Renew it on the EM server"), ((1, 2), "not yet valid", "Check the clock of this machine")],
)
def test_a_certificate_out_of_its_dates_is_refused(connect, tmp_path, dates, word, cure):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = context_of(authority, not_before=NOW + dates[0] * DAY, not_after=NOW + dates[1] * DAY)
    with Served(context) as em:
        said = refused(connect, em, ca_path=str(tmp_path / "ca.pem"))
        assert word in said
        assert cure in said


def test_a_certificate_of_another_ca_is_refused(connect, tmp_path):
    """As when the certificate has just been replaced."""
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "old.pem"))
    with Served(context_of()) as em:
        said = refused(connect, em, ca_path=str(tmp_path / "old.pem"))
        assert "unable to get local issuer certificate" in said
        assert "ca_path lacks a certificate on the way to its CA" in said
        assert "Give the certificate of the CA that signed it as ca_path" in refused(connect, em)


# Chains as companies' CAs make them


def issued(name, issuer=None, ca=None, without=(), key=None, **more):
    """A certificate and its key.

    :arg issuer: the certificate and key of a CA, or None for a self-signed one.
    :arg ca: whether it is a CA; only of the others the subjectAltName is "localhost".
    :arg without: extensions that it lacks, or "critical" for basicConstraints that are not.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    signer = issuer[1] if issuer else key
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(
        issuer_name=issuer[0].subject if issuer else subject,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=NOW - DAY,
        not_valid_after=NOW + DAY,
    )
    usage = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    extensions = {
        "constraints": (x509.BasicConstraints(bool(ca), more.get("path_length")), "critical" not in without),
        "subject_key": (x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False),
        "authority_key": (x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False),
    }
    if ca:
        flags = {
            **dict.fromkeys((*usage, "encipher_only", "decipher_only"), False),
            "key_cert_sign": True,
            "crl_sign": True,
        }
        extensions["usage"] = (x509.KeyUsage(**flags), True)
    else:
        extensions["names"] = (x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
    if "purpose" in more:
        extensions["purpose"] = (x509.ExtendedKeyUsage([more["purpose"]]), False)
    for extension, (content, critical) in extensions.items():
        if extension not in without:
            builder = builder.add_extension(content, critical=critical)
    return builder.sign(signer, hashes.SHA256()), key


def weak():
    return rsa.generate_private_key(65537, 1024)


def chains():
    """Certificates as the server sends them, the one that is trusted, the cure in the sentence, and whether only Python 3.13 asks for it."""
    root = issued("Root", ca=True)
    of_ca, of_server = (
        "The certificate of the CA .* RFC 5280",
        "Have its CA issue a new one for the EM server, with authority",
    )
    below = issued("Intermediate", root, ca=True)
    own_ca = {
        "CA without critical basicConstraints": (issued("R", ca=True, without=["critical"]), of_ca, True),
        "CA without key usage": (issued("R", ca=True, without=["usage"]), of_ca, True),
        "CA without key identifier": (issued("R", ca=True, without=["subject_key"]), of_ca, True),
        "CA that is none": (issued("R"), of_ca, False),
        "CA without basicConstraints": (issued("R", ca=True, without=["constraints", "usage"]), of_ca, False),
        "CA with a weak key": (issued("R", ca=True, key=weak()), "Have it, or that of its CA, issued again", False),
    }
    for name, (authority, cure, strict) in own_ca.items():
        yield name, [issued("em", authority)], authority, cure, strict
    yield "no authority key", [issued("em", root, without=["authority_key"])], root, of_server, True
    yield (
        "weak key",
        [issued("em", root, key=weak())],
        root,
        "Have it, or that of its CA, issued again with an RSA key of 2048",
        False,
    )
    purpose = issued("em", root, purpose=ExtendedKeyUsageOID.CLIENT_AUTH)
    yield "not for servers", [purpose], root, "extendedKeyUsage.* has serverAuth", False
    yield "no intermediate", [issued("em", below)], root, "intermediate ones that the server does not send", False
    yield "root of others", [issued("em", below), below, root], issued("Other", ca=True), "ca_path lacks", False
    short = issued("Short", ca=True, path_length=0)
    too_long = issued("Intermediate", short, ca=True)
    yield "too long", [issued("em", too_long), too_long], short, "path length .*openssl s_client", False


def pem(*certificates):
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate, key in certificates)


def serving(tmp_path, chain, **attributes):
    """A server's TLS settings with this chain; it takes weak keys and old versions of TLS."""
    key = chain[0][1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "chain.pem").write_bytes(key + pem(*chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.load_cert_chain(tmp_path / "chain.pem")
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


@pytest.fixture(scope="module")
def all_chains():
    return {name: rest for name, *rest in chains()}


CHAINS = [
    "CA without critical basicConstraints",
    "CA without key usage",
    "CA without key identifier",
    "CA that is none",
    "CA without basicConstraints",
    "CA with a weak key",
    "no authority key",
    "weak key",
    "not for servers",
    "no intermediate",
    "root of others",
    "too long",
]


def test_all_chains_are_tried(all_chains):
    assert list(all_chains) == CHAINS


@pytest.mark.parametrize("name", CHAINS)
def test_each_reason_to_refuse_a_certificate_has_its_cure(connect, tmp_path, all_chains, name):
    chain, trusted, cure, strict = all_chains[name]
    (tmp_path / "ca.pem").write_bytes(pem(trusted))
    with Served(serving(tmp_path, chain)) as em:
        if strict and sys.version_info < (3, 13):
            assert len(connect(em, ca_path=str(tmp_path / "ca.pem")).items) == 2
            return
        said = refused(connect, em, ca_path=str(tmp_path / "ca.pem"))
    assert "has an untrusted TLS certificate (" in said
    assert re.search(cure, said)
    assert ("Python before 3.13" in said) == strict
    assert not re.search("validate_certs", said)


# Handshakes that fail without a certificate being refused


@contextmanager
def handshakes(context):
    """A server that does nothing but TLS handshakes; gives its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with suppress(OSError), listener.accept()[0] as plain, context.wrap_socket(plain, server_side=True) as tls:
                tls.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://localhost:{listener.getsockname()[1]}"


@pytest.mark.parametrize(
    ("attributes", "cure"),
    [
        (
            {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1},
            "TLS 1.2 or newer",
        ),
        ({"maximum_version": ssl.TLSVersion.TLSv1_2, "verify_mode": ssl.CERT_REQUIRED}, "client certificate"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_handshake_that_fails_has_its_cure(tmp_path, attributes, cure):
    root = issued("Root", ca=True)
    (tmp_path / "ca.pem").write_bytes(pem(root))
    warnings = []
    with handshakes(serving(tmp_path, [issued("em", root)], **attributes)) as url:
        client = _client.EnterpriseManager(
            url, "reader", "Passw0rd!", ca_path=str(tmp_path / "ca.pem"), retries=0, warn=warnings.append
        )
        with pytest.raises(_errors.EmTlsError, match=f"failed the TLS handshake .*{cure}"):
            client.__enter__()
    assert warnings == []


def test_plain_http_behind_https_names_the_port(connect):
    with Emulator(sessions=0, documented=False) as em, pytest.raises(_errors.EmTlsError) as caught:
        _client.EnterpriseManager(em.url.replace("http:", "https:"), "reader", "Passw0rd!").__enter__()
    assert "may be another service: the REST API of Enterprise Manager listens on 9398 (https)" in str(caught.value)
    assert "Check that it speaks HTTPS" in str(caught.value)


# What ca_path is not


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "readable file"), (b"", "PEM format"), (b"no certificate", "PEM format"), (b"\x30\x82", "PEM")],
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
