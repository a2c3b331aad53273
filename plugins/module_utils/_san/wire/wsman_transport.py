# Copyright (c) 2026, the crossvisor.san authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carrying WS-Management messages: pywinrm's logins and message encryption, with every failure told in one sentence.

pywinrm's transport is used below its `Protocol`, whose error handling drops the text of faults and the header of messages. One connection
is kept, because NTLM and Kerberos authenticate the connection; for that reason no proxy is used, whatever the environment says.
"""

from __future__ import annotations

import contextlib
import enum
import struct
import time
import traceback
from dataclasses import dataclass
from typing import Any

from ansible_collections.crossvisor.san.plugins.module_utils._san.connection import Connection
from ansible_collections.crossvisor.san.plugins.module_utils._san.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    CrossvisorError,
    InvalidInput,
    MissingLibrary,
    OutcomeUnknown,
    RemoteError,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.https import (
    connection_failure,
    no_answer,
    nothing_done,
    worth_repeating,
)
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.limits import MIB
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_endpoint import HTTPS_PORT, endpoint_url
from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.wsman_envelope import LXML_IMPORT_ERROR

try:
    import requests
    from spnego.exceptions import SpnegoError
    from winrm import transport as pywinrm
    from winrm.exceptions import InvalidCredentialsError, WinRMError, WinRMTransportError

    from ansible_collections.crossvisor.san.plugins.module_utils._san.wire.http_guard import guard

    class _Wire(pywinrm.Transport):
        """pywinrm's transport. Where messages are encrypted, it logs in while it builds the session, so that the guard comes in between."""

        def setup_encryption(self, session: requests.Session) -> None:
            super().setup_encryption(guard(session, _LARGEST_ANSWER))

    WINRM_IMPORT_ERROR: str | None = None
    _login_failures: list[type[Exception]] = [InvalidCredentialsError, SpnegoError, PermissionError]
except ImportError:
    WINRM_IMPORT_ERROR = traceback.format_exc()
    _login_failures = []

with contextlib.suppress(ImportError):
    from winrm.vendor.requests_kerberos.exceptions import KerberosExchangeError

    _login_failures.append(KerberosExchangeError)

with contextlib.suppress(ImportError):
    from requests_credssp.exceptions import AuthenticationException, NTStatusException

    _login_failures += [AuthenticationException, NTStatusException]

_LOGIN_FAILURES = tuple(_login_failures)
"""What pywinrm's logins raise; requests_ntlm has a `PermissionError` for an endpoint that does not offer NTLM."""

_LARGEST_ANSWER = 8 * MIB
"""Bytes. A service is told that a message may have half a MB."""

CERTIFICATE = "certificate"
NTLM = "ntlm"
KERBEROS = "kerberos"
CREDSSP = "credssp"
BASIC = "basic"
TRANSPORTS = (CERTIFICATE, NTLM, KERBEROS, CREDSSP, BASIC)

_ENCRYPTING = frozenset({NTLM, KERBEROS, CREDSSP})
"""Logins that bring a key with which messages are encrypted where TLS does not."""
_WITH_PASSWORD = frozenset({NTLM, CREDSSP, BASIC})
_IDLE_LIMIT = 60.0
"""Seconds after which an unused connection is replaced: Windows drops it after 120, and a message sealed for it would be lost."""
_SERVICE_UNAVAILABLE = 503
_LOOK = "so that it may have been carried out: look there, then run this task again."


class Effect(enum.Enum):
    """What it means to lose the answer to a request."""

    NONE = "the request can be sent again"
    CURSOR = "nothing was changed, but the next answer would be another one"
    CHANGE = "something may have been changed"


@dataclass(frozen=True)
class ClientCertificate:
    """Paths of the PEM files of a certificate that Windows maps to an account, and of its key."""

    certificate: str
    key: str


