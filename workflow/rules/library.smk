# Where the library is: the one place that handles paths.
#
# In a clone it lies beside `workflow/`, and this copy is used even where another one is installed, since rules and library
# belong together. The Python of a conda environment or of a container has no installed copy, so its jobs are told, too.
import os
import sys
from importlib.util import find_spec
from pathlib import Path

CLONE = Path(str(workflow.current_basedir)).parents[1]

if (CLONE / "rainshaft" / "__init__.py").is_file():
    sys.path.insert(0, str(CLONE))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(CLONE), *filter(None, [os.environ.get("PYTHONPATH")])])
elif find_spec("rainshaft") is None:
    sys.exit(
        "The workflow needs the Python package rainshaft of the same version. It is neither beside the workflow nor "
        "installed. Install it into the environment of Snakemake: pip install PATH_OR_ADDRESS_OF_RAINSHAFT"
    )
