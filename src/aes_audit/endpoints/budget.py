"""What a run may spend on hosted models. Money is reserved before a call, so that no two calls spend the same.

A budget is one run's, never the store's: the next run starts with all of it, and pays only for what the store lacks.
Processes of one run (pytest-xdist) share it through a file; what a process had reserved when it died counts as spent.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from filelock import FileLock

from aes_audit.errors import BudgetSpent, StoreUnusable

__all__ = ["Budget", "Reservation", "dollars"]

_UNIT = 1_000_000_000
"""Amounts are whole billionths of a dollar: floats would drift apart over many calls."""


@dataclass(slots=True)
class _Sums:
    spent: int = 0
    reserved: int = 0


class Budget:
    """Money for the calls of one run; any number of threads and, with a file, of processes may draw on it."""

    def __init__(self, limit_usd: float | None = None, file: Path | None = None) -> None:
        """`limit_usd` in US dollars, None for no limit; `file` keeps the sums for all processes of the run."""
        self.limit_usd = limit_usd
        self._limit = None if limit_usd is None else int(limit_usd * _UNIT + 0.5)
        self._file = file
        self._sums = _Sums()
        self._lock = threading.Lock()

    @property
    def spent_usd(self) -> float:
        """What the calls so far have cost, as far as is known, in US dollars."""
        with self._open() as sums:
            return sums.spent / _UNIT

    def reserve(self, usd: float) -> Reservation:
        """Set the price of a call aside, before it is sent. Raises BudgetSpent when less than that is left."""
        amount = _units(usd)
        with self._open() as sums:
            taken = sums.spent + sums.reserved
            if self._limit is not None and taken + amount > self._limit:
                raise BudgetSpent(
                    f"the budget of {dollars(self._limit / _UNIT)} is spent: the next call costs {dollars(usd)} and "
                    f"{dollars((self._limit - taken) / _UNIT)} are left; run again to go on, with a larger "
                    "--audit-budget if need be"
                )
            sums.reserved += amount
        return Reservation(self, amount)

    def _settle(self, reserved: int, spent: int) -> None:
        with self._open() as sums:
            sums.reserved -= reserved
            sums.spent += spent

    @contextmanager
    def _open(self) -> Iterator[_Sums]:
        """The sums, to be read and changed by one at a time."""
        if self._file is None:
            with self._lock:
                yield self._sums
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._lock, FileLock(f"{self._file}.lock"):
                sums = _read(self._file)
                before = (sums.spent, sums.reserved)
                yield sums
                if (sums.spent, sums.reserved) != before:
                    _write(self._file, sums)
        except (OSError, ValueError) as error:
            raise StoreUnusable(f"the sums of the budget in {self._file} cannot be kept: {error}.") from error


class Reservation:
    """Money set aside for one call: `settle` says what the call cost, `release` that it cost nothing."""

    def __init__(self, budget: Budget, amount: int) -> None:
        """Made by Budget.reserve."""
        self._budget = budget
        self._amount = amount
        self._open = True

    def settle(self, usd: float | None = None) -> None:
        """The call cost this much; None for the price that was reserved. Only the first word counts."""
        if self._open:
            self._open = False
            self._budget._settle(self._amount, self._amount if usd is None else _units(usd))

    def release(self) -> None:
        """The call cost nothing."""
        self.settle(0.0)


def dollars(usd: float) -> str:
    """An amount for people: whole cents where it has them, more digits where it is less."""
    cents = f"{usd:.2f}"
    return f"${cents if abs(float(cents) - usd) < 1e-9 else f'{usd:.6f}'.rstrip('0').rstrip('.')}"


def _units(usd: float) -> int:
    # A price is never rounded down; what float arithmetic adds in the last digit is no price.
    return ceil(round(usd * _UNIT, 3))


def _read(file: Path) -> _Sums:
    try:
        return _Sums(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return _Sums()
    except TypeError as error:
        raise ValueError("it holds other things") from error


def _write(file: Path, sums: _Sums) -> None:
    part = file.with_name(f"{file.name}.tmp")
    part.write_text(json.dumps({"spent": sums.spent, "reserved": sums.reserved}), encoding="utf-8")
    part.replace(file)
