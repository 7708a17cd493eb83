# Functions that find the input of the rules of applications.
from rainshaft.config.applications import key_of_run, made_from_seed, runs_of
from rainshaft.config.slices import application_slice
from rainshaft.data.sources import files_of, predictor_sources


def scores_of_model(wildcards):
    """The scores of a model on the test days, and those of the baselines beside it; none if its prior is not drawn."""
    experiment = CONFIG.trained[wildcards.experiment]
    if "prior" not in experiment.sampling.modes:
        return []
    mine = f"<results>/{CONFIG.scored_as(wildcards.experiment)}/evaluation/prior/scores.json"
    dataset = CONFIG.record_of(experiment.dataset)
    others = [f"<results>/data/{dataset}/evaluation/{name}/scores.json" for name in baselines_of(dataset)]
    return [mine, *others]


def thresholded_of_model(wildcards):
    """An ensemble whose pixel threshold is known."""
    return f"<results>/{wildcards.experiment}/synth/{CONFIG.trained[wildcards.experiment].sampling.modes[0]}.nc"


def facts_of(experiment):
    """What the configuration says of a model, for its card."""
    entry = CONFIG.trained[experiment]
    dataset = CONFIG.datasets[entry.dataset]
    return {
        "name": experiment,
        "dataset": CONFIG.record_of(entry.dataset),
        "description": dataset.description,
        "licence": dataset.licence,
        "citation": dataset.citation,
        "temperature": entry.sampling.temperature,
        "memory": entry.sampling.memory,
        "tile": entry.sampling.tile,
    }


def model_file(application, file):
    """A file of the model that an application uses."""
    experiment, folder = CONFIG.model_of(application), CONFIG.applications[application].model
    if folder == "general":
        # a change must not be that of the networks: how large they take rain to be comes from one application
        owner = CONFIG.applications[application].change_from or application
        return f"<results>/applications/{owner}/model/{file}"
    if experiment is None:
        return str(Path(folder) / file)
    return f"<results>/{experiment}/model/{file}"


def of_model(file):
    """An input function: a file of the model that an application uses."""
    return lambda wildcards: model_file(wildcards.application, file)


@cache
def stamp_of_model(application):
    """Digits that change when the folder of a model is replaced, also by an older one; none for a model made here."""
    if CONFIG.model_of(application):
        return ""
    if CONFIG.applications[application].model == "general":
        return stamp_of_general("")
    card_of_folder(application)  # which checks the folder
    return digest((Path(CONFIG.applications[application].model) / model_folder.MANIFEST).read_text(encoding="utf-8"))


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
    if CONFIG.applications[application].model == "general":
        return 1.0, 0.0
    if experiment is None:
        drawn = card_of_folder(application)["sampling"]
        return drawn["temperature"], drawn["memory"]
    return CONFIG.trained[experiment].sampling.temperature, CONFIG.trained[experiment].sampling.memory


@cache
def files_of_run(application, run, year):
    """The user's files of a year of an application. The folders are searched once, though several functions ask."""
    try:
        found = [
            path
            for i, files in enumerate(runs_of(CONFIG, application)[run].predictors)
            for source in predictor_sources(files, f"{key_of_run(CONFIG, application, run)}.{i}")
            for path in files_of(source, int(year))
        ]
        return list(dict.fromkeys(found))
    except UserError as error:
        sys.exit(f"The input cannot be used:\n{error}")


def raw_of_run(wildcards):
    """The files from which a year of an application is prepared: the user's, or the folder of the synthetic ones."""
    name, run = wildcards.application, wildcards.run
    if dataset := made_from_seed(CONFIG, name, run):
        return [f"<results>/data/{dataset}/raw"]
    return plain_files(files_of_run(name, run, wildcards.year))


def raw_of_application(wildcards):
    """The user's files of all years of an application."""
    name = wildcards.application
    found = [path for year in CONFIG.applications[name].years for path in files_of_run(name, "predictors", year)]
    return plain_files(dict.fromkeys(found))


def stamps_of_run(wildcards):
    """Digits that change when a raw file of the user is replaced; none for synthetic files."""
    name, run = wildcards.application, wildcards.run
    return "" if made_from_seed(CONFIG, name, run) else stamps_of(files_of_run(name, run, wildcards.year))


def years_of_run(application, run):
    """The predictors of every year of a run of an application, as its files have them."""
    years = sorted(runs_of(CONFIG, application)[run].years)
    return [f"<results>/applications/{application}/{run}/{year}.nc" for year in years]


def own_climate(wildcards):
    """The climate of an application itself. The method `delta` does not need it."""
    if CONFIG.applications[wildcards.application].adjust == "delta":
        return []
    return f"<results>/applications/{wildcards.application}/climate/predictors.nc"


def seen_by_model(application, year):
    """The predictors of a year as the model gets them."""
    folder = "predictors" if CONFIG.applications[application].adjust == "none" else "adjusted"
    return f"<results>/applications/{application}/{folder}/{year}.nc"


def origin_of_predictors(application, year):
    """What a file of rain says about its predictors: whom to cite, the files, and how they were adjusted."""
    entry, synthetic = CONFIG.applications[application], made_from_seed(CONFIG, application, "predictors")
    found = {
        "citation": entry.citation,
        "input_files": "synthetic" if synthetic else "\n".join(map(str, files_of_run(application, "predictors", year))),
    }
    if entry.reference:
        years = f"{min(entry.reference.years)} to {max(entry.reference.years)}"
        found["adjustment"] = f"{entry.adjust}, to the climate of the training days; reference run of {years}"
    return found


def rain_of_years(application):
    """The rain of every year of an application."""
    years = sorted(CONFIG.applications[application].years)
    return [f"<results>/applications/{application}/rain/{year}.nc" for year in years]


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
    if CONFIG.applications[application].model == "general":
        return True
    if experiment is None:
        return any(one["quantity"] == "rain" for one in card_of_folder(application)["predictors"])
    return CONFIG.datasets[CONFIG.trained[experiment].dataset].has_coarse_rain


def summaries(application):
    """The indices of an application over all years, and those of its coarse rain where it has some."""
    found = {"downscaled": f"<results>/applications/{application}/indices.nc"}
    if has_coarse_rain(application):
        found["coarse input"] = f"<results>/applications/{application}/coarse_indices.nc"
    return found


def summaries_to_tabulate(application):
    """The indices of an application, and those of the observed rain of its model where this workflow has it."""
    found = summaries(application)
    if experiment := CONFIG.model_of(application):
        found["observed"] = f"<results>/data/{CONFIG.record_of(CONFIG.trained[experiment].dataset)}/indices.nc"
    return found
