"""rainshaft: a conditional VAE that turns coarse climate fields into sharp, honest, high-resolution rain."""

import os
from importlib.util import find_spec
from pathlib import Path

__version__ = "0.1.0"


def _show_filters_of_netcdf() -> None:
    """Let HDF5 see the filters that come with netCDF4, such as zstandard, beside those of the machine.

    Modules of a cluster set HDF5_PLUGIN_PATH, which hides them. HDF5 reads this variable once, when it is loaded. So it
    is changed here, before anything of this package is imported.
    """
    stated, netcdf = os.environ.get("HDF5_PLUGIN_PATH"), find_spec("netCDF4")
    if not stated or netcdf is None or netcdf.origin is None:
        return
    own = str(Path(netcdf.origin).parent / "plugins")
    if os.path.isdir(own) and own not in stated.split(os.pathsep):
        os.environ["HDF5_PLUGIN_PATH"] = os.pathsep.join([own, stated])


_show_filters_of_netcdf()
