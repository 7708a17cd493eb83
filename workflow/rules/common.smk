# The checked configuration, and functions that several rules need.
import sys
from pathlib import Path

from rainshaft.baselines import table as baselines
from rainshaft.config.load import check_files, load
from rainshaft.config.slices import PrepareSettings, dataset_slice, experiment_slice
from rainshaft.errors import UserError
from rainshaft.jobs.fingerprint import code_fingerprint
from rainshaft.jobs.stages import canonical

try:
    if not workflow.modifier.is_module:  # the files of another workflow are not ours to judge
        check_files(workflow.configfiles)
    CONFIG = load(config, baselines.names())
except UserError as error:
    sys.exit(f"The configuration cannot be used:\n{error}")

DATASETS = list(dict.fromkeys(e.dataset for e in CONFIG.experiments.values()))
RUNS = [(name, mode) for name, e in CONFIG.experiments.items() for mode in e.modes]
# Figures and the terminal show the first replicate of each experiment.
FIRST = [names[0] for names in CONFIG.families.values()]
FIRST_TRAINED = [name for name in (CONFIG.folds_of(first)[0] for first in FIRST) if name in CONFIG.trained]
# Their prior, where it is drawn, is scored under many pixel thresholds.
TRACED = [name for name in FIRST if name in CONFIG.trained and (name, "prior") in RUNS]
BASELINES = [name for name in CONFIG.baselines.names if baselines.is_installed(name)]
DESCRIBED = {name: CONFIG.datasets[name] for name in DATASETS}
DESCRIBED |= {family: CONFIG.experiments[names[0]] for family, names in CONFIG.families.items()}
DESCRIPTIONS = {name: entry.description for name, entry in DESCRIBED.items() if entry.description}

# Scores of validation days are there to decide on, those of test days to report.
PARTS = ("validation", "test")

SEEDS = range(1, CONFIG.augmentation.seeds + 1)


def code_of(script, *modules):
    """A hash of what a script and the library behind it do. A rule runs again when it changes."""
    return code_fingerprint(Path(workflow.source_path(f"../scripts/{script}.py")), *modules)


def dataset_of(wildcards):
    """The dataset of a job: the job names it, or the experiment of the job does."""
    return getattr(wildcards, "dataset", None) or {**CONFIG.trained, **CONFIG.experiments}[wildcards.experiment].dataset


def fields(wildcards):
    """The canonical fields of every year of the dataset. All its folds share them."""
    name = CONFIG.record_of(dataset_of(wildcards))
    return expand(
        "<results>/data/{dataset}/fields/{year}.nc",
        dataset=name,
        year=sorted(CONFIG.datasets[name].years),
    )


def normalisation(wildcards):
    """The normalisation of the dataset."""
    return f"<results>/data/{dataset_of(wildcards)}/normalisation.nc"


def one_of(names):
    """A pattern that matches these names. It matches nothing if there are none; an empty pattern would match all."""
    return "|".join(names) or "(?!)"


def growing(amount):
    """A resource that grows with every try, since too little of it may have ended the try before."""
    return lambda wildcards, attempt: amount * attempt


def gpus(wildcards):
    """How many GPUs a training takes."""
    settings = CONFIG.trained[wildcards.experiment].train
    return 0 if settings.device == "cpu" else settings.gpus


def of_runs(pattern, of=CONFIG.experiments):
    """A path for every mode of the experiments."""
    return [path for name, mode in RUNS if name in of for path in expand(pattern, experiment=name, mode=mode)]
