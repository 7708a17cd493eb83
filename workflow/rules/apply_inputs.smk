# Functions that find the input of the rules of applications.
from rainshaft.config.slices import application_slice
from rainshaft.data.sources import files_of, predictor_source
from rainshaft.models import folder as model_folder


def scores_of_model(wildcards):
    """The scores of a model on the test days, and those of the baselines beside it; none if its prior is not drawn."""
    experiment = CONFIG.experiments[wildcards.experiment]
    if "prior" not in experiment.sampling.modes:
        return []
    mine = f"<results>/{wildcards.experiment}/evaluation/prior/scores.json"
    others = [
        f"<results>/data/{experiment.dataset}/evaluation/{name}/scores.json"
        for name in baselines_of(experiment.dataset)
    ]
    return [mine, *others]


def thresholded_of_model(wildcards):
    """An ensemble whose pixel threshold is known."""
    return f"<results>/{wildcards.experiment}/synth/{CONFIG.experiments[wildcards.experiment].sampling.modes[0]}.nc"


def facts_of(experiment):
    """What the configuration says of a model, for its card."""
    entry = CONFIG.experiments[experiment]
    dataset = CONFIG.datasets[entry.dataset]
    return {
        "name": experiment,
        "dataset": entry.dataset,
        "description": dataset.description,
        "licence": dataset.licence,
        "citation": dataset.citation,
        "temperature": entry.sampling.temperature,
        "memory": entry.sampling.memory,
        "tile": entry.sampling.tile,
    }


def model_file(application, file):
    """A file of the model that an application uses."""
    experiment = CONFIG.model_of(application)
    if experiment is None:
        return str(Path(CONFIG.applications[application].model) / file)
    return f"<results>/{experiment}/model/{file}"


def of_model(file):
    """An input function: a file of the model that an application uses."""
    return lambda wildcards: model_file(wildcards.application, file)


@cache
def card_of_folder(application):
    """The card of a model folder that the workflow did not make."""
    folder = Path(CONFIG.applications[application].model)
    try:
        model_folder.require_whole(folder)
    except UserError as error:
        sys.exit(f"applications.{application}.model cannot be used:\n{error}")
    return json.loads((folder / model_folder.CARD).read_text(encoding="utf-8"))


def drawing_of(application):
    """The temperature and the memory with which the model of an application draws."""
    experiment = CONFIG.model_of(application)
    if experiment is None:
        drawn = card_of_folder(application)["sampling"]
        return drawn["temperature"], drawn["memory"]
    return CONFIG.experiments[experiment].sampling.temperature, CONFIG.experiments[experiment].sampling.memory


@cache
def files_of_application(application, year):
    """The user's files of a year of an application. The folders are searched once, though several functions ask."""
    try:
        return [
            path
            for i, files in enumerate(CONFIG.applications[application].predictors)
            for path in files_of(predictor_source(files, f"applications.{application}.predictors.{i}"), int(year))
        ]
    except UserError as error:
        sys.exit(f"The input cannot be used:\n{error}")


def shards_of_year(wildcards):
    """The shards of the members of a year, in the order of their days."""
    count = CONFIG.applications[wildcards.application].shards
    return [
        f"<results>/applications/{wildcards.application}/samples/{wildcards.year}/{i}-of-{count}.nc"
        for i in range(1, count + 1)
    ]


def has_coarse_rain(application):
    """Whether a predictor of the model of an application is coarse rain."""
    experiment = CONFIG.model_of(application)
    if experiment is None:
        return any(one["quantity"] == "rain" for one in card_of_folder(application)["predictors"])
    return CONFIG.datasets[CONFIG.experiments[experiment].dataset].has_coarse_rain


def years_of(folder):
    """An input function: a path for every year of an application."""
    return lambda wildcards: [
        f"<results>/applications/{wildcards.application}/{folder}/{year}.nc"
        for year in sorted(CONFIG.applications[wildcards.application].years)
    ]


def summaries(application):
    """The indices of an application over all years, and those of its coarse rain where it has some."""
    names = ["indices", *(["coarse_indices"] if has_coarse_rain(application) else [])]
    return [f"<results>/applications/{application}/{name}.nc" for name in names]
