"""What this kind of service is called, and what its backups never contain.

Sources: "BizTalk Services: Backup and Restore" and the hybrid connections pages.
"""

from __future__ import annotations

from dataclasses import fields

from biztalk_services.drivers.base import Capability, DriverInfo
from biztalk_services.drivers.biztalk.options import BizTalkOverrides
from biztalk_services.drivers.biztalk.states import QUIESCED, RUNNING
from biztalk_services.model.backup import NotIncluded

_NOT_INCLUDED = {
    "tracking database": "Only its connection string is in the backup; back up the database itself, it cannot be "
    "recovered otherwise.",
    "messages in batches": "Messages that wait in a batch are never in a backup and are lost when it is restored.",
    "hybrid connections": "They are not in the backup of any edition; create them again after a restore.",
    "control numbers used since": "EDI control numbers continue from the moment of the backup; numbers used since "
    "would be given out twice.",
    "monitoring and archive data": "Of the archiving and monitoring storage accounts only the connection strings are "
    "in the backup.",
    "messages in flight": "Messages that were being processed at the moment of the backup are not in it.",
}

INFO = DriverInfo(
    kind="biztalk",
    title="BizTalk service",
    running_state=RUNNING,
    quiesced_state=QUIESCED,
    capabilities=frozenset({Capability.CONTROL_NUMBERS}),
    not_included=tuple(NotIncluded(what, why) for what, why in _NOT_INCLUDED.items()),
    overrides=tuple(each.name for each in fields(BizTalkOverrides)),
)
