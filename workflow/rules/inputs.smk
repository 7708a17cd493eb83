# Functions that find the input of one rule or of a few.
import json
import os
from functools import cache

from rainshaft.data.sources import ensemble_files, ensemble_source, file_stamps, source_files
from rainshaft.general.info import WEIGHTS as GENERAL_WEIGHTS
from rainshaft.general.info import is_of_general, read_info
from rainshaft.jobs.stages import digest
from rainshaft.models import folder as model_folder


@cache
def files_of_user(dataset, year):
    """The user's raw files of a year. The folders are searched once, though several functions ask."""
    try:
        return source_files(PrepareSettings(**dataset_slice(CONFIG, dataset, "prepare")), [year])
    except UserError as error:
        sys.exit(f"The input cannot be used:\n{error}")


def raw_files(wildcards):
    """The files from which a year is prepared: those of the user, or the folder of the synthetic ones."""
    if CONFIG.datasets[wildcards.dataset].synthetic:
        return rules.make_demo_data.output.raw
    return plain_files(files_of_user(wildcards.dataset, int(wildcards.year)))


def plain_files(found):
    """Those of the raw files that Snakemake can watch. `stamps_of` knows addresses and all other names, too."""
    # Snakemake would look for the names of wildcards between braces.
    return [str(path) for path in found if isinstance(path, Path) and not set("{}<>") & set(str(path))]


def stamps_of(found):
    """Digits that change when a raw file is replaced. Snakemake itself does not see an older file."""
    return digest(json.dumps(file_stamps(found)))


def raw_stamps(wildcards):
    """Digits that change when a raw file of the user is replaced; none for synthetic files."""
    synthetic = CONFIG.datasets[wildcards.dataset].synthetic
    return "" if synthetic else stamps_of(files_of_user(wildcards.dataset, int(wildcards.year)))


@cache
def files_of_ensemble(experiment):
    """The user's files of the members of an experiment. The folders are searched once, though two functions ask."""
    entry = CONFIG.adopted[experiment]
    source = ensemble_source(entry, f"experiments.{experiment}", entry.members_dim)
    try:
        return ensemble_files(source, sorted(CONFIG.datasets[entry.dataset].years))
    except UserError as error:
        sys.exit(f"The input cannot be used:\n{error}")


def started_model(wildcards):
    """The manifest of the model from which a training starts, where this workflow makes that model."""
    start = CONFIG.trained[wildcards.experiment].train.start
    return [f"<results>/{name}/model/manifest.json" for name in CONFIG.trained if is_folder_of(start, name)]


def is_folder_of(start, experiment):
    """Whether a training starts from the model of an experiment of this workflow."""
    return os.path.normpath(start) == os.path.normpath(f"{CONFIG.results}/{experiment}/model")


@cache
def stamp_of_start(start):
    """Digits that change when the weights change from which a training starts.

    There are none where it starts anew, or from a model that this workflow makes; then its manifest is an input.
    """
    if start == "anew" or any(is_folder_of(start, name) for name in CONFIG.trained):
        return ""
    if start == "general" or is_of_general(Path(start)):
        return stamp_of_general("" if start == "general" else start)
    try:
        model_folder.require_whole(Path(start))
    except UserError as error:
        sys.exit(f"train.start cannot be used:\n{error}")
    return digest((Path(start) / model_folder.MANIFEST).read_text(encoding="utf-8"))


@cache
def stamp_of_general(folder):
    """Digits that change when the general networks change: those of the package, or those of a folder."""
    path = Path(folder) if folder else GENERAL_WEIGHTS
    try:
        return digest(json.dumps(read_info(path)))
    except UserError as error:
        sys.exit(f"The general networks cannot be used:\n{error}")


def ensembles(wildcards):
    """The ensembles that users take away: drawn from a model, or from that of each fold, or adopted from files."""
    folds = CONFIG.folds_of(wildcards.experiment)
    return [f"<results>/{fold}/synth/{wildcards.mode}.nc" for fold in folds]


def ensemble(wildcards):
    """The ensemble of an experiment, of its first fold if there are several."""
    return ensembles(wildcards)[0]


