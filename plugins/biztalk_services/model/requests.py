"""What a person requests with a backup or a restore. Holds names and connection ids, never a secret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, Literal

from biztalk_services.model.choices import ADDRESS, CONNECTION_ID, MOMENT, choice, choices_of
from biztalk_services.model.errors import InvalidRequestError

REFUSE, PROCEED = "refuse", "proceed"
"""What to do when the batch status is unknown."""

RECORD, FAIL = "record", "fail"
"""What to do when a message went into a batch before the service was quiesced."""

NIGHTLY, MANUAL = "nightly", "manual"
"""Kinds of backup that a person may start."""

RESTORABLE = (NIGHTLY, MANUAL)
"""Kinds of backup that a restore takes where none is named."""

REPLACE = "replace"
"""Beside ``REFUSE``: what to do with an existing service that has the target's name."""

RAISE, REPORT, EXACT = "raise", "report", "exact"
"""What to do about EDI control numbers that were used since the backup."""

ControlNumberPolicy = Literal["raise", "report", "exact"]

LONGEST_DRAIN_MINUTES, LONGEST_APPROVAL_HOURS = 720, 720
"""What the forms, and the options that are their defaults, allow at the most."""


@dataclass(frozen=True, kw_only=True)
class NightRequest:
    """Which services a backup run is for."""

    services: tuple[str, ...] = choice(
        (),
        "Services",
        "The services to back up, one a line: name, scope/name, or connection/scope/name where a name occurs twice. "
        "Empty: all that the configuration includes.",
        section="What",
        pattern=ADDRESS,
    )
    run_for_another_moment: bool = choice(
        False,
        "Back up now, though the run is for another moment",
        "For a backfill, a run by an asset, or a logical date: the backup is one of now all the same.",
        section="What",
    )


@dataclass(frozen=True, kw_only=True)
class ServiceRequest:
    """Which service a run of one service is for; a nightly run fills it in."""

    conn_id: str = choice(
        MISSING, "Connection", "Connection to the subscription of the service.", section="What", pattern=CONNECTION_ID
    )
    service: str = choice(MISSING, "Service", "Its address, scope/name.", section="What", pattern=ADDRESS)
    backup_name: str = choice(
        MISSING,
        "Name of the backup",
        "And of its container, which must not exist: 3 to 63 lower case letters, digits and dashes.",
        section="What",
        pattern="^[a-z0-9-]{3,63}$",
    )
    problem: str = choice(
        "", "Known against it", "Why the service must not be backed up; empty: nothing is known.", section="What"
    )


@dataclass(frozen=True, kw_only=True)
class BackupRequest:
    """The choices of a backup, the same for every service of a run."""

    label: str = choice(
        "",
        "Label",
        "Stored in the backup references, for example the change that this backup precedes.",
        section="What",
        max_length=200,
    )
    kind: str = choice(
        MANUAL,
        "Kind of backup",
        "A scheduled run takes nightly backups, whatever stands here.",
        section="What",
        values={MANUAL: "taken by a person", NIGHTLY: "in place of one that the schedule missed"},
    )
    start_before: str = choice(
        "",
        "Do not start after",
        "Date and time with time zone, as 2026-11-28T04:00:00+01:00: a run that has waited longer in the queue is "
        "refused. Empty: no limit.",
        section="What",
        pattern=MOMENT,
    )
    drain_deadline_minutes: int = choice(
        30,
        "Wait for batches (minutes)",
        "How long to wait for batches before a service is given up. Nothing is suspended meanwhile.",
        section="Batches",
        minimum=0,
        maximum=LONGEST_DRAIN_MINUTES,
    )
    batches_are_empty: bool = choice(
        False,
        "I have checked: all batches are empty",
        "Your confirmation, recorded with your name. It counts where the batch status is unknown.",
        section="Batches",
    )
    unknown_batches_policy: str = choice(
        REFUSE,
        "When the batch status is unknown",
        section="Batches",
        values={REFUSE: "do not suspend", PROCEED: "record the possible loss"},
    )
    refilled_batches_policy: str = choice(
        RECORD,
        "When a message enters a batch while the service is being suspended",
        section="Batches",
        values={RECORD: "record the possible loss", FAIL: "the backup is not valid"},
    )


