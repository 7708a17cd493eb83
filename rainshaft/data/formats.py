"""Raw files of every format: netCDF, zarr, GRIB and rasters such as GeoTIFF, opened as they are.

Input: a file, a zarr store or an address. Output: an `xr.Dataset` whose attributes are not yet applied, and whose
values are still on the disk.

The first bytes of a file say what it is, because its name is often wrong: the Climate Data Store once wrote zip
archives under names that end in `.nc`, and a download without a login saves a web page.
"""

from __future__ import annotations

import itertools
import re
import struct
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import NetCDF4BackendEntrypoint, ZarrBackendEntrypoint

from rainshaft.data.netcdf3 import hdf5_size, netcdf3_size
from rainshaft.data.sources import ZARR_FILES, InMemory, InputError, Location, Source, fault

EXPECTED = "a netCDF file, a zarr store, a GRIB file or a GeoTIFF"
SHOWN = 12  # names in a message; more would hide the rest

NETCDF3, HDF5, GRIB, TIFF, RASTER, ZIP = "netCDF", "HDF5", "GRIB", "GeoTIFF", "raster", "zip"

MAGIC = (
    (b"CDF\x01", NETCDF3),
    (b"CDF\x02", NETCDF3),
    (b"CDF\x05", NETCDF3),
    (b"\x89HDF\r\n\x1a\n", HDF5),
    (b"GRIB", GRIB),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"II+\x00", TIFF),
    (b"MM\x00+", TIFF),
    (b"PK\x03\x04", ZIP),
    (b"PK\x05\x06", ZIP),
)
"""first bytes of a file -> its format"""

NOT_READ = (
    (b"\x1f\x8b", "a file that gzip has packed", "unpack it: `gunzip FILE.gz` (give it this ending first)"),
    (b"\x1f\x9d", "a file that compress has packed", "unpack it: `gunzip FILE.Z` (give it this ending first)"),
    (b"BZh", "a file that bzip2 has packed", "unpack it: `bunzip2 FILE.bz2` (give it this ending first)"),
    (b"\xfd7zXZ\x00", "a file that xz has packed", "unpack it: `unxz FILE.xz` (give it this ending first)"),
    (b"\x28\xb5\x2f\xfd", "a file that zstd has packed", "unpack it: `unzstd FILE.zst` (give it this ending first)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it, and name the files in it"),
    (b"Rar!", "a RAR archive", "unpack it, and name the files in it"),
    (b"\x0e\x03\x13\x01", "an HDF4 file", "convert it to netCDF, for example with `gdal_translate -of netCDF`"),
    (b"BUFR", "a BUFR file of observations", "use data on a grid"),
    (b"%PDF", "a PDF document", "download the data themselves"),
    (
        b"\x93NUMPY",
        "an array of NumPy, which has no axes",
        "write it with its axes as netCDF (`xarray.Dataset.to_netcdf`)",
    ),
    (b"PAR1", "a Parquet table", "write it on a grid as netCDF"),
    (b"MATLAB 5.0", "a file of MATLAB", "write it as netCDF with its axes (`nccreate`, `ncwrite`)"),
)
"""first bytes of a file that is not read -> what it is, and what to do"""

DECODERS = ("mask_and_scale", "decode_times", "concat_characters", "decode_coords", "decode_timedelta")
AS_IT_IS: dict[str, Any] = {**dict.fromkeys(DECODERS, False), "cache": False}
"""How all files are opened. `decode_cf=False` does not work with a class as engine, and a name as engine would import
every engine that is installed, which takes a second."""


@dataclass(frozen=True)
class Raw:
    """A file that is open, as it is."""

    file: xr.Dataset
    """all variables beside the one that was asked for"""
    name: str
    """the name of that variable among them"""
    notes: tuple[str, ...] = ()
    """sentences about what was done to open it"""


@dataclass(frozen=True)
class _Opener:
    """Opens the raw file of one variable."""

    source: Source
    location: Location

    def fault(self, found: str, cure: str, expected: str = EXPECTED) -> InputError:
        return fault(self.location, self.source.variable, found, expected, cure)


