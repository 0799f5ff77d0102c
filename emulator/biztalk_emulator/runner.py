"""Operations that work with storage accounts: one thread each, which goes on where a killed emulator left off."""

from __future__ import annotations

import sys
import threading
from abc import ABC, abstractmethod
from typing import Any, ClassVar

from biztalk_emulator import times
from biztalk_emulator.failures import OperationFailure
from biztalk_emulator.lifecycle import Lifecycle
from biztalk_emulator.store import Operation


class Runner(ABC):
    """Carries out operations of one kind."""

    kind: ClassVar[str]

    def __init__(self, lifecycle: Lifecycle, stopping: threading.Event) -> None:
        self._lifecycle = lifecycle
        self._store = lifecycle.store
        self._journal = lifecycle.journal
        self._stopping = stopping

    def start(self, operation: Operation) -> None:
        """Carry out one operation in a thread of its own."""
        name = f"{self.kind} {operation.id}"
        threading.Thread(target=self._run, args=(operation.id,), name=name, daemon=True).start()

    def carry_on(self) -> None:
        """Start every operation of this kind that was running when the emulator last ended."""
        for operation in self._store.operations(running=True):
            if operation.kind == self.kind:
                self.start(operation)

    @abstractmethod
    def _work(self, operation_id: str) -> None:
        """Do the work, also again after a kill, and end the operation if it succeeds.

        :raises OperationFailure: it fails.
        """

    def _run(self, operation_id: str) -> None:
        error = None
        try:
            self._work(operation_id)
        except OperationFailure as failure:
            error = failure.error
        except Exception as unexpected:
            error = self._internal_error()
            if not self._stopping.is_set():
                print(f"{self.kind} {operation_id} failed with {type(unexpected).__name__}", file=sys.stderr)
        if not self._stopping.is_set():
            self._lifecycle.end(operation_id, error)

    def _wait_until_due(self, operation_id: str) -> bool:
        """Wait; False when there is nothing to finish: it ended otherwise, is to fail, or the emulator stops."""
        while True:
            seen = self._lifecycle.changed.count
            operation = self._store.operation(operation_id)
            if self._stopping.is_set() or not operation.running:
                return False
            left = 1.0 if operation.due_at is None else operation.due_at - times.now()
            if left <= 0:
                return operation.planned_error is None
            self._lifecycle.changed.wait(seen, min(left, 1.0))

    def _internal_error(self) -> dict[str, Any]:
        return {
            "http_code": 500,
            "code": "InternalError",
            "message": f"The {self.kind} ended because of an internal error of the service.",
            "extended_code": "InternalError",
        }
