"""Access tokens of the Access Control Service (ACS) for the partner management of one service, over OAuth WRAP v0.9.

A token is cached until shortly before its expiry. Errors and logs contain neither tokens nor keys.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

from biztalk_services.drivers.biztalk.errors import AccessControlError
from biztalk_services.drivers.biztalk.wire.messages import UnreadableError
from biztalk_services.drivers.biztalk.wire.odata import parse_odata_error
from biztalk_services.drivers.biztalk.wire.partner_addresses import PartnerAddresses
from biztalk_services.drivers.biztalk.wire.responses import ErrorMapping
from biztalk_services.drivers.biztalk.wire.server import Request, Server
from biztalk_services.drivers.biztalk.wire.transport import Response
from biztalk_services.model.redaction import redact

EXPIRY_MARGIN = 60.0
"""Seconds before its expiry from which a token is no longer used."""

_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,16384}")
_LIFETIME = re.compile(r"\d{1,9}", re.ASCII)
_REJECTIONS = (400, 401, 403, 404)
_REMEDY = (
    "Check namespace, issuer and key: the key is the password of the issuer's service identity, not its symmetric key, "
    "and it may have been renewed."
)
_MAPPING = ErrorMapping(
    api="the Access Control Service",
    successes=(200,),
    parse=parse_odata_error,
    kinds=dict.fromkeys(_REJECTIONS, AccessControlError),
    remedy=lambda status, message: _REMEDY if status in _REJECTIONS else None,
)


@dataclass(frozen=True)
class Token:
    """An access token, which is secret, and its lifetime in seconds from its receipt."""

    text: str = field(repr=False)
    lifetime: float


class AccessControl:
    """Tokens for the partner management of one service. Holds the key; not pickled.

    :param issuer: name of the service identity (``owner``).
    :param key: its password.
    """

    def __init__(self, server: Server, addresses: PartnerAddresses, *, issuer: str, key: str) -> None:
        self._server = server
        self._key = key
        self._request = Request(
            "POST",
            addresses.acs_target,
            f"get a token of namespace {addresses.namespace} for {addresses.scope} as {redact(issuer, limit=64)}",
            {"Content-Type": "application/x-www-form-urlencoded", "Accept": "*/*"},
            urlencode({"wrap_name": issuer, "wrap_password": key, "wrap_scope": addresses.scope}).encode("ascii"),
            encodings_of(key),
            _MAPPING,
        )
        self._token: Token | None = None
        self._valid_until = 0.0

    def token(self) -> Token:
        """The cached token, or a new one when it is missing or about to expire.

        :raises AccessControlError: the service issued no token; namespace, issuer or key must be corrected.
        :raises BackupServiceError: the service is unreachable or its response unreadable.
        """
        if self._token is None or monotonic() >= self._valid_until:
            return self.renew()
        return self._token

    def renew(self) -> Token:
        """A new token, regardless of the cache; errors as :meth:`token`."""
        self._token = None
        start = monotonic()
        self._token = self._server.read(self._request, _parse)
        self._valid_until = start + self._token.lifetime - EXPIRY_MARGIN
        return self._token

    def secrets(self) -> tuple[str, ...]:
        """The exact values to redact."""
        return encodings_of(self._key) + (encodings_of(self._token.text) if self._token else ())


def encodings_of(secret: str) -> tuple[str, ...]:
    """A secret as it is and URL-encoded (path and form)."""
    return tuple(dict.fromkeys((secret, quote(secret, safe=""), quote_plus(secret))))


def _parse(response: Response) -> Token:
    text = response.body.decode("ascii", "replace").strip()
    fields: list[tuple[str, str]] = []
    with suppress(ValueError):  # not chained: the exception may contain a part of the token
        fields = parse_qsl(text, keep_blank_values=True, strict_parsing=True, max_num_fields=16)
    if not fields:
        raise UnreadableError("the body is not a form")
    tokens = [value for name, value in fields if name == "wrap_access_token"]
    lifetimes = [value for name, value in fields if name == "wrap_access_token_expires_in"]
    if len(tokens) != 1 or not _TOKEN.fullmatch(tokens[0]):
        raise UnreadableError("the form contains no valid wrap_access_token")
    if len(lifetimes) != 1 or not _LIFETIME.fullmatch(lifetimes[0]):
        raise UnreadableError("the form contains no token lifetime in seconds (wrap_access_token_expires_in)")
    return Token(tokens[0], float(lifetimes[0]))
