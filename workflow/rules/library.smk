# Where the library is, and what Python must find in its environment: the one place that handles paths.
#
# In a clone the library lies beside `workflow/`. This copy is used even where another one is installed, since rules and
# library belong together. Without a clone, as after `snakedeploy`, the installed package is used.
#
# The Python of a conda environment or of a container does not know the package. PYTHONPATH tells it a folder that holds
# the package and nothing else that it could confuse with packages of its own.
import os
import re
import site
import sys
import sysconfig
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


# Snakemake writes the path of Python into commands of the shell as it is, and fills in what stands between braces.
# PYTHONPATH ends at a colon, and netCDF takes a backslash for a slash.
for folder, characters in [(sys.executable, r"[^\w./+,@%=~#!^-]"), (LIBRARY, r"[{}\\:]"), (Path.cwd(), r"\\")]:
    if found := re.search(characters, str(folder)):
        sys.exit(
            f"Snakemake cannot work with {found[0]!r} in the path {folder}. Move the clone to a path of letters, digits and "
            ". _ - + only, and set it up there again: ./run.sh setup"
        )
if sys.getfilesystemencoding() != "utf-8":
    sys.exit(
        f"Python takes the names of files for {sys.getfilesystemencoding()} here, because the locale is not UTF-8. Set "
        "this, and start again: export PYTHONUTF8=1"
    )


def packages(*folders):
    """The packages and modules that folders hold."""
    names = {(path, name) for path in folders if os.path.isdir(path) for name in os.listdir(path)}
    return {name for path, name in names if name.endswith(".py") or os.path.exists(f"{path}/{name}/__init__.py")}


# The modules of a site put packages of another Python into PYTHONPATH, for example a numpy that cannot be imported. An
# environment that has all it needs does without them. The packages in the home folder are the same case.
variables = os.environ
paths = [path for path in variables.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", str(LIBRARY))]
own_folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
own = packages(*own_folders)
if own >= {"snakemake", "torch", "numpy", "pandas", "xarray", "netCDF4"}:
    for folder in {*paths, *([site.getusersitepackages()] if site.ENABLE_USER_SITE else [])} - set(own_folders):
        if hidden := sorted(packages(folder) & own):
            names = ", ".join(hidden[:3]) + (", ..." if hidden[3:] else "")
            print(f"Packages in {folder} are not used: they would hide {names} of {sys.prefix}", file=sys.stderr)
            sys.path = [path for path in sys.path if path != folder]
            paths = [path for path in paths if path != folder]
            variables["PYTHONNOUSERSITE"] = "1"
variables["PYTHONPATH"] = os.pathsep.join([str(LIBRARY), *paths])
variables["PYTHONUTF8"] = "1"  # a job reads and writes UTF-8 under every locale
# Matplotlib keeps its list of fonts in the home folder, which not all machines can write, and whose list may be of a
# Python that is gone.
variables.setdefault("MPLCONFIGDIR", str(Path(".snakemake/matplotlib").absolute()))
