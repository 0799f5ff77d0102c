"""Tokens of the Access Control Service for one service's partner management, over OAuth WRAP v0.9.

A token is kept until shortly before it ends. Tokens and keys stand in no error and no log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

from biztalk_services.drivers.biztalk.errors import AccessControlError
from biztalk_services.drivers.biztalk.wire.messages import UnreadableError
from biztalk_services.drivers.biztalk.wire.odata import parse_odata_error
from biztalk_services.drivers.biztalk.wire.responses import Refusals
from biztalk_services.drivers.biztalk.wire.server import Server
from biztalk_services.drivers.biztalk.wire.transport import Response
from biztalk_services.model.redaction import redact

MARGIN = 60.0
"""Seconds before its end from which a token is not used any more."""

_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,16384}")
_LIFETIME = re.compile(r"\d{1,9}", re.ASCII)


def _words(status: int, said: str) -> str | None:
    if status in _REFUSED:
        return (
            "Check namespace, issuer and key: the key is the password of the issuer's service identity, not its "
            "symmetric key, and it may have been renewed."
        )
    return None


_REFUSED = (400, 401, 403, 404)
_REFUSALS = Refusals(
    api="the Access Control Service",
    successes=(200,),
    said=parse_odata_error,
    kinds=dict.fromkeys(_REFUSED, AccessControlError),
    words=_words,
)


@dataclass(frozen=True)
class Token:
    """A token as it came.

    :param text: to be shown to partner management; secret.
    :param lifetime: seconds from when it came.
    """

    text: str = field(repr=False)
    lifetime: float


class AccessControl:
    """Gives tokens for one scope. Holds the key; not pickled.

    :param server: where the Access Control Service answers.
    :param path: ``/WRAPv0.9/``, behind the host name where that stands in the path.
    :param namespace: Access Control Service namespace, for messages.
    :param issuer: name of the service identity (``owner``).
    :param key: its password.
    :param scope: what the token is for, the address of partner management.
    """

    def __init__(self, server: Server, path: str, *, namespace: str, issuer: str, key: str, scope: str) -> None:
        self._server = server
        self._path = path
        self._asked = f"give {redact(issuer, limit=64)} a token of namespace {namespace} for {scope}"
        self._form = urlencode({"wrap_name": issuer, "wrap_password": key, "wrap_scope": scope}).encode("ascii")
        self._key = key
        self._token: Token | None = None
        self._until = 0.0

    def __repr__(self) -> str:
        return f"<AccessControl {self._server.origin}{self._path}>"

    def token(self) -> str:
        """A token that is still good for a while; asked for when there is none.

        :raises AccessControlError: the service gives none; a person has to correct namespace, issuer or key.
        :raises BackupServiceError: it could not be reached or understood.
        """
        if self._token is None or monotonic() >= self._until:
            self.renew()
        return self._token.text

    def renew(self) -> Token:
        """A new token, whatever is kept; errors as :meth:`token`."""
        self._token = None
        began = monotonic()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "*/*"}
        self._token = self._server.read(
            self._path,
            self._asked,
            headers,
            _parse,
            method="POST",
            body=self._form,
            secrets=in_all_spellings(self._key),
            refusals=_REFUSALS,
        )
        self._until = began + self._token.lifetime - MARGIN
        return self._token

    def secrets(self) -> tuple[str, ...]:
        """The exact values that must not be repeated anywhere."""
        return in_all_spellings(self._key) + (in_all_spellings(self._token.text) if self._token else ())


def in_all_spellings(secret: str) -> tuple[str, ...]:
    """A secret as it is and as it stands in forms and addresses."""
    return tuple(dict.fromkeys((secret, quote(secret, safe=""), quote_plus(secret))))


def _parse(answer: Response) -> Token:
    text = answer.body.decode("ascii", "replace").strip()
    trouble = ""
    try:
        fields = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=16)
    except ValueError:
        # Not raised here: the exception holds what may be half a token.
        trouble = "the body is no form"
    if trouble:
        raise UnreadableError(trouble)
    tokens = [value for name, value in fields if name == "wrap_access_token"]
    lifetimes = [value for name, value in fields if name == "wrap_access_token_expires_in"]
    if len(tokens) != 1 or not _TOKEN.fullmatch(tokens[0]):
        raise UnreadableError("the form holds no usable wrap_access_token")
    if len(lifetimes) != 1 or not _LIFETIME.fullmatch(lifetimes[0]):
        raise UnreadableError(
            "the form does not say in seconds how long the token holds (wrap_access_token_expires_in)"
        )
    return Token(tokens[0], float(lifetimes[0]))
