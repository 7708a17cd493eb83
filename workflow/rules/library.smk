# Where the library is: the one place that handles paths.
#
# In a clone the library lies beside `workflow/`. This copy is used even where another one is installed, since rules and
# library belong together. Without a clone, as after `snakedeploy`, the installed package is used.
#
# The Python of a conda environment or of a container does not know the package. PYTHONPATH tells it a folder that holds
# the package and nothing else that it could confuse with packages of its own.
import os
import sys
from importlib.util import find_spec
from pathlib import Path

LIBRARY = Path(str(workflow.current_basedir)).parents[1]

if (LIBRARY / "rainshaft" / "__init__.py").is_file():
    sys.path.insert(0, str(LIBRARY))
elif package := find_spec("rainshaft"):
    LIBRARY = Path(".snakemake/library").absolute()
    LIBRARY.mkdir(parents=True, exist_ok=True)
    link = LIBRARY / "rainshaft"
    if not link.exists() or link.resolve() != Path(package.origin).resolve().parent:
        link.unlink(missing_ok=True)
        link.symlink_to(Path(package.origin).resolve().parent)
else:
    sys.exit(
        "The workflow needs the Python package rainshaft of the same version. It is neither beside the workflow nor "
        "installed. Install it where Snakemake is installed: pip install FOLDER_OR_ADDRESS_OF_RAINSHAFT"
    )

variables = os.environ
paths = [path for path in variables.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", str(LIBRARY))]
variables["PYTHONPATH"] = os.pathsep.join([str(LIBRARY), *paths])