def open_raw(source: Source, location: Location) -> Raw:
    """Open the file that holds a variable.

    Parameters
    ----------
    source
        Names the variable: by its name, or by its path where it lies in a group.
    location
        A file, a folder that is a zarr store, or an address.

    Raises
    ------
    InputError
        If there is no such file, its format is not read, a package is missing, or it has no such variable.
    """
    opener = _Opener(source, location)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # each library warns of attributes, which are checked here later
            if isinstance(location, InMemory):
                return _open_memory(opener, location)
            if isinstance(location, str):
                return _open_address(opener, location)
            if location.is_dir():
                return _open_groups(opener, str(location), ZarrBackendEntrypoint)
            return _open_file(opener, location)
    except InputError:
        raise
    except FileNotFoundError:
        raise opener.fault("no such file", f"correct {source.files_key} or put the file there") from None
    except PermissionError:
        raise opener.fault("a file that you may not read", "ask its owner for the right to read it") from None
    except ImportError as error:
        raise _missing_package(opener, error) from None


def variables_of(location: Path) -> dict[str, xr.Variable]:
    """Every variable of a file by its name, or by its path where it lies in a group; no values are read.

    The variables of GRIB files and of rasters have no size and no attributes here.

    Raises
    ------
    InputError
        If the format is not read, a package is missing, or the file is damaged.
    """
    opener = _Opener(Source("files", "files", (), "", "other"), location)
    kind = "zarr" if location.is_dir() else format_of(location)
    with warnings.catch_warnings(), _naming_faults(opener, "a file that cannot be opened", "copy it again"):
        warnings.simplefilter("ignore")
        try:
            if kind == GRIB:
                nothing = xr.Variable(("time", "y", "x"), np.empty((0, 0, 0)))
                return {str(field["shortName"]): nothing for field in _grib_fields(location)}
            if kind in (TIFF, RASTER):
                return {"Band1": xr.Variable(("y", "x"), np.empty((0, 0)))}
            if kind not in ("zarr", NETCDF3, HDF5):
                open_raw(opener.source, location)  # it says what the file is
            return _variables_of_groups(
                str(location), ZarrBackendEntrypoint if kind == "zarr" else NetCDF4BackendEntrypoint
            )
        except ImportError as error:
            raise _missing_package(opener, error) from None


def _variables_of_groups(store: str, engine: Any) -> dict[str, xr.Variable]:
    with xr.open_dataset(store, engine=engine, **AS_IT_IS) as root:
        found = {str(name): variable for name, variable in root.variables.items()}
    if not any(variable.ndim >= 2 for variable in found.values()):
        for path, file in xr.open_groups(store, engine=engine, **AS_IT_IS).items():
            with file:
                found |= {f"{path}/{name}".lstrip("/"): variable for name, variable in file.variables.items()}
    return found


def format_of(path: Path) -> str:
    """Give the format of a file by its first bytes; an empty text where they are not those of a format that is read.

    Raises
    ------
    OSError
        If the file cannot be read.
    """
    with open(path, "rb") as file:
        start = file.read(16)
        for magic, name in MAGIC:
            if start.startswith(magic):
                return name
        for offset in (512, 1024, 2048):  # a program may write words of its own before the data
            file.seek(offset)
            if file.read(8) == b"\x89HDF\r\n\x1a\n":
                return HDF5
        file.seek(0)
        if b"GRIB" in file.read(256):  # behind the header of a weather bulletin
            return GRIB
    if re.match(rb"\s*ncols\s+\d+", start, re.IGNORECASE) or _raster_header(path):
        return RASTER
    return ""


def _raster_header(path: Path) -> Path | None:
    """The text file that describes a raster of plain numbers (.bil, .flt), if one lies beside it."""
    for header in (path.with_suffix(".hdr"), path.with_suffix(".HDR")):
        if header != path and header.is_file():
            text = header.read_bytes()[:4096]
            if re.search(rb"^\s*nrows\s+\d+", text, re.IGNORECASE | re.MULTILINE):
                return header
    return None


def _open_file(opener: _Opener, path: Path) -> Raw:
    kind = format_of(path)
    if kind in (NETCDF3, HDF5):
        return _open_netcdf(opener, path, kind)
    if kind == GRIB:
        return _open_grib(opener, path)
    if kind in (TIFF, RASTER):
        return _open_raster(opener, path)
    if kind == ZIP:
        return _open_zip(opener, path)
    raise _not_read(opener, path)


