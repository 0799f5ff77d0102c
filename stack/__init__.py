"""Installs and runs the embedded stack (emulator, Azurite, Airflow), and shows a backup on it."""

from stack.errors import StackError
from stack.ports import Ports
from stack.stack import Stack

__all__ = ["Ports", "Stack", "StackError"]
