"""Makes the plan of a restore: looks at the backup, the target and everything the restored service needs. Only
reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

from biztalk_services.drivers.biztalk.connection_strings import TRACKING, tracking_database
from biztalk_services.drivers.biztalk.control_number_plan import settle
from biztalk_services.drivers.biztalk.numbers_table import rows_of
from biztalk_services.drivers.biztalk.restore_rules import PROJECT, SEED, Intention, may_be_backed_up_first
from biztalk_services.drivers.biztalk.values import ARCHIVE, sent_values
from biztalk_services.model.checks import Check
from biztalk_services.model.differences import differences
from biztalk_services.model.durations import spoken
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.plan import RestorePlan
from biztalk_services.model.restore_request import EXACT, RAISE, REPLACE, RestoreRequest

if TYPE_CHECKING:
    from biztalk_services.drivers.biztalk.values import Value
    from biztalk_services.drivers.biztalk.wire.restore_messages import RestoreValues
    from biztalk_services.model.backup import BackupReference
    from biztalk_services.model.control_number_use import UseReport
    from biztalk_services.model.drain import DrainStatus
    from biztalk_services.model.inventory import Inventory
    from biztalk_services.model.records import Lock
    from biztalk_services.model.service import Service

_MOST_DIFFERENCES = 200


class World(Protocol):
    """What a plan has to look at."""

    @property
    def subscription_id(self) -> str:
        """Of the connection."""

    def services(self) -> Sequence[Service]:
        """All services of the subscription as they are now."""

    def read_back(self, reference: BackupReference) -> str:
        """One sentence on the backup, read back whole. Raises BackupServiceError when it is not what it was."""

    def inventory(self, reference: BackupReference) -> Inventory | None:
        """What the backup holds, as recorded when it was taken; None when it was not recorded."""

    def inventory_now(self, service: Service) -> Inventory:
        """What a living service holds."""

    def control_numbers_since(self, service: str, since: datetime) -> UseReport:
        """Which control numbers a service has given out since."""

    def batches(self, service: str) -> DrainStatus:
        """Which batches of a living service hold messages now."""

    def values(
        self, request: RestoreRequest, stored: dict[str, str], target: str, living: Sequence[Service]
    ) -> Sequence[Value]:
        """The values that the restored service will work with; ``living``: all services of the subscription."""

    def claim(self, service: str) -> Lock | None:
        """Another run that works on a service now."""

    def earlier_durations(self, service: str) -> Sequence[float]:
        """Seconds that earlier restores took."""


@dataclass
class _Facts:
    """What was found out, once."""

    request: RestoreRequest
    reference: BackupReference
    world: World
    now: datetime

    def __post_init__(self) -> None:
        request, reference = self.request, self.reference
        self.name = request.target_name or reference.service
        self.cloud_service = request.target_cloud_service or reference.cloud_service
        services = self.world.services()
        self.living = next((each for each in services if each.address.name.lower() == self.name.lower()), None)
        self.others = [each for each in services if each is not self.living]
        self.recorded = self.world.inventory(reference)
        self.stored = dict(self.recorded.settings) if self.recorded else {}
        self.edition = (request.edition or reference.edition).lower()
        self.unit_count = request.unit_count or _number(self.stored.get("UnitCount"))
        self.values = list(self.world.values(request, self.stored, self.name, services))
        self.checked = tuple(value.planned() for value in self.values)
        self.replaces = bool(self.living and request.when_name_is_taken == REPLACE)
        self.original = self.living or next(
            (each for each in self.others if each.address.name.lower() == reference.service.lower()), None
        )

    @property
    def target(self) -> str:
        return f"{self.cloud_service}/{self.name}"

    def value(self, setting: str) -> Any:
        return next((value for value in self.checked if value.setting == setting), None)


def make_plan(request: RestoreRequest, reference: BackupReference, world: World) -> RestorePlan:
    """
    The plan of a restore as things are now.

    :param request: the choices.
    :param reference: the backup.
    :param world: what there is to look at.
    :raises BackupServiceError: the subscription or the catalog does not answer, so that there is nothing to plan
        with.
    """
    facts = _Facts(request, reference, world, datetime.now(UTC))
    safety = bool(facts.living and facts.replaces and may_be_backed_up_first(facts.living))
    numbers = _control_numbers(facts)
    return RestorePlan(
        made_at=facts.now,
        backup={
            "place": reference.place,
            "service": reference.service,
            "cloud_service": reference.cloud_service,
            "edition": reference.edition,
            "product_version": reference.product_version,
            "finished_at": reference.finished_at.astimezone(UTC).isoformat(),
            "items": sum(count or 0 for count in reference.items.values()),
            "drained": reference.drain.drained,
        },
        target={"service": facts.target, "edition": facts.edition, "unit_count": facts.unit_count},
        living=facts.living and {"state": facts.living.state, "etag": facts.living.etag},
        choices={
            "control_numbers": request.control_numbers,
            "margin": request.margin,
            "resume_afterwards": request.resume_afterwards,
            "replace": facts.replaces,
            "safety_backup": safety,
        },
        rules=(
            *_backup_rules(facts),
            *restore_checks(_intention(facts), facts.living, facts.others),
            *_jobs(facts),
            *numbers.rules,
        ),
        values=facts.checked,
        losses=tuple(_losses(facts, numbers.used)),
        differences=_differences(facts),
        control_numbers=tuple(numbers.rows),
        steps=tuple(_steps(facts, safety)),
        expected_seconds=median(durations) if (durations := list(world.earlier_durations(facts.name))) else None,
    )


def sent(plan: RestorePlan, values: Sequence[Value]) -> RestoreValues:
    """What the restore sends explicitly: every value that there is. Holds secrets."""
    return sent_values(
        values,
        edition=plan.target["edition"],
        unit_count=plan.target["unit_count"],
        version=plan.backup["product_version"],
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _intention(facts: _Facts) -> Intention:
    tracking, archive = facts.value(TRACKING), facts.value(ARCHIVE)
    return Intention(
        backup_subscription=facts.reference.subscription_id,
        backup_edition=facts.reference.edition.lower(),
        backup_version=facts.reference.product_version,
        agreements=facts.reference.items.get("agreements"),
        subscription=facts.world.subscription_id,
        cloud_service=facts.cloud_service,
        name=facts.name,
        edition=facts.edition,
        unit_count=facts.unit_count,
        tracking_database=tracking and tracking_database({TRACKING: tracking.shown}),
        archiving=bool(archive and archive.shown),
        replace=facts.request.when_name_is_taken == REPLACE,
        without_safety_backup=facts.request.without_safety_backup,
    )


def _backup_rules(facts: _Facts) -> list[Check]:
    try:
        return [Check("backup-whole", True, facts.world.read_back(facts.reference), PROJECT)]
    except BackupServiceError as error:
        return [Check("backup-whole", False, str(error), PROJECT)]


def _jobs(facts: _Facts) -> list[Check]:
    """One job a service."""
    claim = facts.world.claim(facts.name)
    if claim is None:
        return [Check("one-job", True, f"No other run works on service {facts.name}.", PROJECT)]
    sentence = (
        f"Run {claim.run.run_id} of {claim.run.dag_id} works on service {facts.name} ({claim.purpose}); wait for its "
        "end."
    )
    return [Check("one-job", False, sentence, PROJECT)]


def _differences(facts: _Facts) -> tuple[str, ...]:
    if facts.original is None:
        return ()
    if facts.recorded is None:
        return ("Nobody recorded what is in the backup, so it cannot be compared with the living service.",)
    try:
        now = facts.world.inventory_now(facts.original)
    except BackupServiceError as error:
        return (f"The living service {facts.original.address} cannot be compared with the backup: {error}",)
    found = [difference.sentence() for difference in differences(facts.recorded, now)]
    more = len(found) - _MOST_DIFFERENCES
    return (*found[:_MOST_DIFFERENCES], *([f"and {more} more"] if more > 0 else []))


@dataclass
class _Numbers:
    used: UseReport
    rows: list[dict[str, Any]]
    rules: list[Check]


def _control_numbers(facts: _Facts) -> _Numbers:
    """What the control numbers that the service of the backup has used since make necessary, as far as is known now.

    Its tracking database knows them also when the service itself is gone.
    """
    recorded, raising = facts.recorded, facts.request.control_numbers == RAISE
    used = facts.world.control_numbers_since(facts.reference.service, facts.reference.started_at)
    rows, findings = [], [used.sentence()] if used.trouble else []
    if recorded:
        settlement = settle(recorded, used, margin=facts.request.margin, recorded=recorded)
        rows = rows_of(recorded, settlement, used, recorded, raised=raising)
        findings = [finding.sentence for finding in settlement.findings]
    if not raising:
        return _Numbers(used, rows, [])
    sentence = " ".join(findings) or "Every control number used since the backup can be left behind."
    return _Numbers(used, rows, [Check("control-numbers-settled", not findings, sentence, SEED)])


def _losses(facts: _Facts, used: UseReport) -> list[str]:
    reference = facts.reference
    age = facts.now - reference.finished_at
    found = [f"The backup is {spoken(age.total_seconds())} old; what was changed since is lost."]
    found.append(f"Messages sent since: {used.sentence()}")
    found += [f"{each.what}: {each.sentence}" for each in reference.not_included]
    if not reference.drain.drained:
        found.append("It is not certain that no batch held messages when the backup was taken; such messages are lost.")
    found += _not_verifiable(facts)
    if facts.original is not None and facts.replaces:
        found.append(_waiting(facts))
    if facts.request.control_numbers == EXACT:
        found.append(
            "Control numbers are left as they were at the backup: every number used since is given out again, and "
            "partners reject or mistake such messages."
        )
    if facts.name.lower() != reference.service.lower():
        found.append(
            "The restored service has another address: partners, applications and the SSL certificate's name have to "
            "follow, and sources such as FTP folders must not be read by two services at once."
        )
    return found


def _not_verifiable(facts: _Facts) -> list[str]:
    if facts.recorded is None:
        return [
            "Nobody recorded what the backup holds, so the restored service cannot be compared: the run will end red."
        ]
    return [
        f"The {part} was not recorded at the backup, so that part of the restored service cannot be compared: {why}"
        for part, why in facts.recorded.parts.items()
        if why
    ]


def _waiting(facts: _Facts) -> str:
    try:
        return facts.world.batches(facts.name).sentence()
    except BackupServiceError as error:
        return str(error)


def _steps(facts: _Facts, safety: bool) -> list[str]:
    found = []
    if facts.replaces and facts.living:
        if safety:
            found.append(
                f"Wait until no batch of {facts.living.address} holds messages, suspend it, back it up, read the "
                "backup back."
            )
        found.append(f"Delete {facts.living.address}, and wait until its name is free.")
    found += [
        f"Restore {facts.reference.place} as {facts.target} ({facts.edition}); it arrives Suspended.",
        "Compare what it holds with what was recorded at the backup.",
        {
            "raise": "Raise the control numbers beyond those used since the backup.",
            "report": "List the control numbers used since the backup; leave them as they are.",
            "exact": "Leave the control numbers as they were at the backup.",
        }[facts.request.control_numbers],
        "Resume it, and wait until it is Active." if facts.request.resume_afterwards else "Leave it Suspended.",
    ]
    return found