def _not_read(opener: _Opener, path: Path) -> InputError:
    """The error about a file that is none of the formats that are read."""
    key = opener.source.files_key
    with open(path, "rb") as file:
        start = file.read(1024)
    if not start:
        return opener.fault("an empty file", "its download failed; download it again")
    for magic, found, cure in NOT_READ:
        if start.startswith(magic):
            return opener.fault(found, cure)
    if start[257:262] == b"ustar":
        return opener.fault("a tar archive", f"unpack it (`tar xf`), and name the files in it in {key}")
    if not start.strip(b"\x00"):
        return opener.fault("nothing but zeros at its start", "its download was not finished; download it again")
    if text := _text(start):
        return _text_fault(opener, path, text)
    return opener.fault(
        f"a file of no known format (its first bytes are {start[:4].hex(' ')})",
        "copy it again if it is netCDF; plain numbers, as those of GrADS, have no header, so convert them to netCDF "
        "(for example with `cdo -f nc import_binary`)",
    )


def _text(start: bytes) -> str:
    """The first bytes as text; empty if they are none."""
    try:
        text = start.decode("utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1").lstrip(
            "\ufeffï»¿ \r\n\t"
        )
    except UnicodeDecodeError:
        return ""
    printable = sum(c.isprintable() or c in "\r\n\t" for c in text)
    return text if printable >= 0.97 * len(text) else ""


def _text_fault(opener: _Opener, path: Path, text: str) -> InputError:
    """The error about a file of text."""
    shown = " ".join(text.split())[:60]
    low = text.lower()
    if re.match(r"(<!doctype html|<html|<head|<\?xml[^>]*>\s*(<!doctype html|<html))", low):
        title = re.search(r"<title[^>]*>([^<]+)", text, re.IGNORECASE)
        about = f" ({' '.join(title[1].split())[:60]})" if title else ""
        return opener.fault(
            f"a web page{about}",
            "such a page is saved where a download asks for a login; log in and download the file again",
        )
    if low.startswith("<"):
        return opener.fault(f"an XML text ({shown})", "it is the answer of a server; download the file again")
    if low.startswith(("{", "[")):
        if '"refs"' in low or "zgroup" in low:
            cure = "write the data it refers to into one netCDF file or zarr store, or name those files"
            return opener.fault("a JSON text that refers to other files, as kerchunk writes it", cure)
        return opener.fault(f"a JSON text ({shown})", "it is the answer of a server; download the file again")
    if low.startswith("version https://git-lfs"):
        return opener.fault("a pointer of Git LFS and not the file itself", "fetch the file: `git lfs pull`")
    if re.match(r"netcdf\s+\S+\s*\{", low):
        return opener.fault("the text that ncdump writes", f"make a file of it: `ncgen -o FILE.nc {path.name}`")
    if re.search(r"^\s*nrows\s+\d+", low, re.MULTILINE) and "ncols" in low:
        return opener.fault("the header of a raster", "name the file that it describes (.bil or .flt)")
    return opener.fault(f"a text ({shown})", "write the data on a grid as netCDF")


def _missing_package(opener: _Opener, error: ImportError) -> InputError:
    """The error about a package that is not installed."""
    extras = {"zarr": "zarr", "fsspec": "zarr", "cfgrib": "grib", "eccodes": "grib", "rioxarray": "geotiff"}
    extras["rasterio"] = "geotiff"
    name = (error.name or "").split(".")[0]
    if name in extras:
        what = {"zarr": "a zarr store", "grib": "a GRIB file", "geotiff": "a raster"}[extras[name]]
        found = f"{what}, but the package {name} is not installed"
        return opener.fault(found, f'install it: `pip install "rainshaft[{extras[name]}]"`', f"the package {name}")
    found = f"a place that needs a package that is not installed ({' '.join(str(error).split())[:120]})"
    return opener.fault(found, "install that package with pip", "the package")


@contextmanager
def _naming_faults(opener: _Opener, found: str, cure: str) -> Iterator[None]:
    """Turn what a library raises about a file into an error in our words; it may raise anything on a damaged file."""
    try:
        yield
    except (InputError, ImportError, PermissionError):
        raise
    except Exception as error:
        words = " ".join(str(error).split())[:200] or type(error).__name__
        raise opener.fault(f"{found} ({words})", cure) from None


# ------------------------------------------------------------------------------------------ netCDF and zarr


