"""One program a folder of data: the program holds the lock itself, so the lock lasts exactly as long as the program."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from stack.errors import StackError

LOCK = ".in-use"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[TextIO]:
    """The locked file of a folder. A child that inherits its descriptor holds the lock after the block too, also when
    whoever started it has died; the text of the file is for people: the id of that child.

    Raises `StackError` when another program holds it, whatever the path by which it reached the folder.
    """
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise StackError(
                f"The folder {folder} is in use by another program (process {file.read().strip() or 'unknown'}), and "
                "what two programs write into one folder is lost; nothing was started on it. End that program (`make "
                "down` in the checkout that started it), or let this stack have a folder of its own."
            ) from None
        file.truncate(0)
        yield file
