"""Refusals of the business side. Every text is a whole sentence fit for a user and holds no secret."""


class BusinessError(Exception):
    """Root of all refusals in this package."""


class TrafficRefused(BusinessError):
    """A message or a release cannot be accepted as requested."""


class ControlNumbersExhausted(TrafficRefused):
    """A control number range has no number left and does not roll over."""


class ControlNumberRangeInvalid(TrafficRefused):
    """A control number range breaks the rules of its standard."""


class PackageDamaged(BusinessError):
    """The blobs of a backup are not exactly what the backup wrote."""
