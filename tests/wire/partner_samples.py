"""Responses of the Access Control Service and of partner management, as documented."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from tests.wire.scripted_server import response

HOST = "orders.biztalk.windows.net"
ROOT = f"/{HOST}/default/$PartnerManagement"
ACS = "/contoso-acs.accesscontrol.windows.net/WRAPv0.9/"
KEY = "Canary+key/with=signs &more"
TOKEN = "Audience=http%3a%2f%2forders&ExpiresOn=1&Issuer=x&HMACSHA256=canary%2btoken"


def token(text: str = TOKEN, lifetime: object = 1200) -> bytes:
    form = urlencode({"wrap_access_token": text, "wrap_access_token_expires_in": lifetime})
    return response(200, form, Content_Type="application/x-www-form-urlencoded")


def uri(path: str) -> str:
    return f"https://127.0.0.1:18445{ROOT}/{path}"


def entity(path: str, kind: str = "Agreement", etag: str | None = 'W/"1"', **properties: Any) -> dict[str, Any]:
    metadata = {"uri": uri(path), "type": f"TpmModel.{kind}"} | ({"etag": etag} if etag else {})
    return {"__metadata": metadata} | properties


def deferred(path: str) -> dict[str, Any]:
    return {"__deferred": {"uri": uri(path)}}


def collection(*entities: dict[str, Any], link: str | None = None, **more: Any) -> dict[str, Any]:
    return {"results": list(entities)} | ({"__next": link} if link else {}) | more


def page(*entities: dict[str, Any], link: str | None = None) -> bytes:
    return json_page({"d": collection(*entities, link=link)})


def json_page(content: Any, status: int = 200) -> bytes:
    return response(status, json.dumps(content), Content_Type="application/json;odata=verbose")


def odata_error(status: int, message: str, code: str = "", **headers: str) -> bytes:
    body = {"error": {"code": code, "message": {"lang": "en-US", "value": message}}}
    return response(status, json.dumps(body), **headers)
