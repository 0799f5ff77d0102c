"""A service and its operations, whatever kind of service it is."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from biztalk_services.model.errors import InvalidAddressError

Result = Literal["InProgress", "Succeeded", "Failed"]


_RESOURCE_NAME = re.compile(r"(?=.*[A-Za-z0-9])[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, order=True)
class ServiceRef:
    """Where a BizTalk service lives inside a subscription.

    :param cloud_service: name of the cloud service, up to 64 characters (dn232416).
    :param name: name of the BizTalk service.
    :raises InvalidAddressError: when a part is not a resource name (letters, digits, dot, dash, underscore).
    """

    cloud_service: str
    name: str

    def __post_init__(self) -> None:
        for part, text in (("cloud service", self.cloud_service), ("service", self.name)):
            if not _RESOURCE_NAME.fullmatch(text):
                raise InvalidAddressError(
                    f"{text!r} is not the name of a {part}: it takes 1 to 64 letters, digits, dots, dashes and "
                    f"underscores."
                )

    def __str__(self) -> str:
        return f"{self.cloud_service}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> ServiceRef:
        """The address behind ``cloud service/name``.

        :raises InvalidAddressError: when the text does not have this form.
        """
        cloud_service, slash, name = text.strip().partition("/")
        if not slash:
            raise InvalidAddressError(
                f"{text!r} is not the address of a BizTalk service: write it as 'cloud service/name'."
            )
        return cls(cloud_service.strip(), name.strip())


@dataclass(frozen=True)
class OperationStatus:
    """How an asynchronous operation stands.

    :param operation_id: request id of the operation, 32 hex digits; None inside a service, where the wire does not give
        it.
    :param result: ``InProgress``, ``Succeeded`` or ``Failed``.
    :param http_code: status of a failed operation, None otherwise or when not given.
    :param code: error code of a failed operation.
    :param message: error message of a failed operation, without secrets.
    :param operation_type: ``Create``, ``Update``, ... where the wire gives it.
    """

    operation_id: str | None
    result: Result
    http_code: int | None = None
    code: str | None = None
    message: str | None = None
    operation_type: str | None = None


@dataclass(frozen=True)
class Service:
    """A BizTalk service as its cloud service shows it.

    :param address: where it lives.
    :param state: in the state chart's spelling; an unknown spelling as it came.
    :param edition: lower case (``premium``), None when not given.
    :param version: product version (``1.1.0``), None when not given.
    :param region: region of the cloud service (``West US``), None when not given.
    :param etag: bare, as If-Match wants it; None when not given.
    :param unit_count: scale units, None when not given.
    :param settings: the settings that hold no secret, by element name; of a connection string only its harmless parts.
    :param last_operation: the operation that the service itself reports, None when it reports none.
    :param raw_state: ``State`` and ``SubState`` as they came, for messages (``Started/Active``).
    """

    address: ServiceRef
    state: str
    edition: str | None = None
    version: str | None = None
    region: str | None = None
    etag: str | None = None
    unit_count: int | None = None
    settings: dict[str, str] = field(default_factory=dict)
    last_operation: OperationStatus | None = None
    raw_state: str = ""