class WsmanTransport:
    """A login at one endpoint. Not for several threads: messages are sealed in the order in which they are sent."""

    def __init__(
        self, connection: Connection, transport: str, *, scheme: str | None = None, client_certificate: ClientCertificate | None = None
    ) -> None:
        """Check what was asked for; nothing is sent. Raises `MissingLibrary` or `InvalidInput`."""
        _require_libraries(transport)
        self.endpoint = endpoint_url(connection, scheme)
        self._connection = connection
        self._transport = transport
        self._encrypts = not self.endpoint.startswith("https:")
        self._certificate = client_certificate
        self._check()
        self._wire: Any = None
        self._last_used = 0.0

    def send(self, message: bytes, name: str, effect: Effect, timeout: float) -> bytes:
        """Send a message and return the answer, which may be a fault. A lost request without effect is sent once more.

        `name` says in error texts what was asked, `timeout` is in seconds. Raises `ConnectionFailed`, `AuthenticationFailed`,
        `RemoteError` or, when something may have been changed, `OutcomeUnknown`.
        """
        try:
            return self._deliver(message, name, effect, timeout)
        except OSError as error:
            if nothing_done(error) or (effect is not Effect.CHANGE and not worth_repeating(error)):
                raise connection_failure(self._connection, error) from error
            if effect is Effect.CHANGE:
                raise OutcomeUnknown(f"{no_answer(self._connection, error, name)}, {_LOOK}") from error
            if effect is Effect.CURSOR:
                raise connection_failure(self._connection, error) from error
        try:
            return self._deliver(message, name, effect, timeout)
        except OSError as error:
            raise connection_failure(self._connection, error) from error

    def unreadable(self, name: str, effect: Effect, reason: object) -> CrossvisorError:
        """The error for an answer that is none."""
        if effect is Effect.CHANGE:
            return OutcomeUnknown(f"What {self._connection} answered to {name} cannot be read ({reason}), {_LOOK}")
        role = self._connection.role
        return ConnectionFailed(
            f"What {self._connection} answered to {name} is not WS-Management ({reason}): "
            f"check that {role}.hostname and {role}.port are those of a WinRM service."
        )

    def close(self) -> None:
        """Close the connection. Never raises."""
        if self._wire is not None:
            self._wire.close_session()
            self._wire = None

    def _check(self) -> None:
        connection, transport, role = self._connection, self._transport, self._connection.role
        if self._encrypts and transport not in _ENCRYPTING:
            raise InvalidInput(
                f"The transport {transport} sends its secrets and messages in the clear over HTTP: "
                f"use port {HTTPS_PORT} of {connection.hostname}, or the transport ntlm, kerberos or credssp."
            )
        if transport in _WITH_PASSWORD:
            connection.required("username")
            connection.required("password")
        if transport == CERTIFICATE and self._certificate is None:
            raise InvalidInput(f"The transport certificate needs the certificate and key of an account: name their files in {role}.")

    def _deliver(self, message: bytes, name: str, effect: Effect, timeout: float) -> bytes:
        """Raises an `OSError` of requests when the connection could not be made or was lost, else only a `CrossvisorError`."""
        try:
            wire = self._opened(timeout)
        except _LOGIN_FAILURES as error:
            raise self._refused(error) from error
        except (WinRMError, WinRMTransportError, LookupError, ValueError) as error:
            if isinstance(error, OSError):
                raise
            raise self.unreadable("the login", Effect.NONE, error) from error
        try:
            answer: bytes = wire.send_message(message)
        except WinRMTransportError as error:
            return self._answered_with_status(error, name, effect)
        except BaseException as error:
            self.close()
            raise self._failed(error, name, effect) from error
        self._last_used = time.monotonic()
        return answer

    def _failed(self, error: BaseException, name: str, effect: Effect) -> BaseException:
        if isinstance(error, _LOGIN_FAILURES) and not (self._encrypts and isinstance(error, SpnegoError)):
            return self._refused(error)
        if isinstance(error, (WinRMError, SpnegoError, LookupError, struct.error)) or type(error) in (ValueError, UnicodeDecodeError):
            return self.unreadable(name, effect, error)
        return error

    def _opened(self, timeout: float) -> Any:
        """The connection, kept only once its login has given it a key: without one, pywinrm would send messages in the clear."""
        if self._wire is not None and time.monotonic() - self._last_used > _IDLE_LIMIT:
            self.close()
        if self._wire is None:
            wire = self._new_wire(timeout)
            session = wire.build_session()
            if self._encrypts:
                session.hooks["response"].append(_require_sealed)
            else:
                guard(session, _LARGEST_ANSWER)
            self._wire = wire
        self._wire.read_timeout_sec = timeout
        return self._wire

    def _new_wire(self, timeout: float) -> Any:
        connection, certificate = self._connection, self._certificate
        return _Wire(
            endpoint=self.endpoint,
            username=connection.username,
            password=connection.password,
            service="HTTP",
            ca_trust_path=connection.ca_path,  # type: ignore[arg-type]  # None: the authorities of requests, as documented in Protocol
            cert_pem=certificate.certificate if certificate else None,
            cert_key_pem=certificate.key if certificate else None,
            read_timeout_sec=timeout,  # type: ignore[arg-type]  # handed to requests as it is
            server_cert_validation="ignore" if connection.verify is False else "validate",
            auth_method=self._transport,  # type: ignore[arg-type]  # one of TRANSPORTS
            message_encryption="always" if self._encrypts else "never",
            proxy=None,
        )

    def _answered_with_status(self, error: WinRMTransportError, name: str, effect: Effect) -> bytes:
        """The answer that came with an HTTP status other than 200: SOAP carries its faults in a 400 or 500."""
        self._last_used = time.monotonic()
        if error.response_text.lstrip("\ufeff\r\n\t ").startswith("<") and "Envelope" in error.response_text:
            return str(error.response_text).encode()
        status = f"HTTP {error.code}"
        if error.code == 404:
            raise self.unreadable(name, Effect.NONE, status) from error
        if error.code >= 500 and error.code != _SERVICE_UNAVAILABLE and effect is Effect.CHANGE:
            raise OutcomeUnknown(f"{self._connection} answered {name} with {status}, {_LOOK}") from error
        raise RemoteError(f"{self._connection} answered {name} with {status}.", str(error.code)) from error

    def _refused(self, error: BaseException) -> AuthenticationFailed:
        connection, role = self._connection, self._connection.role
        if self._transport == CERTIFICATE:
            who = f"the client certificate {self._certificate.certificate if self._certificate else ''}"
            way = "check that it is mapped to an account, and that its WinRM service allows certificate"
        elif self._transport == KERBEROS:
            who = f"the Kerberos ticket of {connection.username or 'this account'}"
            way = f"get one with kinit, and give as {role}.hostname the host's full DNS name"
        else:
            who = f"the user {connection.username} or the password"
            way = f"check {role}.username and {role}.password, and that its WinRM service allows {self._transport}"
        why = "" if isinstance(error, InvalidCredentialsError) else f" ({' '.join(str(error).split()).rstrip('.')})"
        return AuthenticationFailed(f"The {role} {connection} refuses {who} over {self._transport}{why}: {way}.")


def _require_sealed(response: requests.Response, *_arguments: Any, **_settings: Any) -> None:
    """Refuse an answer in the clear where messages are encrypted: pywinrm would take anybody's."""
    encrypted = "encrypted" in response.headers.get("Content-Type", "")
    if not encrypted and (response.ok or b"Envelope" in response.content):
        raise WinRMError("it is not encrypted")


def _require_libraries(transport: str) -> None:
    if transport not in TRANSPORTS:
        raise InvalidInput(f"There is no transport '{transport}': say {', '.join(TRANSPORTS)}.")
    failures = (("pywinrm", WINRM_IMPORT_ERROR), ("lxml", LXML_IMPORT_ERROR))
    missing = [name for name, failure in failures if failure is not None]
    if not missing and transport in (KERBEROS, CREDSSP) and not getattr(pywinrm, f"HAVE_{transport.upper()}"):
        missing = [f"pywinrm[{transport}]"]
    if missing:
        raise MissingLibrary(
            f"The Python libraries that talk to Windows are not installed where this task runs: pip install {' '.join(missing)}."
        )
