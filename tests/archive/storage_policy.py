"""An immutability policy in front of Azurite, which has none: what is in a blob of these containers stays.

``python -m tests.archive.storage_policy --azurite 10000 --port 10001 CONTAINER ...`` runs it as a process of its own.
"""

from __future__ import annotations

import argparse
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit

from azure.storage.blob import BlobServiceClient

from tests.archive.azurite import ACCOUNT, API_VERSION, KEY, Azurite

ENDING = {signal.SIGTERM, signal.SIGINT}
CODE = "BlobImmutableDueToPolicy"


@dataclass
class ImmutabilityPolicy:
    """
    :param containers: that are under it.
    :param code: ``BlobImmutableDueToPolicy``, or that of a legal hold.
    :param is_named_first: whether the policy is named, too, where a condition of the request is not met.
    """

    containers: frozenset[str]
    code: str = CODE
    is_named_first: bool = False

    def refuses(self, method: str, target: str, headers: Mapping[str, str], azurite: Azurite) -> str | None:
        """The code with which a request is refused; None: it is passed on."""
        url = urlsplit(target)
        _, _, container, *blob = unquote(url.path).split("/", 3)
        changes = method == "DELETE" or (
            method == "PUT" and parse_qs(url.query).get("comp", ["blocklist"]) == ["blocklist"]
        )
        if container not in self.containers or not blob or not changes:
            return None
        if headers.get("If-None-Match") == "*" and not self.is_named_first:
            return None
        credential = {"account_name": ACCOUNT, "account_key": KEY}
        address = f"http://127.0.0.1:{azurite.port}/{ACCOUNT}"
        with BlobServiceClient(address, credential=credential, api_version=API_VERSION) as client:
            return self.code if client.get_blob_client(container, blob[0]).exists() else None


def main() -> None:
    from tests.archive.troubled_storage import TroubledStorage

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("containers", nargs="+", help="containers under the policy")
    parser.add_argument("--azurite", type=int, required=True, help="port of Azurite")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    given = parser.parse_args()
    storage = TroubledStorage(SimpleNamespace(port=given.azurite), given.port)
    storage.policy = ImmutabilityPolicy(frozenset(given.containers))
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    print("ready", flush=True)
    signal.sigwait(ENDING)
    storage.stop()


if __name__ == "__main__":
    main()
