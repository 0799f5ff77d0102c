"""What the stack refuses or fails to do."""


class StackError(Exception):
    """The message is one or two complete sentences for the person at the terminal: what failed, and what to do."""