def _open_netcdf(opener: _Opener, path: Path, kind: str) -> Raw:
    size = path.stat().st_size
    try:
        needed = netcdf3_size(path) if kind == NETCDF3 else hdf5_size(path)
    except (struct.error, IndexError, ValueError, OverflowError):
        raise opener.fault("a header that is damaged or cut short", "copy it again") from None
    if needed is not None and size < needed:
        expected = f"{needed} bytes by its header"
        raise opener.fault(f"{size} bytes", "the file is cut short; copy it again", expected)
    raw = _open_groups(opener, path, NetCDF4BackendEntrypoint)
    try:
        _require_filters(opener, raw)
    except InputError:
        raw.file.close()
        raise
    return raw


def _require_filters(opener: _Opener, raw: Raw) -> None:
    """Read one value of data that a filter has packed which not every HDF5 has. The header can be read without it."""
    variable = raw.file.variables[raw.name]
    packing = variable.encoding
    if packing.get("contiguous", True) or packing.get("zlib") or not variable.size:
        return
    try:
        variable[dict.fromkeys(variable.dims, 0)].load()
    except (RuntimeError, OSError) as error:
        if "ilter" not in str(error):
            return  # the data are damaged; that is said where they are read
        found = _filters(Path(str(opener.location))) or "of an unknown name"
        raise opener.fault(
            f"data that are packed with the filter {found}, which cannot be read here",
            "the file is whole, but HDF5 lacks that filter: `unset HDF5_PLUGIN_PATH` if it is set; or pack the file "
            f"anew where the filter is known: `nccopy -F none -d 1 {Path(str(opener.location)).name} NEW.nc`",
            "a filter that is installed",
        ) from None


FILTERS = {
    4: "szip",
    307: "bzip2",
    32000: "lzf",
    32001: "blosc",
    32004: "lz4",
    32008: "bitshuffle",
    32013: "zfp",
    32015: "zstandard",
    32017: "sz",
    32026: "blosc2",
}
"""number of a filter in HDF5 -> its name"""

HEADER_BYTES = 2**24  # of a file; the headers of its variables lie near its start


def _filters(path: Path) -> str:
    """The filters that an HDF5 file names. The netCDF library does not tell the name of a filter that it lacks."""
    with open(path, "rb") as file:
        start = file.read(HEADER_BYTES)
    found = []
    for number, name in FILTERS.items():
        # number, length of the name, flags, number of parameters, name: "Filter Pipeline Message" of the HDF5 format
        message = (
            re.escape(number.to_bytes(2, "little")) + rb"[\x03-\x7f]\x00[\x00\x01]\x00[\x00-\x20]\x00[A-Za-z][ -~]{2}"
        )
        if re.search(message, start, re.DOTALL):
            found.append(name)
    return ", ".join(found)


def _open_groups(opener: _Opener, store: Any, engine: Any, **options: Any) -> Raw:
    """Open the group that holds the variable. Coordinates may lie in the groups around it."""
    cure = "if it is whole, convert it to netCDF; otherwise copy it again"
    with _naming_faults(opener, "a file that cannot be opened", cure):
        root = xr.open_dataset(store, engine=engine, **options, **AS_IT_IS)
    wanted = opener.source.variable.strip("/")
    if wanted in root.variables:
        return Raw(root, wanted)
    with _naming_faults(opener, "groups that cannot be opened", cure):
        opened = xr.open_groups(store, engine=engine, **options, **AS_IT_IS)
    groups = {path.strip("/"): file for path, file in opened.items()}

    def close() -> None:
        for file in (root, *groups.values()):
            file.close()

    try:
        path, name = _path_of(opener, groups, wanted)
    except InputError:
        close()
        raise
    file = _with_coordinates_around(groups, path)
    file.set_close(close)
    return Raw(file, name, (f"variable {path}/{name} read.",))


