"""rainshaft: a conditional VAE that turns coarse climate fields into sharp, honest, high-resolution rain."""

import os

# Some file systems of clusters have no locks. HDF5 opens files there only if this is set before it is loaded. Its locks
# are not needed: a file has a temporary name until it is whole.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

__version__ = "0.1.0"
