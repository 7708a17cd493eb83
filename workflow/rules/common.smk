# The checked configuration, and what several rules ask of it.
import json
import sys
from importlib.util import find_spec
from pathlib import Path

from rainshaft.config import load
from rainshaft.errors import UserError
from rainshaft.locks import Lock
from rainshaft.sources import source_files
from rainshaft.stages import code_fingerprint, dataset_slice, experiment_slice

try:
    CONFIG = load(config)
except UserError as error:
    sys.exit(f"The configuration cannot be used:\n{error}")

DATASETS = list(dict.fromkeys(e.dataset for e in CONFIG.experiments.values()))
RUNS = [(name, mode) for name, e in CONFIG.experiments.items() for mode in e.sampling.modes]
FIRST = [names[0] for names in CONFIG.families.values()]  # of the replicates: the one for figures and for the terminal
BASELINES = [name for name in CONFIG.baselines.names if name != "rainfarm" or find_spec("pysteps")]
DESCRIBED = {name: CONFIG.datasets[name] for name in DATASETS}
DESCRIBED |= {family: CONFIG.experiments[names[0]] for family, names in CONFIG.families.items()}
DESCRIPTIONS = {name: entry.description for name, entry in DESCRIBED.items() if entry.description}

SEEDS = range(1, CONFIG.augmentation.seeds + 1)


def dataset_of(wildcards):
    """The dataset of a job: its own wildcard, or that of its experiment."""
    return getattr(wildcards, "dataset", None) or CONFIG.experiments[wildcards.experiment].dataset


def fields(wildcards):
    """The canonical fields of every year of the dataset."""
    name = dataset_of(wildcards)
    return expand(
        "<results>/data/{dataset}/fields/{year}.nc",
        dataset=name,
        year=sorted(CONFIG.datasets[name].years),
    )


def statistics(wildcards):
    """The statistics of the dataset."""
    return f"<results>/data/{dataset_of(wildcards)}/statistics.nc"


def raw_files(wildcards):
    """What a year is prepared from: the user's files, or the folder of the synthetic ones."""
    dataset = CONFIG.datasets[wildcards.dataset]
    if dataset.synthetic:
        return rules.make_demo_data.output.raw
    try:
        return [str(path) for path in source_files(dataset, int(wildcards.year))]
    except UserError as error:
        sys.exit(f"The input cannot be used:\n{error}")


def shards(wildcards):
    """The shards of an ensemble, in the order of their days."""
    modes = CONFIG.experiments[wildcards.experiment].sampling.modes
    if wildcards.mode not in modes:
        sys.exit(
            f"experiments.{wildcards.experiment}.sampling.mode: found `{modes[0]}`, but the {wildcards.mode} was asked "
            f"for; write `{wildcards.mode}` or `both`"
        )
    count = CONFIG.experiments[wildcards.experiment].sampling.shards
    return [f"<results>/{wildcards.experiment}/samples/{wildcards.mode}/{i}-of-{count}.nc" for i in range(1, count + 1)]


def dates_file(wildcards):
    """The file with the dates to draw, where `sampling.days` names one: an edit of it draws anew."""
    kind, _, path = CONFIG.experiments[wildcards.experiment].sampling.days.partition(":")
    if kind != "file":
        return []
    if not Path(path).exists():  # Snakemake would take the old members instead
        sys.exit(f"sampling.days: found `file:{path}`, but there is no such file; write one date a line in it")
    return [path]


def growing(amount):
    """A resource that grows with every try: what killed the job may have been too little of it."""
    return lambda wildcards, attempt: amount * attempt


def gpus(wildcards):
    """How many GPUs a training takes."""
    settings = CONFIG.experiments[wildcards.experiment].train
    return 0 if settings.device == "cpu" else settings.gpus


def of_runs(pattern, of=CONFIG.experiments):
    """A path for every mode of the experiments."""
    return [path for name, mode in RUNS if name in of for path in expand(pattern, experiment=name, mode=mode)]


