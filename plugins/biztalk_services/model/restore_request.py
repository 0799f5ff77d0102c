"""What a person asks for when they ask for a restore. Holds names and ids, never a secret."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

ControlNumberPolicy = Literal["raise", "report", "exact"]

REFUSE, REPLACE = "refuse", "replace"
"""What to do with a living service that has the target's name."""

RAISE, REPORT, EXACT = "raise", "report", "exact"
"""What to do about EDI control numbers that were used since the backup."""


@dataclass(frozen=True, kw_only=True)
class RestoreRequest:
    """The choices behind a restore.

    :param service: name of the service whose backup is restored.
    :param backup: name of the backup; empty: the newest verified one of the service.
    :param target_name: name of the restored service; empty: that of the service.
    :param target_cloud_service: its cloud service; empty: that of the service.
    :param edition: its edition; empty: that of the backup.
    :param unit_count: its scale units; 0: those of the backup.
    :param acs_conn_id: connection with the Access Control namespace to use; empty: the one that the backup's namespace
        leads to. The next four likewise, for the tracking database, the archiving and the monitoring store, and the SSL
        certificate.
    :param when_name_is_taken: ``refuse``, or ``replace`` the living service: back it up, delete it, then restore.
    :param without_safety_backup: replace the living service even when it cannot be backed up.
    :param control_numbers: ``raise`` them beyond what was used since, ``report`` only, or leave them ``exact``.
    :param margin: how far beyond the highest number used a raised one begins.
    :param resume_afterwards: whether to resume the restored service, which arrives Suspended.
    """

    service: str
    backup: str = ""
    target_name: str = ""
    target_cloud_service: str = ""
    edition: str = ""
    unit_count: int = 0
    acs_conn_id: str = ""
    tracking_conn_id: str = ""
    archive_conn_id: str = ""
    monitoring_conn_id: str = ""
    certificate_conn_id: str = ""
    when_name_is_taken: str = REFUSE
    without_safety_backup: bool = False
    control_numbers: ControlNumberPolicy = RAISE
    margin: int = 100
    resume_afterwards: bool = False

    @classmethod
    def from_form(cls, form: Mapping[str, Any]) -> RestoreRequest:
        """The request behind the form of a run; what the form leaves empty has its default.

        :raises TypeError: ``service`` is missing.
        """
        trimmed = {name: value.strip() if isinstance(value, str) else value for name, value in form.items()}
        return cls(**{name: trimmed[name] for name in cls.__dataclass_fields__ if trimmed.get(name) not in (None, "")})

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)
