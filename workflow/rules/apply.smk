# From a trained model to its folder, which travels, and to the rain of days that nobody observed.


localrules:
    freeze_application_config,
    describe_model,
    judge_range,


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
        climate="<results>/{experiment}/model/climate.nc",
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
        folder=[rules.export_model.output[name] for name in ("weights", "info", "domain", "climate")],
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
            application_slice(CONFIG, wildcards.application, wildcards.stage, *drawing_of(wildcards.application))
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


rule measure_range:
    input:
        climate=of_model(model_folder.CLIMATE),
        years=years_of("predictors"),
    output:
        sums="<results>/applications/{application}/range.nc",
        table=report(
            "<results>/applications/{application}/range.md",
            caption="../report/range_table.rst",
            category="Applications",
            labels={"application": "{application}"},
        ),
        maps=report(
            "<results>/applications/{application}/range.png",
            caption="../report/range_maps.rst",
            category="Applications",
            labels={"application": "{application}"},
        ),
    log:
        "<logs>/measure_range/{application}.log",
    benchmark:
        "<benchmarks>/measure_range/{application}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("measure_range"),
    message:
        "Comparing the predictors of {wildcards.application} with the range of the training days"
    script:
        "../scripts/measure_range.py"


rule judge_range:
    input:
        config="<results>/applications/{application}/config/range.json",
        sums=rules.measure_range.output.sums,
    output:
        judged="<results>/applications/{application}/range.json",
    log:
        "<logs>/judge_range/{application}.log",
    benchmark:
        "<benchmarks>/judge_range/{application}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    params:
        code=code_of("judge_range"),
    message:
        "Judging whether the predictors of {wildcards.application} can be trusted"
    script:
        "../scripts/judge_range.py"


rule downscale_year:
    input:
        config="<results>/applications/{application}/config/draw.json",
        weights=of_model(model_folder.WEIGHTS),
        info=of_model(model_folder.INFO),
        domain=of_model(model_folder.DOMAIN),
        predictors=rules.prepare_application.output.predictors,
        # a new year of an application draws no old year anew
        in_range=ancient(rules.judge_range.output.judged),
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


rule find_indices:
    input:
        rain=rules.finish_year.output.rain,
    output:
        indices="<results>/applications/{application}/indices/{year}.nc",
    log:
        "<logs>/find_indices/{application}/{year}.log",
    benchmark:
        "<benchmarks>/find_indices/{application}/{year}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("find_indices"),
    message:
        "Computing indices of {wildcards.year} of {wildcards.application}"
    script:
        "../scripts/find_indices.py"


use rule find_indices as find_coarse_indices with:
    input:
        predictors=rules.prepare_application.output.predictors,
    output:
        indices="<results>/applications/{application}/coarse_indices/{year}.nc",
    log:
        "<logs>/find_coarse_indices/{application}/{year}.log",
    benchmark:
        "<benchmarks>/find_coarse_indices/{application}/{year}.jsonl"
    message:
        "Computing indices of the coarse rain of {wildcards.year} of {wildcards.application}"


rule average_indices:
    input:
        years=years_of("indices"),
    output:
        summary="<results>/applications/{application}/indices.nc",
    log:
        "<logs>/average_indices/{application}.log",
    benchmark:
        "<benchmarks>/average_indices/{application}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("average_indices"),
    message:
        "Averaging the indices of {wildcards.application} over its years"
    script:
        "../scripts/average_indices.py"


use rule average_indices as average_coarse_indices with:
    input:
        years=years_of("coarse_indices"),
        like=rules.average_indices.output.summary,
    output:
        summary="<results>/applications/{application}/coarse_indices.nc",
    log:
        "<logs>/average_coarse_indices/{application}.log",
    benchmark:
        "<benchmarks>/average_coarse_indices/{application}.jsonl"
    message:
        "Averaging the indices of the coarse rain of {wildcards.application} over its years"


localrules:
    tabulate_application,


rule tabulate_application:
    input:
        summaries=lambda wildcards: summaries(wildcards.application),
    output:
        table=report(
            "<results>/applications/{application}/table.md",
            caption="../report/application_table.rst",
            category="Applications",
            labels={"application": "{application}"},
        ),
        rows="<results>/applications/{application}/table.json",
    log:
        "<logs>/tabulate_application/{application}.log",
    benchmark:
        "<benchmarks>/tabulate_application/{application}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    params:
        code=code_of("tabulate_application"),
        description=lambda wildcards: CONFIG.applications[wildcards.application].description,
    message:
        "Tabulating the indices of {wildcards.application}"
    script:
        "../scripts/tabulate_application.py"


rule compare_applications:
    input:
        base=lambda wildcards: summaries(CONFIG.applications[wildcards.application].change_from),
        future=lambda wildcards: summaries(wildcards.application),
    output:
        change="<results>/applications/{application}/change.nc",
        table=report(
            "<results>/applications/{application}/change.md",
            caption="../report/change_table.rst",
            category="Applications",
            labels={"application": "{application}"},
        ),
        rows="<results>/applications/{application}/change.json",
        maps=report(
            "<results>/applications/{application}/change_maps.png",
            caption="../report/change_maps.rst",
            category="Applications",
            labels={"application": "{application}"},
        ),
        area=report(
            "<results>/applications/{application}/change_of_area.png",
            caption="../report/change_of_area.rst",
            category="Applications",
            labels={"application": "{application}"},
        ),
    log:
        "<logs>/compare_applications/{application}.log",
    benchmark:
        "<benchmarks>/compare_applications/{application}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        code=code_of("compare_applications"),
        names=lambda wildcards: [CONFIG.applications[wildcards.application].change_from, wildcards.application],
    message:
        "Comparing {wildcards.application} with the application from which it changes"
    script:
        "../scripts/compare_applications.py"


APPLICATIONS = [f"<results>/applications/{name}/table.md" for name in CONFIG.applications]
APPLICATIONS += [
    f"<results>/applications/{name}/change.md" for name, entry in CONFIG.applications.items() if entry.change_from
]