def _path_of(opener: _Opener, groups: dict[str, xr.Dataset], wanted: str) -> tuple[str, str]:
    """The group and the name of the variable."""
    every = [f"{path}/{name}".lstrip("/") for path, file in groups.items() for name in map(str, file.data_vars)]
    *folders, name = wanted.split("/")
    if folders:
        found = [path for path in groups if path == "/".join(folders) and name in groups[path].variables]
    else:
        found = [path for path, file in groups.items() if name in file.variables]
    if not found:
        raise opener.fault(
            f"the variables {_some(every)}", f"correct {opener.source.key}.variable", "a variable of this name"
        )
    if len(found) > 1:
        paths = _some(f"{path}/{name}" for path in found)
        raise opener.fault(
            f"several variables of this name: {paths}", f"write one of these as {opener.source.key}.variable", "one"
        )
    return found[0], name


def _with_coordinates_around(groups: dict[str, xr.Dataset], path: str) -> xr.Dataset:
    """A group with those variables of the groups around it that lie on its dimensions."""
    file = groups[path]
    while path:
        path = path.rpartition("/")[0]
        around = groups.get(path, xr.Dataset())
        fitting = {
            name: variable
            for name, variable in around.variables.items()
            if name not in file.variables and all(file.sizes.get(d) == n for d, n in variable.sizes.items())
        }
        file = file.assign(fitting)
    return file


def _some(names: Iterable[str]) -> str:
    """The first of many names."""
    listed = list(names)
    rest = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return (", ".join(listed[:SHOWN]) or "none") + rest


# ------------------------------------------------------------------------------------------ archives, addresses


def _open_zip(opener: _Opener, path: Path) -> Raw:
    """Open a zarr store that is packed as one file. Other archives are refused."""
    with (
        _naming_faults(opener, "a zip archive that cannot be opened", "copy it again"),
        zipfile.ZipFile(path) as archive,
    ):
        names = archive.namelist()
    stores = sorted((n for n in names if n.rpartition("/")[2] in ZARR_FILES), key=lambda n: n.count("/"))
    if not stores:
        whole = [name for name in names if not name.endswith("/")]
        raise opener.fault(
            f"a zip archive that holds {_some(whole)}",
            f"unpack it (`unzip {path.name}`), and name the files in it in {opener.source.files_key}",
        )
    from zarr.storage import ZipStore

    options = {"group": folder, "consolidated": False} if (folder := stores[0].rpartition("/")[0]) else {}
    return _open_groups(opener, ZipStore(path, mode="r"), ZarrBackendEntrypoint, **options)


def _open_address(opener: _Opener, address: str) -> Raw:
    """Open a zarr store behind an address, or a file that fsspec copies to this machine first."""
    if address.startswith("file://"):
        local = Path(address.removeprefix("file://"))
        return _open_groups(opener, str(local), ZarrBackendEntrypoint) if local.is_dir() else _open_file(opener, local)
    import fsspec

    with _naming_faults(
        opener, "an address that cannot be reached", "correct the address, or copy the data here first"
    ):
        system, path = fsspec.core.url_to_fs(address)
        is_store = any(system.exists(f"{path.rstrip('/')}/{name}") for name in ZARR_FILES)
        if is_store:
            return _open_groups(opener, address, ZarrBackendEntrypoint)
        if not system.exists(path):
            raise opener.fault("nothing at this address", f"correct {opener.source.files_key}")
        if re.match(r"(simple|file)cache::", address):
            return _open_file(opener, Path(fsspec.open_local(address)))
    raise opener.fault(
        "an address that is no zarr store",
        f"download the file; or write `simplecache::{address}`, and each job downloads it",
        "the address of a zarr store",
    )


def _open_memory(opener: _Opener, location: InMemory) -> Raw:
    """Give data in memory the form that they would have in a file, so that all that follows treats them alike."""
    dataset = location.dataset.drop_encoding()  # it would pack the values again, as the file did from which they came
    file = xr.Dataset(*xr.conventions.cf_encoder(*xr.conventions.encode_dataset_coordinates(dataset)))
    if opener.source.variable not in file.variables:
        names = _some(map(str, dataset.data_vars))
        raise opener.fault(f"the variables {names}", "give the variable that is meant this name", "one of this name")
    return Raw(file, opener.source.variable)


# ------------------------------------------------------------------------------------------ GRIB

REGULAR_GRIDS = frozenset(
    [
        "regular_ll",
        "regular_gg",
        "rotated_ll",
        "rotated_gg",
        "lambert",
        "polar_stereographic",
        "mercator",
        "albers",
        "transverse_mercator",
        "lambert_azimuthal_equal_area",
    ]
)

