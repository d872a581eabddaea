"""Pictures inside Parquet files, taken out a few rows at a time in the order in which they stand."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from aes_audit.evidence.art_pictures import Unopened, Unreadable

if TYPE_CHECKING:
    import pyarrow.parquet as pq

__all__ = ["Shelf", "opened"]

ROWS = 16
"""Rows that are taken out at a time."""

HELD = 64
"""Rows that stay in memory: works are asked about in batches, and several times each."""

_BUFFER = 1 << 20


def opened(path: Path) -> pq.ParquetFile:
    """A Parquet file that is read page by page; with neither option Arrow fetches a whole row group at once."""
    import pyarrow.parquet as pq

    return pq.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER, page_checksum_verification=True)


class Shelf:
    """The image column of some Parquet files. Going back by more than HELD rows reads the row group again."""

    def __init__(self, paths: Sequence[Path], column: str) -> None:
        """`column` is the path of the bytes: the column's name, or `name.bytes` in a struct."""
        self._paths = paths
        # Captions are asked for by several threads at once.
        self._lock = threading.Lock()
        self._column = column
        self._held: dict[tuple[int, int], bytes | None] = {}
        # File and row group of the reading head, where its file's groups start, and what it has not come to yet.
        self._place: tuple[int, int] | None = None
        self._starts: list[int] = []
        self._rest: Iterator[tuple[int, list[bytes | None]]] = iter(())

    def picture(self, file: int, row: int) -> bytes:
        """The image file in a row, counted from 0 in its Parquet file; raises Unreadable."""
        import pyarrow as pa

        try:
            with self._lock:
                if (file, row) not in self._held:
                    self._take_out(file, row)
                found = self._held[file, row]
        except (pa.ArrowException, OSError, ValueError) as error:
            self._place = None
            said = " ".join(str(error).split())
            raise Unopened(f"{self._paths[file].name}, row {row}: not readable as Parquet ({said})") from error
        if not found:
            raise Unreadable("the data set has no picture in this row")
        return found

    def _take_out(self, file: int, row: int) -> None:
        if self._place is None or self._place[0] != file:
            self._open(file)
        group = bisect_right(self._starts, row) - 1
        # A row behind the reading head is found from the start of its group only.
        for anew in (self._place != (file, group), True):
            if anew:
                self._place, self._rest = (file, group), self._rows(file, group)
            for start, values in self._rest:
                self._hold(file, start, values)
                if start <= row < start + len(values):
                    return
        raise ValueError(f"row {row} is missing")

    def _open(self, file: int) -> None:
        with opened(self._paths[file]) as parquet:
            meta = parquet.metadata
            sizes = [meta.row_group(group).num_rows for group in range(meta.num_row_groups)]
        self._starts = [0, *accumulate(sizes)][:-1]

    def _rows(self, file: int, group: int) -> Iterator[tuple[int, list[bytes | None]]]:
        import pyarrow as pa

        start = self._starts[group]
        with opened(self._paths[file]) as parquet:
            for batch in parquet.iter_batches(batch_size=ROWS, row_groups=[group], columns=[self._column]):
                column = batch.column(0)
                values = (column.flatten()[0] if pa.types.is_struct(column.type) else column).to_pylist()
                yield start, values
                start += len(values)

    def _hold(self, file: int, start: int, values: Sequence[bytes | None]) -> None:
        self._held |= {(file, start + offset): value for offset, value in enumerate(values)}
        for old in list(self._held)[:-HELD]:
            del self._held[old]
