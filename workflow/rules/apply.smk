# From a trained model to its folder, which travels, and to the rain of days that nobody observed.
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
        "tile": entry.sampling.tile,
    }


def of_model(file):
    """An input function: a file of the model that an application uses."""

    def path(wildcards):
        experiment = CONFIG.model_of(wildcards.application)
        if experiment is None:
            return str(Path(CONFIG.applications[wildcards.application].model) / file)
        return f"<results>/{experiment}/model/{file}"

    return path


@cache
def card_of_folder(application):
    """The card of a model folder that the workflow did not make."""
    folder = Path(CONFIG.applications[application].model)
    try:
        model_folder.require_whole(folder)
    except UserError as error:
        sys.exit(f"applications.{application}.model cannot be used:\n{error}")
    return json.loads((folder / model_folder.CARD).read_text(encoding="utf-8"))


def temperature_of(application):
    """The temperature of the model of an application."""
    experiment = CONFIG.model_of(application)
    if experiment is None:
        return card_of_folder(application)["sampling"]["temperature"]
    return CONFIG.experiments[experiment].sampling.temperature


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


localrules:
    freeze_application_config,
    describe_model,


rule export_model:
    input:
        weights=rules.train_model.output.weights,
        info=rules.train_model.output.info,
        fields=fields,
        normalisation=normalisation,
    output:
        weights="<results>/{experiment}/model/weights.safetensors",
        info="<results>/{experiment}/model/model.json",
        domain="<results>/{experiment}/model/domain.nc",
    log:
        "<logs>/export_model/{experiment}.log",
    benchmark:
        "<benchmarks>/export_model/{experiment}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("export_model"),
    message:
        "Exporting the model {wildcards.experiment}"
    script:
        "../scripts/export_model.py"


rule describe_model:
    input:
        folder=[rules.export_model.output[name] for name in ("weights", "info", "domain")],
        normalisation=normalisation,
        thresholded=thresholded_of_model,
        scores=scores_of_model,
    output:
        card="<results>/{experiment}/model/card.json",
        readme="<results>/{experiment}/model/README.md",
        manifest="<results>/{experiment}/model/manifest.json",
    log:
        "<logs>/describe_model/{experiment}.log",
    benchmark:
        "<benchmarks>/describe_model/{experiment}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    params:
        code=code_of("describe_model"),
        facts=lambda wildcards: facts_of(wildcards.experiment),
    message:
        "Describing the model {wildcards.experiment}"
    script:
        "../scripts/describe_model.py"


rule freeze_application_config:
    output:
        "<results>/applications/{application}/config/{stage}.json",
    log:
        "<logs>/freeze_application_config/{application}/{stage}.log",
    conda:
        "../envs/rainshaft.yaml"
    params:
        text=lambda wildcards: canonical(
            application_slice(CONFIG, wildcards.application, wildcards.stage, temperature_of(wildcards.application))
        ),
    message:
        "Writing the settings of {wildcards.application} that the stage {wildcards.stage} reads"
    shell:
        "printf '%s' {params.text:q} > {output:q} 2> {log:q}"


rule prepare_application:
    input:
        config="<results>/applications/{application}/config/predictors.json",
        domain=of_model(model_folder.DOMAIN),
        raw=lambda wildcards: plain_files(files_of_application(wildcards.application, wildcards.year)),
    output:
        predictors="<results>/applications/{application}/predictors/{year}.nc",
    log:
        "<logs>/prepare_application/{application}/predictors/{year}.log",
    benchmark:
        "<benchmarks>/prepare_application/{application}/predictors/{year}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("prepare_application"),
        stamps=lambda wildcards: stamps_of(files_of_application(wildcards.application, wildcards.year)),
    message:
        "Preparing {wildcards.year} of {wildcards.application}"
    script:
        "../scripts/prepare_application.py"


rule downscale_year:
    input:
        config="<results>/applications/{application}/config/draw.json",
        weights=of_model(model_folder.WEIGHTS),
        info=of_model(model_folder.INFO),
        domain=of_model(model_folder.DOMAIN),
        predictors=rules.prepare_application.output.predictors,
    output:
        samples="<results>/applications/{application}/samples/{year}/{shard}.nc",
    log:
        "<logs>/downscale_year/{application}/{year}-{shard}.log",
    benchmark:
        "<benchmarks>/downscale_year/{application}/{year}-{shard}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    threads: 8
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
        gpu=0 if CONFIG.train.device == "cpu" else 1,
    params:
        code=code_of("downscale_year"),
    message:
        "Downscaling {wildcards.year} of {wildcards.application}, part {wildcards.shard}"
    script:
        "../scripts/downscale_year.py"


rule finish_year:
    input:
        card=of_model(model_folder.CARD),
        samples=shards_of_year,
    output:
        rain="<results>/applications/{application}/rain/{year}.nc",
    log:
        "<logs>/finish_year/{application}/{year}.log",
    benchmark:
        "<benchmarks>/finish_year/{application}/{year}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("finish_year"),
        citation=lambda wildcards: CONFIG.applications[wildcards.application].citation,
        files=lambda wildcards: [str(path) for path in files_of_application(wildcards.application, wildcards.year)],
    message:
        "Applying the pixel threshold to {wildcards.year} of {wildcards.application}"
    script:
        "../scripts/finish_year.py"


APPLICATIONS = [
    f"<results>/applications/{name}/rain/{year}.nc"
    for name, entry in CONFIG.applications.items()
    for year in sorted(entry.years)
]
