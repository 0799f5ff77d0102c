"""What a refusal of the storage account means: one table from its error codes to error, cause and remedy.

The advice of the error says whether trying again helps. Sources: "Blob service error codes", "Common REST API error
codes" and "Shared access signature error codes" of the REST reference of Azure Storage; The
codes for key access, TLS and a full account are not in those, and are as people and Azurite report them.
"""

from __future__ import annotations

from dataclasses import dataclass

from biztalk_services.archive import errors
from biztalk_services.archive.errors import StorageError


@dataclass(frozen=True)
class Refusal:
    """One cause, and the codes that it has.

    :param status: HTTP status that goes with the codes; for a code that is not in the table, of this status.
    :param codes: of the response; empty: every other code of the status.
    :param error: what is raised.
    :param cause: one sentence.
    :param remedy: what to do, in one sentence.
    """

    status: int
    codes: tuple[str, ...]
    error: type[StorageError]
    cause: str
    remedy: str

    @property
    def sentence(self) -> str:
        return f"{self.cause} {self.remedy}"


_AGAIN = "Try again later."
_LAYOUT = (
    "Keep locks and suspension records in a container without it (option records_container); the catalog may stay "
    "under it."
)
_ROTATED = "Check the account key in the storage connection (it may have been rotated)"

TABLE: tuple[Refusal, ...] = (
    Refusal(
        403,
        ("AuthenticationFailed",),
        errors.StorageAuthenticationError,
        "The account does not accept the signature.",
        f"{_ROTATED}, the account's name in its login, and this machine's clock.",
    ),
    Refusal(
        401,
        ("InvalidAuthenticationInfo", "NoAuthenticationInformation"),
        errors.StorageAuthenticationError,
        "The account does not accept how the request was authenticated.",
        "Give the account key in the storage connection.",
    ),
    Refusal(
        403,
        ("KeyBasedAuthenticationNotPermitted",),
        errors.StorageForbiddenError,
        "Access by account key is switched off in the account (allowSharedKeyAccess).",
        "Allow it, perhaps by an exemption from the policy that forbids it: a service writes its backup with the key "
        "only.",
    ),
    Refusal(
        403,
        ("AuthorizationFailure", "AuthorizationSourceIPMismatch"),
        errors.StorageForbiddenError,
        "The account's firewall, its network security perimeter or the SAS does not let this machine in.",
        "Allow the networks of all Airflow workers and of the service in the networking settings of the account. Check "
        "the account key where this is Azurite, which answers so to a wrong one.",
    ),
    Refusal(
        403,
        ("AccountIsDisabled",),
        errors.StorageForbiddenError,
        "The account is disabled.",
        "Check its subscription (a spending limit, an overdue invoice), and have it enabled.",
    ),
    Refusal(
        403,
        (
            "AuthorizationPermissionMismatch",
            "AuthorizationServiceMismatch",
            "AuthorizationResourceTypeMismatch",
            "InsufficientAccountPermissions",
            "UnauthorizedBlobOverwrite",
        ),
        errors.StorageForbiddenError,
        "The SAS or the identity in the storage connection does not permit this.",
        "Use a connection with the account key.",
    ),
    Refusal(
        403,
        ("AuthorizationProtocolMismatch",),
        errors.StorageForbiddenError,
        "The SAS does not permit this protocol.",
        "Use https in the storage connection.",
    ),
    Refusal(
        409,
        ("PublicAccessNotPermitted",),
        errors.StorageForbiddenError,
        "The request had no credentials, and the account does not permit anonymous access.",
        "Give the account key in the storage connection.",
    ),
    Refusal(
        400,
        ("AccountRequiresHttps", "TlsVersionNotPermitted"),
        errors.StorageForbiddenError,
        "The account requires https with a newer version of TLS.",
        "Use https in the storage connection, and an OpenSSL that knows TLS 1.2.",
    ),
    Refusal(
        404,
        ("ContainerNotFound",),
        errors.StorageNotFoundError,
        "There is no such container.",
        "Check its name, and whether this is the right storage account.",
    ),
    Refusal(
        404,
        ("BlobNotFound", "ResourceNotFound"),
        errors.StorageNotFoundError,
        "There is no such blob.",
        "Check container and blob name, and whether this is the right storage account.",
    ),
    Refusal(
        409,
        ("ContainerAlreadyExists", "ResourceAlreadyExists"),
        errors.ContainerExistsError,
        "It exists already.",
        "Choose another name.",
    ),
    Refusal(
        409,
        ("BlobAlreadyExists",),
        errors.BlobExistsError,
        "It exists already, and is not overwritten.",
        "Choose another name.",
    ),
    Refusal(
        409,
        ("ContainerBeingDeleted", "FilesystemBeingDeleted", "DestinationPathIsBeingDeleted"),
        errors.StorageNotReadyError,
        "It is being deleted, which takes half a minute or more.",
        "Wait until it is gone, and find out who deleted it.",
    ),
    Refusal(
        409,
        ("AccountBeingCreated",),
        errors.StorageNotReadyError,
        "The account is still being created.",
        "Wait until it is there.",
    ),
    Refusal(
        409,
        ("ContainerDisabled", "ContainerBeingDisabled"),
        errors.StorageForbiddenError,
        "The container was disabled by the administrator of the account.",
        "Have it enabled.",
    ),
    Refusal(
        409,
        ("BlobArchived",),
        errors.BlobArchivedError,
        "The blob is in the archive tier, where it cannot be read.",
        "Rehydrate it (set its tier to Hot or Cool, which may take 15 hours), and have no rule archive blobs of the "
        "archive's containers.",
    ),
    Refusal(
        409,
        ("BlobBeingRehydrated",),
        errors.BlobArchivedError,
        "The blob is on its way out of the archive tier.",
        "Wait until it is rehydrated, which may take 15 hours.",
    ),
    Refusal(
        409,
        ("BlobImmutableDueToPolicy", "ContainerImmutabilityPolicyLocked", "AccountProtectedFromDeletion"),
        errors.StorageImmutableError,
        "An immutability policy forbids to change or delete it.",
        _LAYOUT,
    ),
    Refusal(
        409,
        ("BlobImmutableDueToLegalHold", "ContainerHasLegalHold"),
        errors.StorageImmutableError,
        "A legal hold forbids to change or delete it.",
        _LAYOUT,
    ),
    Refusal(
        412,
        ("LeaseIdMissing",),
        errors.StorageLeasedError,
        "Another program holds a lease on it.",
        "Break the lease, or wait until it expires; trying again helps then.",
    ),
    Refusal(
        412,
        (
            "LeaseIdMismatchWithBlobOperation",
            "LeaseIdMismatchWithContainerOperation",
            "LeaseLost",
            "LeaseNotPresentWithBlobOperation",
            "LeaseNotPresentWithContainerOperation",
        ),
        errors.StorageLeasedError,
        "Another program changed the lease on it.",
        "Find out which, and break the lease; trying again helps then.",
    ),
    Refusal(
        409,
        (
            "LeaseAlreadyPresent",
            "LeaseAlreadyBroken",
            "LeaseIdMismatchWithLeaseOperation",
            "LeaseIsBreakingAndCannotBeAcquired",
            "LeaseIsBreakingAndCannotBeChanged",
            "LeaseIsBrokenAndCannotBeRenewed",
            "LeaseNotPresentWithLeaseOperation",
        ),
        errors.StorageLeasedError,
        "Another program holds a lease on it, or has just ended one.",
        "Wait until the lease is over; trying again helps then.",
    ),
    Refusal(
        412,
        ("ConditionNotMet", "TargetConditionNotMet", "SourceConditionNotMet"),
        errors.StorageChangedError,
        "It was changed since it was read.",
        "Read it again before anything else.",
    ),
    Refusal(
        409,
        ("BlobOverwritten",),
        errors.StorageChangedError,
        "It was replaced while it was read.",
        "Read it again before anything else.",
    ),
    Refusal(
        409,
        ("SnapshotsPresent",),
        errors.StorageRefusedError,
        "The blob has snapshots, and is not deleted while it has.",
        "Keep the container out of the tool that takes them.",
    ),
    Refusal(
        409,
        (
            "ResourceTypeMismatch",
            "InvalidBlobType",
            "BlobIsSealed",
            "BlobOperationNotSupported",
            "FeatureVersionMismatch",
            "PathAlreadyExists",
        ),
        errors.StorageRefusedError,
        "What has this name is of another kind: a folder, an append blob or a page blob.",
        "Find out which program wrote it, and move it away.",
    ),
    Refusal(
        409,
        (
            "BlobUsesCustomerSpecifiedEncryption",
            "BlobDoesNotUseCustomerSpecifiedEncryption",
            "BlobCustomerSpecifiedEncryptionMismatch",
        ),
        errors.StorageRefusedError,
        "The blob is encrypted with a key that belongs to whoever wrote it.",
        "Find out which program wrote it; with a key of its own a blob cannot be read here.",
    ),
    Refusal(
        409,
        ("PendingCopyOperation", "SystemInUse"),
        errors.StorageNotReadyError,
        "The blob is being copied, or the platform itself uses it.",
        "Wait until that has ended.",
    ),
    Refusal(
        429,
        ("TooManyRequests",),
        errors.StorageUnavailableError,
        "The account limits how many requests it takes.",
        _AGAIN,
    ),
    Refusal(
        503,
        ("ServerBusy",),
        errors.StorageUnavailableError,
        "The account is busy.",
        _AGAIN,
    ),
    Refusal(
        500,
        ("InternalError", "OperationTimedOut", "CannotVerifyCopySource"),
        errors.StorageUnavailableError,
        "The storage account has a problem of its own.",
        _AGAIN,
    ),
    Refusal(
        507,
        ("InsufficientStorage", "QuotaExceeded", "MemoryExtentStoreAtSizeLimit"),
        errors.StorageFullError,
        "The account takes no more data.",
        "Make room in it, or raise its limit.",
    ),
    Refusal(
        413,
        ("RequestBodyTooLarge", "RequestEntityTooLarge"),
        errors.StorageRefusedError,
        "The content is larger than a blob may be in one request.",
        "Report this: nothing that is written here should be so large.",
    ),
    Refusal(
        400,
        (
            "InvalidHeaderValue",
            "UnsupportedHeader",
            "UnsupportedRestVersion",
            "InvalidResourceName",
            "InvalidUri",
            "InvalidInput",
            "InvalidQueryParameterValue",
            "OutOfRangeInput",
        ),
        errors.StorageRefusedError,
        "The account does not understand the request.",
        "Check api_version in the storage connection, its address, and the names of the containers.",
    ),
    Refusal(
        401,
        (),
        errors.StorageAuthenticationError,
        "The account does not accept the credentials.",
        f"{_ROTATED}, and this machine's clock.",
    ),
    Refusal(
        403,
        (),
        errors.StorageForbiddenError,
        "The account refuses the request; the code is not known here.",
        f"{_ROTATED}, the account's firewall, the policies on the account, and this machine's clock.",
    ),
    Refusal(
        404,
        (),
        errors.StorageNotFoundError,
        "There is nothing at this address.",
        "Check the address in the storage connection, container and blob name.",
    ),
    Refusal(
        409,
        (),
        errors.StorageRefusedError,
        "The request conflicts with the state of the blob, the container or the account; the code is not known here.",
        "Search the documentation of Azure Storage for that code; it is not known whether another try helps.",
    ),
    Refusal(
        412,
        (),
        errors.StorageRefusedError,
        "A condition of the request is not met; the code is not known here.",
        "Search the documentation of Azure Storage for that code; it is not known whether another try helps.",
    ),
    Refusal(
        429,
        (),
        errors.StorageUnavailableError,
        "The account limits how many requests it takes.",
        _AGAIN,
    ),
    Refusal(
        507,
        (),
        errors.StorageFullError,
        "The account takes no more data.",
        "Make room in it, or raise its limit.",
    ),
    Refusal(
        500,
        (),
        errors.StorageUnavailableError,
        "The storage account has a problem of its own.",
        _AGAIN,
    ),
    Refusal(
        400,
        (),
        errors.StorageRefusedError,
        "The account refuses the request; the code is not known here.",
        "Search the documentation of Azure Storage for that code, and check the storage connection.",
    ),
    Refusal(
        200,
        (),
        errors.StorageUnreachableError,
        "The response is not that of a storage account, or did not arrive whole.",
        "Check the address in the storage connection, and whether a proxy stands before it; it may pass.",
    ),
)

_BY_CODE = {code: each for each in TABLE for code in each.codes}
_BY_STATUS = {each.status: each for each in TABLE if not each.codes}


def refusal_of(status: int, code: str | None) -> Refusal:
    """What a response means, by its code, else by its status.

    :param code: error code of the response, None when it had none.
    """
    if code in _BY_CODE:
        return _BY_CODE[code]
    return _BY_STATUS.get(status) or _BY_STATUS[500 if status >= 500 else 400 if status >= 400 else 200]