def train_log(wildcards):
    """The log of the training of an experiment, of its first fold; none if its members come from files."""
    training = CONFIG.folds_of(wildcards.experiment)[0]
    return [f"<results>/{training}/logs/train_log.csv"] if training in CONFIG.trained else []


def shards(wildcards):
    """The shards of an ensemble, in the order of their days."""
    modes = CONFIG.trained[wildcards.experiment].sampling.modes
    if wildcards.mode not in modes:
        sys.exit(
            f"experiments.{wildcards.experiment}.sampling.mode: found `{modes[0]}`, but the {wildcards.mode} was asked "
            f"for; write `{wildcards.mode}` or `both`"
        )
    count = CONFIG.trained[wildcards.experiment].sampling.shards
    return [f"<results>/{wildcards.experiment}/samples/{wildcards.mode}/{i}-of-{count}.nc" for i in range(1, count + 1)]


def dates_file(wildcards):
    """The file with the dates to draw, where `sampling.days` names one. After an edit of it the members are drawn anew."""
    kind, _, path = CONFIG.trained[wildcards.experiment].sampling.days.partition(":")
    if kind != "file":
        return []
    if not Path(path).exists():  # without this, Snakemake would take the old members
        sys.exit(f"sampling.days: found `file:{path}`, but there is no such file; write one date a line in it")
    return [path]


def traced_thresholds(wildcards):
    """What the pixel threshold does to the scores, where it was traced."""
    traced = wildcards.experiment in TRACED and wildcards.mode == "prior"
    return expand(rules.trace_thresholds.output.table, **wildcards) if traced else []


def baselines_of(dataset):
    """The baselines for which a dataset has what they need."""
    settings = CONFIG.datasets[dataset]
    has = {
        "coarse rain": settings.has_coarse_rain,
        "coarse predictors": settings.has_coarse_predictors,
        "nothing": True,
    }
    return [name for name in BASELINES if has[baselines.method_of(name).needs]]


def of_baselines(pattern):
    """A path for every baseline of every dataset."""
    return [path for name in DATASETS for path in expand(pattern, dataset=name, baseline=baselines_of(name))]


def compared(wildcards):
    """Experiment -> mode, for the experiments of a dataset.

    The prior is compared where it is drawn, because it has not seen the truth.
    """
    mine = {name: e for name, e in CONFIG.experiments.items() if e.dataset == wildcards.dataset}
    return {name: e.modes[0] for name, e in mine.items()}


def families(wildcards):
    """Experiment of the file -> its replicates, for the experiments of a dataset."""
    mine = compared(wildcards)
    return {family: list(names) for family, names in CONFIG.families.items() if names[0] in mine}


def shown(wildcards):
    """Name in the figures -> wildcards of its files, for the baselines and the first replicate of each experiment."""
    dataset = wildcards.dataset
    entries = {name: {"dataset": dataset, "baseline": name} for name in baselines_of(dataset)}
    for family, names in families(wildcards).items():
        mode = CONFIG.experiments[names[0]].modes[0]
        # The reader must know that the posterior has seen the truth.
        label = f"{family} (posterior)" if mode == "posterior" else family
        entries[label] = {"experiment": names[0], "mode": mode}
    return entries


def shown_names(wildcards):
    """The names in the figures, in the order of `files_of_shown`."""
    return list(shown(wildcards))


def first_fold(names):
    """The wildcards of the ensemble of the first fold."""
    if "baseline" in names:
        return names | {"dataset": CONFIG.folds_of_dataset(names["dataset"])[0]}
    return names | {"experiment": CONFIG.folds_of(names["experiment"])[0]}


def ensembles_of_shown(wildcards):
    """An ensemble for each entry of `shown`."""
    baseline, synth = rules.make_baseline.output.ensemble, rules.apply_threshold.output.synth
    return [
        (baseline if "baseline" in names else synth).format(**first_fold(names)) for names in shown(wildcards).values()
    ]


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


def drawn(caption, figure, of):
    """Figures with the name of their caption and what each is a figure of."""
    return [{"path": expand(figure, **words)[0], "caption": caption, "of": words} for words in of]


def caption_of(name):
    """The text of a caption, as the Snakemake report reads it."""
    return Path(workflow.source_path(f"../report/{name}.rst")).read_text(encoding="utf-8")
