"""Work of the archive in threads: what is taken when, in which order, and how it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from biztalk_services.archive.parallel import in_parallel, one_ahead


class Counted:
    """Numbers from 0; says how many were taken."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.taken = threading.Semaphore(0)
        self.count = 0
        self._fails_at = fails_at

    def __iter__(self) -> Iterator[int]:
        for number in range(100):
            if number == self._fails_at:
                raise OSError("no answer")
            self.count += 1
            self.taken.release()
            yield number


def _threads() -> set[str]:
    return {each.name for each in threading.enumerate() if each.name.startswith("archive")}


class TestOneAhead:
    def test_has_all_items_in_order(self) -> None:
        assert list(one_ahead(iter(Counted()))) == list(range(100))
        assert list(one_ahead(iter(()))) == []

    def test_none_is_an_item(self) -> None:
        assert list(one_ahead(iter([None, None]))) == [None, None]

    def test_takes_the_next_while_one_is_used_and_no_further(self) -> None:
        items = Counted()
        ahead = one_ahead(iter(items))
        for number in range(3):
            assert next(ahead) == number
            for _ in range(2 if number == 0 else 1):
                assert items.taken.acquire(timeout=10)
            assert items.count == number + 2
        ahead.close()

    def test_an_error_comes_in_its_turn(self) -> None:
        ahead = one_ahead(iter(Counted(fails_at=2)))
        assert [next(ahead), next(ahead)] == [0, 1]
        with pytest.raises(OSError, match="no answer"):
            next(ahead)

    def test_whoever_takes_no_more_leaves_no_thread(self) -> None:
        ahead = one_ahead(iter(Counted()))
        next(ahead)
        assert _threads()
        ahead.close()
        assert not _threads()


class TestInParallel:
    def test_has_the_results_in_the_order_of_the_items(self) -> None:
        first, later = threading.Event(), threading.Event()

        def work(number: int) -> int:
            if number == 0:
                assert later.wait(10)
                first.set()
            else:
                later.set()
            return number * 2

        assert list(in_parallel(work, range(20))) == [2 * number for number in range(20)]
        assert first.is_set()

    def test_takes_items_as_they_are_needed(self) -> None:
        items = Counted()
        results = in_parallel(lambda number: number, items, threads=2)
        assert next(results) == 0
        assert items.count < 20
        results.close()

    def test_begins_nothing_after_an_error(self) -> None:
        items = Counted()

        def work(number: int) -> int:
            if number == 3:
                raise OSError("no answer")
            return number

        ended = threading.Event()
        with pytest.raises(OSError, match="no answer"):
            list(in_parallel(work, items, threads=2, ended=ended))
        assert ended.is_set()
        assert items.count < 20
        assert not _threads()
