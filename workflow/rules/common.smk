# The checked configuration, and what several rules ask of it.
import json
import sys
from pathlib import Path

from rainshaft.baselines import table as baselines
from rainshaft.config.load import load
from rainshaft.config.slices import PrepareSettings, dataset_slice, experiment_slice
from rainshaft.data.sources import source_files
from rainshaft.errors import UserError
from rainshaft.jobs.fingerprint import code_fingerprint
from rainshaft.jobs.stages import canonical
from rainshaft.locks import Lock

try:
    CONFIG = load(config, baselines.names())
except UserError as error:
    sys.exit(f"The configuration cannot be used:\n{error}")

DATASETS = list(dict.fromkeys(e.dataset for e in CONFIG.experiments.values()))
RUNS = [(name, mode) for name, e in CONFIG.experiments.items() for mode in e.sampling.modes]
FIRST = [names[0] for names in CONFIG.families.values()]  # of the replicates: the one for figures and for the terminal
BASELINES = [name for name in CONFIG.baselines.names if baselines.is_installed(name)]
DESCRIBED = {name: CONFIG.datasets[name] for name in DATASETS}
DESCRIBED |= {family: CONFIG.experiments[names[0]] for family, names in CONFIG.families.items()}
DESCRIPTIONS = {name: entry.description for name, entry in DESCRIBED.items() if entry.description}

SEEDS = range(1, CONFIG.augmentation.seeds + 1)


def code_of(script, *modules):
    """What a script and the library behind it mean, as a hash: a rule runs again when this changes."""
    return code_fingerprint(Path(workflow.source_path(f"../scripts/{script}.py")), *modules)


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


def normalisation(wildcards):
    """The normalisation of the dataset."""
    return f"<results>/data/{dataset_of(wildcards)}/normalisation.nc"


def raw_files(wildcards):
    """What a year is prepared from: the user's files, or the folder of the synthetic ones."""
    dataset = CONFIG.datasets[wildcards.dataset]
    if dataset.synthetic:
        return rules.make_demo_data.output.raw
    try:
        settings = PrepareSettings(**dataset_slice(CONFIG, wildcards.dataset, "prepare"))
        return [str(path) for path in source_files(settings, [int(wildcards.year)])]
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
    """The baselines for which a dataset has what they need."""
    settings = CONFIG.datasets[dataset]
    has = {"coarse rain": settings.has_coarse_rain, "context": settings.has_context, "nothing": True}
    return [name for name in BASELINES if has[baselines.method_of(name).needs]]


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


def shown(wildcards):
    """Name in the figures -> wildcards of its files: the baselines, and of each experiment the first replicate."""
    dataset = wildcards.dataset
    entries = {name: {"dataset": dataset, "baseline": name} for name in baselines_of(dataset)}
    for family, names in families(wildcards).items():
        mode = CONFIG.experiments[names[0]].sampling.modes[0]
        label = f"{family} (posterior)" if mode == "posterior" else family  # it has seen the truth
        entries[label] = {"experiment": names[0], "mode": mode}
    return entries


def shown_names(wildcards):
    """The names in the figures, in the order of `files_of_shown`."""
    return list(shown(wildcards))


def files_of_shown(of_baseline, of_experiment):
    """An input function: a file for each entry of `shown`."""

    def files(wildcards):
        return [
            (of_baseline if "baseline" in names else of_experiment).format(**names)
            for names in shown(wildcards).values()
        ]

    return files


def scores_of_dataset(of_baseline, of_experiment):
    """An input function: the scores of all baselines and of all experiments with all replicates."""

    def files(wildcards):
        dataset = wildcards.dataset
        of_baselines = [of_baseline.format(dataset=dataset, baseline=name) for name in baselines_of(dataset)]
        return of_baselines + [
            of_experiment.format(experiment=name, mode=mode) for name, mode in compared(wildcards).items()
        ]

    return files


RUN_LOCK = Lock(Path(".snakemake/rainshaft.lock"))  # held until this process ends, however it ends


def be_alone():
    """Before the first job: no other run works in this folder, and no job of a killed one."""
    from rainshaft.jobs.cluster import cancel_left_jobs, jobs_in_queue

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
    from rainshaft.jobs.cluster import cancel_jobs

    if RUN_LOCK.is_sure:  # else they may be those of another run
        cancel_jobs(Path.cwd())


def check_input():
    """Before the first job: every raw file is there, whole, and fits; one message that names all that is wrong."""
    from rainshaft.data.prepare import check_sources

    if left_out := set(CONFIG.baselines.names) - set(BASELINES):
        for name in sorted(left_out):
            package = baselines.method_of(name).package
            print(f"{name} is left out of the comparison: {package} is not installed", file=sys.stderr)
    try:
        for name in DATASETS:
            if CONFIG.datasets[name].synthetic is None:
                settings = PrepareSettings(**dataset_slice(CONFIG, name, "prepare"))
                check_sources(settings, CONFIG.datasets[name].years)
    except UserError as error:
        sys.exit(f"The input cannot be used:\n{error}")


def show_verdicts():
    """After the last job: the verdict on every experiment, of replicates on the first, and where to look."""
    from rainshaft.evaluation.verdict import summary

    for path in map(Path, of_runs(f"{CONFIG.results}/{{experiment}}/evaluation/{{mode}}/verdict.json", FIRST)):
        if path.exists():  # only a part may have been asked for
            print(summary(json.loads(path.read_text())), file=sys.stderr)
    if CONFIG.replicates > 1:
        print(
            f"The first of {CONFIG.replicates} replicates each; means over all: {CONFIG.results}/comparison/table.md",
            file=sys.stderr,
        )
