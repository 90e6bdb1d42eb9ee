"""TLS as a scenario sets it: whom to trust, and what to show of oneself."""

from __future__ import annotations

import ssl
from collections.abc import Sequence

from stressrun.errors import SetupError
from stressrun.scenario.model import Tls


def client_context(tls: Tls, *, alpn: Sequence[str]) -> ssl.SSLContext:
    """A context for connections of TLS 1.2 or newer that offers the `alpn` protocols.

    Raises SetupError when a file can't be read, is no PEM, or a key does not fit its certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.ca is None:
        context.load_default_certs()
    else:
        _load_ca(context, tls.ca)
    if tls.certificate is not None:
        _load_certificate(context, tls.certificate, tls.key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def _load_ca(context: ssl.SSLContext, path: str) -> None:
    _check(path, "the CA file", "CERTIFICATE-----", "the certificate of the CA")
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise _unusable("the CA file", path, error) from error


def _load_certificate(context: ssl.SSLContext, path: str, key: str | None) -> None:
    _check(path, "the client certificate", "CERTIFICATE-----", "a certificate")
    holder = key or path
    hint = "a private key" if key else "a private key beside it, or name the key's file"
    _check(holder, "the client certificate's key", "PRIVATE KEY-----", hint)

    def passphrase() -> str:
        raise SetupError(
            f"the client certificate's key {holder} is encrypted",
            hint="name a key without a passphrase, such as `openssl pkey` writes",
        )

    try:
        context.load_cert_chain(path, key, passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SetupError(
                f"the key {holder} does not belong to the client certificate {path}",
                hint="name the key that the certificate was made with",
            ) from error
        raise _unusable("the client certificate", path, error) from error


def _check(path: str, what: str, mark: str, expected: str) -> None:
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise SetupError(
            f"{what} {path} cannot be read: {(error.strerror or str(error)).lower()}",
            hint="see http.tls in the scenario",
        ) from error
    if mark.encode() not in content:
        raise SetupError(
            f"{what} {path} holds no {mark.removesuffix('-----').lower()} in PEM form",
            hint=f"the file has to hold {expected}",
        )


def _unusable(what: str, path: str, error: ssl.SSLError) -> SetupError:
    # Without a reason it is the text between the marks that OpenSSL could not read.
    reason = error.reason.replace("_", " ").lower() if error.reason else "its PEM is broken"
    return SetupError(
        f"{what} {path} cannot be used: {reason}",
        hint="see what is in it with `openssl x509 -text -in FILE`",
    )
