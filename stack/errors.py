"""The errors of this package."""


class StackError(Exception):
    """The message is one or two complete sentences for the person at the terminal: what failed, and what to do."""


class PartEndedError(StackError):
    """A part has ended that should run."""