GRIDS_IN_WORDS = {
    "unstructured_grid": "an unstructured (for example icosahedral) grid",
    "reduced_gg": "a reduced Gaussian grid",
    "reduced_ll": "a reduced latitude/longitude grid",
    "sh": "spectral coefficients",
}

GRIB_KEYS = [
    "shortName",
    "cfVarName",
    "stepType",
    "typeOfLevel",
    "gridType",
    "Ni",
    "Nj",
    "Nx",
    "Ny",
    "md5GridSection",
    "level",
    "number",
    "stepRange",
    "stepUnits",
    "validityDate",
    "validityTime",
]
"""what is asked of each field"""

Field = dict[str, Any]
"""what a GRIB field says of itself: key -> value, None where it has no such key"""


def _open_grib(opener: _Opener, path: Path) -> Raw:
    """Open the fields of one variable. Their valid times are the axis, and the spans of sums and means its bounds."""
    from cfgrib.xarray_plugin import CfGribBackend

    damaged = "it is cut short or damaged; copy it again"
    with _naming_faults(opener, "a GRIB file that cannot be decoded", damaged):
        fields = list(_grib_fields(path))
    wanted = opener.source.variable
    chosen = [field for field in fields if wanted in (field["cfVarName"], field["shortName"])]
    if not chosen:
        names = _some(dict.fromkeys(str(field["shortName"]) for field in fields))
        raise opener.fault(f"the variables {names}", f"correct {opener.source.key}.variable", "a variable of this name")
    _require_one_kind_of_field(opener, path, chosen)
    keys = {key: chosen[0][key] for key in ("shortName", "stepType", "typeOfLevel")}
    with _naming_faults(opener, "a GRIB file that cannot be decoded", damaged):
        file = xr.open_dataset(
            path,
            engine=CfGribBackend,
            indexpath="",  # no index file beside the data of the user
            filter_by_keys=keys,
            time_dims=("valid_time",),
            **AS_IT_IS,
        )
    (name,) = (name for name, variable in file.variables.items() if "GRIB_shortName" in variable.attrs)
    file = file.rename({name: wanted}) if name != wanted else file
    return Raw(_with_spans(opener, file, chosen), wanted)


def _grib_fields(path: Path) -> Iterator[Field]:
    """What each field of a GRIB file says of itself."""
    import eccodes

    with open(path, "rb") as file:
        while (message := eccodes.codes_grib_new_from_file(file, headers_only=True)) is not None:
            try:
                yield {key: _grib_key(eccodes, message, key) for key in GRIB_KEYS}
            finally:
                eccodes.codes_release(message)


def _grib_key(eccodes: Any, message: Any, key: str) -> Any:
    try:
        return eccodes.codes_get(message, key)
    except eccodes.CodesInternalError:
        return None


def _require_one_kind_of_field(opener: _Opener, path: Path, fields: list[Field]) -> None:
    """Refuse fields that do not make one array of time, level, member, y and x."""
    name = fields[0]["shortName"]
    cure = f"write one kind into a file of its own: `grib_copy -w shortName={name},KEY=VALUE {path.name} NEW.grib`"
    for field in fields:
        if field["gridType"] not in REGULAR_GRIDS:
            words = GRIDS_IN_WORDS.get(field["gridType"], f"a grid of type {field['gridType']}")
            raise opener.fault(
                f"fields on {words}", "interpolate it to a regular grid first, for example with cdo", "a regular grid"
            )
    kinds = Counter(_kind_of_field(field) for field in fields)
    if len(kinds) > 1:
        listed = "; ".join(f"{count} with {kind}" for kind, count in kinds.items())
        raise opener.fault(f"{len(kinds)} kinds of fields: {listed}", cure, "fields of one kind")
    ids = Counter(tuple(field[k] for k in ("validityDate", "validityTime", "level", "number")) for field in fields)
    ((date, time, *_), count) = max(ids.items(), key=lambda item: item[1])
    if count > 1:
        steps = _some(sorted({str(field["stepRange"]) for field in fields}))
        raise opener.fault(
            f"{count} fields for {date} {time:04d} (steps {steps}), as forecasts that overlap have",
            cure.replace("KEY=VALUE", "stepRange=STEP"),
            "one field for each time",
        )


