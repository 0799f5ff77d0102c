"""The backups that the form of a restore offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from biztalk_services.archive.catalog_index import REFERENCES
from biztalk_services.model.listing import Wanted
from biztalk_services.model.requests import RESTORABLE

if TYPE_CHECKING:
    from biztalk_services.archive.archive import Archive

_MOST = 200


def newest_backups(archive: Archive) -> list[str]:
    """Names of the newest backup of each service, the newest first, 200 at the most; safety backups left out.

    :raises StorageError: the account was not reached or refused.
    """
    pack = archive.catalog.view().pack
    newest = [each for kind in RESTORABLE for each in pack.select(REFERENCES, Wanted(kind=kind, newest=True))]
    of_service = {(each.subscription_id, each.scope, each.service): each for each in sorted(newest)}
    return [each.backup for each in sorted(of_service.values(), reverse=True)[:_MOST]]
