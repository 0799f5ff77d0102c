"""Simple Web Tokens, as Access Control issues them over OAuth WRAP v0.9: encoded claims, signed with HMAC-SHA256."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from urllib.parse import parse_qsl, quote, urlencode

from biztalk_emulator.data_port.addresses import CLOUDS, NAMESPACE_DOMAIN, service_of
from biztalk_emulator.world import Namespace

OWNER = "owner"
"""The service identity that may manage a service."""

_NAME_CLAIM = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"
_SIGNATURE = "&HMACSHA256="
_AUTHORIZATION = re.compile(r'\s*WRAP\s+access_token\s*=\s*"([^"]*)"\s*', re.IGNORECASE)


def issue(namespace: Namespace, audience: str, *, expires_on: int) -> str:
    """Make a token for the owner.

    :param audience: URI of what it opens.
    :param expires_on: seconds since the epoch.
    """
    claims = urlencode(
        {_NAME_CLAIM: OWNER, "Audience": audience, "ExpiresOn": expires_on, "Issuer": _issuer(namespace.name)}
    )
    return claims + _SIGNATURE + quote(_sign(namespace, claims), safe="")


def carried(authorization: str) -> str | None:
    """The token in a header ``Authorization: WRAP access_token="..."``."""
    match = _AUTHORIZATION.fullmatch(authorization)
    return match.group(1) if match else None


def opens(token: str, service: str, namespace: Namespace, *, now: float) -> bool:
    """Whether a token is signed by the namespace, made for this service and not expired."""
    claims, marker, _ = token.rpartition(_SIGNATURE)
    if not marker:
        return False
    fields = dict(parse_qsl(token, keep_blank_values=True))
    genuine = hmac.compare_digest(fields.get("HMACSHA256", "").encode(), _sign(namespace, claims).encode())
    for_it = (service_of(fields.get("Audience", "")) or "").lower() == service.lower()
    from_it = fields.get("Issuer", "").lower() == _issuer(namespace.name)
    expires_on = fields.get("ExpiresOn", "")
    return genuine and for_it and from_it and expires_on.isdecimal() and int(expires_on) > now


def _issuer(namespace: str) -> str:
    return f"https://{namespace.lower()}{NAMESPACE_DOMAIN}{CLOUDS[0]}/"


def _sign(namespace: Namespace, claims: str) -> str:
    key = base64.b64decode(namespace.signing_key)
    return base64.b64encode(hmac.new(key, claims.encode(), hashlib.sha256).digest()).decode("ascii")