@dataclass(frozen=True, kw_only=True)
class RestoreRequest:
    """The choices of a restore.

    :param overrides: values for the restored service other than the backup's, by the names that its driver gives them.
    """

    service: str = choice(
        MISSING,
        "Service",
        "The service whose backup is restored: its name, or scope/name where a name occurs twice.",
        section="What",
        pattern=ADDRESS,
    )
    backup: str = choice(
        "",
        "Backup",
        "Name of the backup, as in the catalog. Empty: the newest of the service, safety backups left out.",
        section="What",
    )
    target_name: str = choice(
        "",
        "Name of the restored service",
        "Empty: the name of the service that was backed up.",
        section="Target",
        pattern="^[A-Za-z0-9-]{0,64}$",
    )
    target_scope: str = choice(
        "",
        "Its scope",
        "What holds the restored service. Empty: that of the service that was backed up.",
        section="Target",
        pattern="^[A-Za-z0-9._-]{0,64}$",
    )
    existing_service_policy: str = choice(
        REFUSE,
        "When a service of that name exists",
        section="Target",
        values={
            REFUSE: "leave the existing service alone",
            REPLACE: "back the existing service up, delete it, restore to its name",
        },
    )
    without_safety_backup: bool = choice(
        False,
        "Delete it even when it cannot be backed up",
        "For an existing service in a state or edition without backups. What it holds is lost.",
        section="Target",
    )
    control_numbers: ControlNumberPolicy = choice(
        RAISE,
        "EDI control numbers",
        section="Afterwards",
        values={
            RAISE: "continue beyond every number used since the backup",
            REPORT: "list the numbers used since, change nothing",
            EXACT: "as at the backup; numbers used since are given out twice, and partners reject them",
        },
    )
    margin: int = choice(
        100,
        "Margin",
        "How far beyond the highest number used a raised one begins.",
        section="Afterwards",
        minimum=0,
        maximum=1_000_000,
    )
    resume_afterwards: bool = choice(
        False,
        "Resume the restored service",
        "Otherwise it stays as it arrives, quiesced, until a person has checked it.",
        section="Afterwards",
    )
    overrides: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_form(cls, form: Mapping[str, Any], overrides: Iterable[str] = ()) -> RestoreRequest:
        """The request behind the form of a run; what the form leaves empty has its default.

        :param overrides: names of the driver's overrides.
        :raises InvalidRequestError: ``service`` is missing.
        """
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in form.items()}
        values = {name: value for name, value in stripped.items() if value not in (None, "")}
        choices: dict[str, Any] = {each.name: values[each.name] for each, _ in choices_of(cls) if each.name in values}
        if "service" not in choices:
            raise InvalidRequestError("A restore needs the field service.")
        return cls(**choices, overrides={name: values[name] for name in overrides if name in values})

    def override(self, name: str) -> Any:
        """The value of an override, None where the backup's value is used."""
        return self.overrides.get(name)


@dataclass(frozen=True, kw_only=True)
class ApprovalChoices:
    """How a restore is approved; a command line that only plans has none of it."""

    plan_only: bool = choice(
        False, "Plan only", "Make the plan and stop; nothing is changed, and no approval is requested.", section="What"
    )
    approval_hours: float = choice(
        24.0,
        "Wait for the approval (hours)",
        "When the plan is not approved by then, the run ends, and nothing is changed.",
        section="What",
        exclusive_minimum=0,
        maximum=LONGEST_APPROVAL_HOURS,
    )


@dataclass(frozen=True, kw_only=True)
class CheckRequest:
    """The choices of a check of the connections."""

    services: tuple[str, ...] = choice(
        (),
        "Services",
        "The services to check, one a line: name, scope/name, or connection/scope/name where a name occurs twice. "
        "Empty: all that the configuration includes and whose edition has backups.",
        section="What",
        pattern=ADDRESS,
    )
