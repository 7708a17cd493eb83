"""How long a netCDF file must be by its header.

The netCDF library reads a classic file that is cut short without an error, and returns zeros for the part that is
missing. So the length is computed from the header and compared with that of the file. `scipy.io.netcdf_file` notices a
short file of the formats CDF-1 and CDF-2, but cannot read CDF-5, which is used for large variables. That is why we have
a reader of headers of our own.

The header of a netCDF4 file, which is an HDF5 file, states where it ends. The library notices a short one, but says no
more than "HDF error". With the lengths the message can say that it is cut short.

Layout: NetCDF Classic Format Specification (CDF-1, CDF-2, CDF-5),
https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html, and the superblock of the HDF5 File
Format Specification, https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np


def netcdf3_size(path: Path) -> int | None:
    """Give the bytes that a classic netCDF file must have by its header; None for another format.

    Raises
    ------
    struct.error
        If the header is damaged.
    """
    with open(path, "rb") as file:
        magic = file.read(4)
        if magic[:3] != b"CDF" or len(magic) < 4 or magic[3] not in (1, 2, 5):
            return None
        try:
            return _Classic(file, magic[3]).size()
        except (IndexError, ValueError, OverflowError) as error:  # a number of it points nowhere
            raise struct.error(f"its header is damaged: {error}") from None


def hdf5_size(path: Path) -> int | None:
    """Give the bytes that an HDF5 file must have by its header; None where the header is of an unknown version."""
    with open(path, "rb") as file:
        offset = 0
        while (start := file.read(8)) and start != b"\x89HDF\r\n\x1a\n":
            offset = 2 * offset or 512
            file.seek(offset)
        version = file.read(1)
        if version in (b"\0", b"\1"):
            size_of_addresses = file.read(12)[4]
            file.seek(offset + (24 if version == b"\0" else 28))
        elif version in (b"\2", b"\3"):
            size_of_addresses = file.read(3)[0]
        else:
            return None
        file.seek(2 * size_of_addresses, 1)
        end = file.read(size_of_addresses)
        if len(end) < size_of_addresses:
            raise ValueError("the header of the file is cut short")
        return int.from_bytes(end, "little")


class _Classic:
    """Reads the header of a classic netCDF file; each method goes on from where the last one stopped."""

    SIZES = (0, 1, 1, 2, 4, 4, 8, 1, 2, 4, 8, 8)  # bytes, by the number of the type

    def __init__(self, file: BinaryIO, version: int) -> None:
        self.file = file
        self.length = os.fstat(file.fileno()).st_size
        self.count_form = ">q" if version == 5 else ">i"
        self.begin_form = ">i" if version == 1 else ">q"

    def size(self) -> int:
        """Bytes of the whole file: where its last variable ends."""
        records = self.number(self.count_form)
        lengths = [self.dimension() for _ in range(self.elements())]
        self.attributes()
        variables = [self.variable(lengths) for _ in range(self.elements())]
        end = self.file.tell()
        in_records = [size for size, _, is_record in variables if is_record]
        record = in_records[0] if len(in_records) == 1 else sum(s + -s % 4 for s in in_records)
        for size, begin, is_record in variables:
            if is_record and records <= 0:  # there is none yet, or a program that streams did not write the number
                continue
            end = max(end, begin + size + (record * (records - 1) if is_record else 0))
        return end

    def number(self, form: str) -> int:
        """Read a number, which is a length or a place."""
        return struct.unpack(form, self.file.read(struct.calcsize(form)))[0]

    def elements(self) -> int:
        """Read how many elements the list has that begins here."""
        self.number(">i")  # tag
        count = self.number(self.count_form)
        if not 0 <= count <= self.length:  # each element takes some bytes
            raise ValueError(f"a list of {count} elements")
        return count

    def skip(self, size: int) -> None:
        """Go on by so many bytes, rounded up to four."""
        if not 0 <= size <= self.length:
            raise ValueError(f"an entry of {size} bytes")
        self.file.seek(size + -size % 4, 1)

    def dimension(self) -> int:
        """Read a dimension; its length, 0 for that of the records."""
        self.skip(self.number(self.count_form))
        return self.number(self.count_form)

    def attributes(self) -> None:
        """Go past a list of attributes."""
        for _ in range(self.elements()):
            self.skip(self.number(self.count_form))
            size = self.SIZES[self.number(">i")]
            self.skip(size * self.number(self.count_form))

    def variable(self, lengths: list[int]) -> tuple[int, int, bool]:
        """Read a variable: its bytes (of one record), where it begins, and whether it is in records."""
        self.skip(self.number(self.count_form))
        shape = [lengths[self.number(self.count_form)] for _ in range(self.number(self.count_form))]
        self.attributes()
        size = self.SIZES[self.number(">i")]
        self.number(self.count_form)  # vsize overflows for large variables
        begin = self.number(self.begin_form)
        is_record = bool(shape) and shape[0] == 0
        return size * int(np.prod(shape[1:] if is_record else shape, dtype=np.int64)), begin, is_record