def baselines_of(dataset):
    """The baselines of a dataset: analogs need context, the climatology nothing; the others refine coarse rain."""
    settings = CONFIG.datasets[dataset]
    can = {"climatology": True, "analogs": settings.has_context}
    return [name for name in BASELINES if can.get(name, settings.has_coarse_rain)]


def of_baselines(pattern):
    """A path for every baseline of every dataset."""
    return [path for name in DATASETS for path in expand(pattern, dataset=name, baseline=baselines_of(name))]


def compared(wildcards):
    """Experiment -> mode, for the experiments of a dataset; the prior where it is drawn: it has not seen the truth."""
    mine = {name: e for name, e in CONFIG.experiments.items() if e.dataset == wildcards.dataset}
    return {name: e.sampling.modes[0] for name, e in mine.items()}


def families(wildcards):
    """Experiment of the file -> its replicates, for the experiments of a dataset."""
    mine = compared(wildcards)
    return {family: list(names) for family, names in CONFIG.families.items() if names[0] in mine}


def compared_files(of_experiment, of_baseline, all_replicates=False):
    """An input function: the files of the baselines and of the compared experiments, of replicates just the first."""

    def files(wildcards):
        dataset = wildcards.dataset
        return [
            path.format(**names)
            for path, names in [(of_baseline, {"dataset": dataset, "baseline": name}) for name in baselines_of(dataset)]
            + [
                (of_experiment, {"experiment": name, "mode": mode})
                for name, mode in compared(wildcards).items()
                if all_replicates or name in FIRST
            ]
        ]

    return files


RUN_LOCK = Lock(Path(".snakemake/rainshaft.lock"))  # held until this process ends, however it ends


def be_alone():
    """Before the first job: no other run works in this folder, and no job of a killed one."""
    from rainshaft.cluster import cancel_left_jobs, jobs_in_queue

    if not RUN_LOCK.take():
        sys.exit(
            f"Another run works in this folder: {RUN_LOCK.holder}. Nothing was started; wait for its end, or work in "
            "another clone."
        )
    if not RUN_LOCK.is_sure and (queued := jobs_in_queue(Path.cwd())):
        sys.exit(
            f"Jobs of this folder are in the queue ({', '.join(queued)}), and without locks on this file system they may "
            "belong to a run that is alive. Nothing was started; wait for its end, or scancel them."
        )
    try:
        if cancelled := cancel_left_jobs(Path.cwd()):
            print(f"Cancelled {cancelled} jobs that an earlier run had left in the queue", file=sys.stderr)
    except UserError as error:
        sys.exit(str(error))


def cancel_what_is_left():
    """After Ctrl-C: Snakemake cancels its jobs, but not those whose state it is just asking for."""
    from rainshaft.cluster import cancel_jobs

    if RUN_LOCK.is_sure:  # else they may be those of another run
        cancel_jobs(Path.cwd())


def check_input():
    """Before the first job: every raw file is there, whole, and fits; one message that names all that is wrong."""
    from rainshaft.ingest import check_sources

    if left_out := set(CONFIG.baselines.names) - set(BASELINES):
        print(
            f"{', '.join(left_out)} is left out of the comparison: pysteps is not installed",
            file=sys.stderr,
        )
    try:
        for name in DATASETS:
            if CONFIG.datasets[name].synthetic is None:
                check_sources(CONFIG.datasets[name])
    except UserError as error:
        sys.exit(f"The input cannot be used:\n{error}")


def show_verdicts():
    """After the last job: the verdict on every experiment, of replicates on the first, and where to look."""
    from rainshaft.verdict import summary

    for path in map(Path, of_runs(f"{CONFIG.results}/{{experiment}}/evaluation/{{mode}}/verdict.json", FIRST)):
        if path.exists():  # only a part may have been asked for
            print(summary(json.loads(path.read_text())), file=sys.stderr)
    if CONFIG.replicates > 1:
        print(
            f"The first of {CONFIG.replicates} replicates each; means over all: {CONFIG.results}/comparison/table.md",
            file=sys.stderr,
        )