def _kind_of_field(field: Field) -> str:
    """What must be the same in all fields of a variable, in words."""
    columns, rows = field["Ni"] or field["Nx"], field["Nj"] or field["Ny"]
    grid = f"gridType={field['gridType']} of {columns} x {rows} ({str(field['md5GridSection'])[:6]})"
    return f"stepType={field['stepType']}, typeOfLevel={field['typeOfLevel']}, {grid}"


def _with_spans(opener: _Opener, file: xr.Dataset, fields: list[Field]) -> xr.Dataset:
    """Add bounds to the valid times of sums and means: from the start to the end of the step of each field.

    Raises
    ------
    InputError
        If they overlap, as sums since the start of a forecast do.
    """
    spans = {}
    for field in fields:
        start, _, end = str(field["stepRange"]).partition("-")
        if not (start.isdigit() and end.isdigit() and field["stepUnits"] in (1, "h")):
            return file  # moments, or steps that are no hours
        day, clock = f"{field['validityDate']:08d}", f"{field['validityTime']:04d}"
        stamp = np.datetime64(f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:]}", "s").astype("int64")
        spans[int(stamp)] = (int(stamp) - 3600 * (int(end) - int(start)), int(stamp))
    ordered = [spans[stamp] for stamp in sorted(spans)]
    if any(after[0] < before[1] for before, after in itertools.pairwise(ordered)):
        steps = _some(dict.fromkeys(str(field["stepRange"]) for field in fields))
        raise opener.fault(
            f"sums or means whose spans overlap (steps {steps}), as those since the start of a forecast do",
            "take the differences of the steps first, or write one step into a file (`grib_copy -w stepRange=STEP`)",
            "spans that follow each other",
        )
    stamps = file["valid_time"].values
    bounds = np.array([spans[int(stamp)] for stamp in np.atleast_1d(stamps)]).reshape(*np.shape(stamps), 2)
    file["valid_time"].attrs["bounds"] = "valid_time_bounds"
    return file.assign(valid_time_bounds=((*file["valid_time"].dims, "bounds"), bounds, dict(file["valid_time"].attrs)))


# ------------------------------------------------------------------------------------------ rasters


def _open_raster(opener: _Opener, path: Path) -> Raw:
    """Open one band of a raster. It has no time; its date may be in its name."""
    import rioxarray

    with _naming_faults(opener, "a raster that cannot be opened", "copy it again, with the files beside it"):
        opened = rioxarray.open_rasterio(path, mask_and_scale=False, cache=False)
        if not isinstance(opened, xr.DataArray):
            raise ValueError("it holds several rasters")
        bands = _band_names(opened)
        band = _chosen_band(opener, bands)
        data = opened.isel(band=band, drop=True)
        if data.rio.crs is not None:
            data = data.rio.write_crs(data.rio.crs).rio.write_coordinate_system()
            data.attrs["grid_mapping"] = data.encoding.pop("grid_mapping")
    data.attrs.pop("long_name", None)
    if (data.attrs.get("scale_factor"), data.attrs.get("add_offset")) == (1.0, 0.0):
        del data.attrs["scale_factor"], data.attrs["add_offset"]  # they would only make floats of whole numbers
    name = opener.source.variable
    file = data.to_dataset(name=name)
    file.set_close(opened.close)
    notes = () if name in (f"Band{band + 1}", bands[band]) else (f"the only band of the raster taken for {name}.",)
    return Raw(file, name, notes)


def _band_names(raster: xr.DataArray) -> list[str]:
    """What the file calls its bands."""
    stated = raster.attrs.get("long_name", ())
    names = [stated] if isinstance(stated, str) else list(stated)
    return names if len(names) == raster.sizes["band"] else [f"Band{i + 1}" for i in range(raster.sizes["band"])]


def _chosen_band(opener: _Opener, bands: list[str]) -> int:
    """The index of the band. A single band may have any name, because a raster seldom names it."""
    if len(bands) == 1:
        return 0
    found = [i for i, name in enumerate(bands) if opener.source.variable in (name, f"Band{i + 1}")]
    if len(found) != 1:
        raise opener.fault(
            f"a raster of {len(bands)} bands ({_some(bands)}), and nothing that dates them",
            "write them as netCDF with a time axis, or one file a day with its date in the name; to take one band, "
            f"write its name as {opener.source.key}.variable",
            "one band, or a time axis",
        )
    return found[0]
