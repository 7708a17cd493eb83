# From the files of an application to rain for days that nobody observed.


localrules:
    freeze_application_config,
    judge_range,


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


rule place_general:
    input:
        config="<results>/applications/{application}/config/place.json",
        raw=raw_of_application,
    output:
        weights="<results>/applications/{application}/model/weights.safetensors",
        info="<results>/applications/{application}/model/model.json",
        domain="<results>/applications/{application}/model/domain.nc",
        climate="<results>/applications/{application}/model/climate.nc",
        card="<results>/applications/{application}/model/card.json",
        readme="<results>/applications/{application}/model/README.md",
        manifest="<results>/applications/{application}/model/manifest.json",
    log:
        "<logs>/place_general/{application}.log",
    benchmark:
        "<benchmarks>/place_general/{application}.jsonl"
    wildcard_constraints:
        application=one_of(name for name, entry in CONFIG.applications.items() if entry.model == "general"),
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("place_general"),
        networks=lambda wildcards: stamp_of_general(""),
        stamps=lambda wildcards: [
            stamps_of(files_of_run(wildcards.application, "predictors", year))
            for year in CONFIG.applications[wildcards.application].years
        ],
    message:
        "Placing the general networks where the rain of {wildcards.application} is"
    script:
        "../scripts/place_general.py"


rule prepare_application:
    input:
        config="<results>/applications/{application}/config/{run}.json",
        domain=of_model(model_folder.DOMAIN),
        raw=raw_of_run,
    output:
        predictors="<results>/applications/{application}/{run}/{year}.nc",
    log:
        "<logs>/prepare_application/{application}/{run}/{year}.log",
    benchmark:
        "<benchmarks>/prepare_application/{application}/{run}/{year}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("prepare_application"),
        model=lambda wildcards: stamp_of_model(wildcards.application),
        key=lambda wildcards: key_of_run(CONFIG, wildcards.application, wildcards.run),
        stamps=stamps_of_run,
    message:
        "Preparing the {wildcards.run} of {wildcards.application}, {wildcards.year}"
    script:
        "../scripts/prepare_application.py"


rule find_climate:
    input:
        years=lambda wildcards: years_of_run(wildcards.application, wildcards.run),
    output:
        climate="<results>/applications/{application}/climate/{run}.nc",
    log:
        "<logs>/find_climate/{application}/{run}.log",
    benchmark:
        "<benchmarks>/find_climate/{application}/{run}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("find_climate"),
    message:
        "Describing the climate of the {wildcards.run} of {wildcards.application}"
    script:
        "../scripts/find_climate.py"


rule adjust_predictors:
    input:
        config="<results>/applications/{application}/config/adjust.json",
        predictors="<results>/applications/{application}/predictors/{year}.nc",
        trained=of_model(model_folder.CLIMATE),
        reference="<results>/applications/{application}/climate/reference.nc",
        own=own_climate,
    output:
        predictors="<results>/applications/{application}/adjusted/{year}.nc",
    log:
        "<logs>/adjust_predictors/{application}/{year}.log",
    benchmark:
        "<benchmarks>/adjust_predictors/{application}/{year}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("adjust_predictors"),
        model=lambda wildcards: stamp_of_model(wildcards.application),
    message:
        "Adjusting {wildcards.year} of {wildcards.application} to the climate of the training days"
    script:
        "../scripts/adjust_predictors.py"


rule measure_range:
    input:
        climate=of_model(model_folder.CLIMATE),
        years=lambda wildcards: [
            seen_by_model(wildcards.application, year)
            for year in sorted(CONFIG.applications[wildcards.application].years)
        ],
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
        pdf="<results>/applications/{application}/range.pdf",
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
        model=lambda wildcards: stamp_of_model(wildcards.application),
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
        predictors=lambda wildcards: seen_by_model(wildcards.application, wildcards.year),
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
        model=lambda wildcards: stamp_of_model(wildcards.application),
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
        model=lambda wildcards: stamp_of_model(wildcards.application),
        attributes=lambda wildcards: origin_of_predictors(wildcards.application, wildcards.year),
    message:
        "Applying the pixel threshold to {wildcards.year} of {wildcards.application}"
    script:
        "../scripts/finish_year.py"


rule join_years:
    input:
        years=lambda wildcards: rain_of_years(wildcards.application),
    output:
        store=directory("<results>/applications/{application}/rain.zarr"),
    log:
        "<logs>/join_years/{application}.log",
    benchmark:
        "<benchmarks>/join_years/{application}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        code=code_of("join_years"),
    message:
        "Joining the years of {wildcards.application} in a zarr store"
    script:
        "../scripts/join_years.py"
