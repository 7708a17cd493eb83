"""How long a classic netCDF file must be by its header: the netCDF library reads one that is cut short without a word.

Layout: NetCDF Classic Format Specification (CDF-1, CDF-2, CDF-5).
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np


def netcdf3_size(path: Path) -> int | None:
    """Bytes that a netCDF3 file must have by its header; None for other formats."""
    with open(path, "rb") as file:
        magic = file.read(4)
        if magic[:3] != b"CDF" or len(magic) < 4 or magic[3] not in (1, 2, 5):
            return None
        return _Classic(file, magic[3]).size()


class _Classic:
    """Reads the header of a classic netCDF file."""

    SIZES = (0, 1, 1, 2, 4, 4, 8, 1, 2, 4, 8, 8)  # bytes, by the number of the type

    def __init__(self, file: BinaryIO, version: int) -> None:
        self.file = file
        self.count_form = ">q" if version == 5 else ">i"
        self.begin_form = ">i" if version == 1 else ">q"

    def size(self) -> int:
        records = self.number(self.count_form)
        lengths = [self.dimension() for _ in range(self.elements())]
        self.attributes()
        variables = [self.variable(lengths) for _ in range(self.elements())]
        end = self.file.tell()
        in_records = [size for size, _, is_record in variables if is_record]
        record = in_records[0] if len(in_records) == 1 else sum(s + -s % 4 for s in in_records)
        for size, begin, is_record in variables:
            if is_record and records <= 0:  # none yet, or a stream that does not say
                continue
            end = max(end, begin + size + (record * (records - 1) if is_record else 0))
        return end

    def number(self, form: str) -> int:
        return struct.unpack(form, self.file.read(struct.calcsize(form)))[0]

    def elements(self) -> int:
        self.number(">i")  # tag
        return self.number(self.count_form)

    def skip(self, size: int) -> None:
        self.file.seek(size + -size % 4, 1)

    def dimension(self) -> int:
        self.skip(self.number(self.count_form))
        return self.number(self.count_form)

    def attributes(self) -> None:
        for _ in range(self.elements()):
            self.skip(self.number(self.count_form))
            size = self.SIZES[self.number(">i")]
            self.skip(size * self.number(self.count_form))

    def variable(self, lengths: list[int]) -> tuple[int, int, bool]:
        """Bytes of the variable (of one record), where it begins, and whether it is in records."""
        self.skip(self.number(self.count_form))
        shape = [lengths[self.number(self.count_form)] for _ in range(self.number(self.count_form))]
        self.attributes()
        size = self.SIZES[self.number(">i")]
        self.number(self.count_form)  # vsize overflows for large variables
        begin = self.number(self.begin_form)
        is_record = bool(shape) and shape[0] == 0
        return size * int(np.prod(shape[1:] if is_record else shape, dtype=np.int64)), begin, is_record
