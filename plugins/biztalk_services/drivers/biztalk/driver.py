"""The driver: the services of one subscription through the management API, and what surrounds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from biztalk_services.drivers.base import BackupTarget, DriverInfo, FindService, RestoreProposal
from biztalk_services.drivers.biztalk.backup_rules import backup_checks
from biztalk_services.drivers.biztalk.connection_strings import tracking_database
from biztalk_services.drivers.biztalk.entities import ENTITY_SETS, inventory_of, protocol_settings_of
from biztalk_services.drivers.biztalk.info import INFO
from biztalk_services.drivers.biztalk.numbers.partners import Partners
from biztalk_services.drivers.biztalk.numbers.plan import Known, decide, number_plan, window_begin
from biztalk_services.drivers.biztalk.numbers.ranges import ranges_of
from biztalk_services.drivers.biztalk.restore_rules import Intention, restore_checks
from biztalk_services.drivers.biztalk.sources import OVERRIDES, Sources
from biztalk_services.drivers.biztalk.values import ARCHIVE, CERTIFICATE, ONLY_IN_BACKUP, same_thing, sent_values
from biztalk_services.drivers.biztalk.verification import read_back
from biztalk_services.model.control_numbers import EVER, NumberPlan, UseReport
from biztalk_services.model.errors import BackupServiceError
from biztalk_services.model.inventory import CONTROL_NUMBERS
from biztalk_services.model.plan import RestorePlan, RestoreTarget
from biztalk_services.model.service import Operation, Service, ServiceRef

if TYPE_CHECKING:
    from biztalk_services.archive.storage import StorageAccount
    from biztalk_services.drivers.biztalk.wire.client import BizTalkServicesClient
    from biztalk_services.model.backup import BackupContent, BackupReference
    from biztalk_services.model.checks import Check
    from biztalk_services.model.drain import DrainStatus
    from biztalk_services.model.inventory import Inventory
    from biztalk_services.model.query_check import QueryCheck
    from biztalk_services.model.requests import RestoreRequest


class BizTalkDriver:
    """The :class:`biztalk_services.drivers.base.Driver` of BizTalk Services, which says what the methods promise."""

    info: DriverInfo = INFO

    def __init__(self, client: BizTalkServicesClient, sources: Sources, partners: Partners | None = None) -> None:
        """:param partners: what partners accept of control numbers."""
        self.client = client
        self._sources = sources
        self.partners = partners or Partners()

    @property
    def subscription_id(self) -> str:
        return self.client.subscription_id

    def check_connection(self) -> str:
        return self.client.check_connection()

    def list_services(self, on_unread: Callable[[str], None] | None = None) -> list[Service]:
        return self.client.list_services(on_unread)

    def get_service(self, ref: ServiceRef) -> Service:
        return self.client.get_service(ref)

    def read_services(self, scope: str | None) -> FindService:
        return self.client.read_services(scope)

    def get_operation(self, ref: ServiceRef, operation_id: str) -> Operation:
        return self.client.get_operation(ref, operation_id)

    # backup

    def check_backup(self, service: Service, target: BackupTarget) -> list[Check]:
        target.account.connection_string()  # the service writes with the account key, so there has to be one
        return backup_checks(service, target.name)

    def drain_status(self, name: str) -> DrainStatus:
        return self._sources.drain_status(name)

    def drain_source(self, name: str) -> str | None:
        return self._sources.drain_source(name)

    def check_queries(self, name: str) -> QueryCheck | None:
        return self._sources.check_queries(name)

    def suspend(self, ref: ServiceRef, *, request_id: str) -> Operation:
        return Operation(self.client.suspend(ref, client_request_id=request_id))

    def resume(self, ref: ServiceRef, *, request_id: str) -> Operation:
        return Operation(self.client.resume(ref, client_request_id=request_id))

    def start_backup(
        self, ref: ServiceRef, target: BackupTarget, *, request_id: str, if_match: str | None
    ) -> Operation:
        operation_id = self.client.start_backup(
            ref,
            store_connection_string=target.account.connection_string(),
            backup_name=target.name,
            client_request_id=request_id,
            if_match=if_match,
        )
        return Operation(operation_id)

    def advance(self, ref: ServiceRef, operation: Operation, account: StorageAccount) -> Operation:
        raise NotImplementedError("A BizTalk service carries its operations out itself; none has a cursor.")

    def verify_backup(self, target: BackupTarget, service_name: str) -> BackupContent:
        return read_back(target, service_name)

    def inventory(self, service: Service, overrides: Mapping[str, Any] | None = None) -> Inventory:
        entities: Mapping[str, Sequence[Any]] | None = None
        problem = None
        try:
            with self._sources.partner_management(service, (overrides or {}).get("acs_conn_id")) as client:
                entities = client.all_entities(ENTITY_SETS)
        except BackupServiceError as error:
            problem = str(error)
        uses = self._sources.control_numbers_since(service.ref.name, EVER)
        return inventory_of(service, entities, taken_at=datetime.now(UTC), uses=uses, problem=problem)

    # restore

    def propose_restore(
        self,
        request: RestoreRequest,
        backup: BackupReference,
        stored: Mapping[str, str],
        target: ServiceRef,
        services: Sequence[Service],
    ) -> RestoreProposal:
        edition = (request.override("edition") or backup.edition).lower()
        unit_count = request.override("unit_count") or _number(stored.get("UnitCount"))
        values = tuple(value.planned() for value in self._sources.values(request, stored, target.name, services))
        shown = {value.setting: value.shown for value in values}
        existing = next((each for each in services if each.ref.name.lower() == target.name.lower()), None)
        intention = Intention(
            backup_edition=backup.edition.lower(),
            backup_version=backup.product_version,
            agreements=backup.items.get("agreements"),
            name=target.name,
            edition=edition,
            unit_count=unit_count,
            tracking_database=tracking_database(shown),
            archiving=bool(shown.get(ARCHIVE)),
        )
        units = "scale units not known" if unit_count is None else f"scale units: {unit_count}"
        renamed = target.name.lower() != backup.service.lower()
        return RestoreProposal(
            target=RestoreTarget(str(target), f"{edition}, {units}", {"edition": edition, "unit_count": unit_count}),
            checks=tuple(restore_checks(intention, existing, [each for each in services if each is not existing])),
            values=values,
            remarks=(_RENAMED,) if renamed else (),
        )

    def start_restore(self, plan: RestorePlan, account: StorageAccount, *, request_id: str) -> Operation:
        """Every value for which there is a connection is sent, so that the service checks it at once; the secrets are
        read from their connections here and are stored nowhere else."""
        values = self._sources.values(plan.request, plan.stored, plan.target.name)
        operation_id = self.client.start_restore(
            ServiceRef.parse(plan.target.service),
            store_connection_string=account.connection_string(),
            backup_name=plan.backup.container,
            values=sent_values(
                values,
                edition=plan.target.settings["edition"],
                unit_count=plan.target.settings["unit_count"],
                version=plan.backup.product_version,
            ),
            client_request_id=request_id,
        )
        return Operation(operation_id)

    def delete(self, ref: ServiceRef, *, request_id: str, if_match: str | None) -> Operation:
        return Operation(self.client.delete(ref, client_request_id=request_id, if_match=if_match))

    def expected_differences(self, plan: RestorePlan) -> set[str]:
        changed = {f"settings.{value.setting}" for value in plan.values if value.origin != ONLY_IN_BACKUP}
        if plan.target.name.lower() != plan.backup.service.lower():
            changed.add("service")
        if plan.target.settings["edition"] != plan.backup.edition.lower():
            changed.add("settings.Edition")
        if plan.request.override("unit_count"):
            changed.add("settings.UnitCount")
        return changed | {f"parts.{CONTROL_NUMBERS}"}

    def deviations(self, plan: RestorePlan, service: Service) -> list[str]:
        settings = plan.target.settings
        wanted: list[tuple[str, Any, Any]] = [("Edition", settings["edition"], service.edition)]
        if settings["unit_count"]:
            wanted.append(("UnitCount", settings["unit_count"], service.unit_count))
        wanted += [
            (value.setting, value.shown, service.settings.get(value.setting, ""))
            for value in plan.values
            if value.origin != ONLY_IN_BACKUP and value.setting != CERTIFICATE
        ]
        return [
            f"Setting {setting} was to be {value}, and is {actual or 'nothing'}."
            for setting, value, actual in wanted
            if not same_thing(setting, str(value), str(actual))
        ]

    def same_overrides(self, plan: RestorePlan, settings: Mapping[str, str]) -> dict[str, Any]:
        shown = {value.setting: value.shown for value in plan.values}
        return {
            override: plan.request.override(override)
            for setting, override in OVERRIDES.items()
            if setting != CERTIFICATE
            and plan.request.override(override)
            and same_thing(setting, shown.get(setting, ""), settings.get(setting, ""))
        }

    # control numbers

    def control_numbers_since(self, name: str, since: datetime) -> UseReport:
        return self._sources.control_numbers_since(name, since)

    def sent_interchanges(self, inventory: Inventory, since: datetime) -> UseReport | None:
        return self._sources.sent_interchanges(inventory, since)

    def plan_control_numbers(self, recorded: Inventory, used: UseReport, *, margin: int, apply: bool) -> NumberPlan:
        known = self._known(recorded.service, recorded, recorded, used)
        return number_plan(recorded, decide(recorded, known, margin=margin), known, applied=apply)

    def advance_control_numbers(
        self, service: Service, plan: RestorePlan, recorded: Inventory | None, used: UseReport, *, apply: bool
    ) -> NumberPlan:
        with self._sources.partner_management(service, plan.request.override("acs_conn_id")) as client:
            entities = client.all_entities(ENTITY_SETS)
            restored = inventory_of(service, entities, taken_at=datetime.now(UTC))
            known = self._known(plan.backup.service, restored, recorded, used)
            decision = decide(restored, known, margin=plan.request.margin)
            if apply:
                for agreement, changes in decision.changes().items():
                    settings = protocol_settings_of(entities, agreement) or {}
                    if any(str(settings.get(name)) != str(value) for name, value in changes.items()):
                        client.merge(settings["@id"], changes, settings.get("@etag"))
        return number_plan(restored, decision, known, applied=apply)

    def _known(self, name: str, service: Inventory, recorded: Inventory | None, used: UseReport) -> Known:
        """All that is known of the control numbers of a service.

        :param name: under which the numbers were used.
        :param service: whose agreements count.
        """
        if used.problem:  # nothing is decided then
            return Known(recorded=recorded, used=used, partners=self.partners)
        days = {self.partners.of(place.agreement).window_days for place in ranges_of(service)} - {0}
        return Known(
            recorded=recorded,
            used=used,
            sent=self._sources.sent_interchanges(recorded or service, used.since),
            windows={
                each: self._sources.control_numbers_since(name, window_begin(each, used.checked_at))
                for each in sorted(days)
            },
            partners=self.partners,
        )


_RENAMED = (
    "The restored service has another address: partners, applications and the SSL certificate's name have to follow, "
    "and sources such as FTP folders must not be read by two services at once."
)


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None
