"""The driver of a command line: which options it has, and how it is made of them."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Protocol, cast

from biztalk_services.drivers.base import Driver
from biztalk_services.drivers.registry import SHELLS


class Shell(Protocol):
    """What a driver has for the command line: a module in its folder."""

    def connection_options(self) -> argparse.ArgumentParser:
        """The options of all commands that read the subscription; a parent of their parsers."""

    def inventory_options(self) -> argparse.ArgumentParser:
        """Further options of the commands that read what a service holds."""

    def plan_options(self) -> argparse.ArgumentParser:
        """Further options of the command that plans a restore."""

    def open_driver(self, arguments: argparse.Namespace) -> AbstractContextManager[Driver]:
        """The driver.

        :raises MissingCredentialsError: something that it needs was not given.
        """


def shell() -> Shell:
    """The shell of the first kind of service, which is the only one so far."""
    return cast("Shell", import_module(next(iter(SHELLS.values()))))
