"""rainshaft: a conditional VAE that turns coarse climate fields into sharp, honest, high-resolution rain."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Some file systems of clusters have no locks. HDF5 opens files there only if this is set before it is loaded. Its locks
# are not needed: a file has a temporary name until it is whole.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

__version__ = "0.1.0"

if TYPE_CHECKING:
    import xarray as xr

    from rainshaft.application.model import TrainedModel
    from rainshaft.application.place import GeneralModel


def load_model(folder: str | Path, device: str = "auto") -> TrainedModel:
    """Open the folder of a trained model, to draw rain with it; see `rainshaft.application.model.open_model`."""
    from rainshaft.application.model import open_model  # its imports take seconds, which `import rainshaft` need not

    return open_model(folder, device)


def load_general(
    coarse: xr.Dataset | xr.DataArray, factor: int, variable: str | None = None, **options: Any
) -> GeneralModel:
    """Open the general networks for some coarse rain; see `rainshaft.application.place.open_general`."""
    from rainshaft.application.place import open_general

    return open_general(coarse, factor, variable, **options)


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
