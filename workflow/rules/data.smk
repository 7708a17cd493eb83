# From raw files to canonical fields, and from these to the normalisation of the training days.


localrules:
    freeze_dataset_config,


rule freeze_dataset_config:
    output:
        "<results>/data/{dataset}/config/{stage}.json",
    log:
        "<logs>/freeze_dataset_config/{dataset}/{stage}.log",
    conda:
        "../envs/rainshaft.yaml"
    params:
        text=lambda wildcards: canonical(dataset_slice(CONFIG, wildcards.dataset, wildcards.stage)),
    message:
        "Writing the settings of {wildcards.dataset} that the stage {wildcards.stage} reads"
    shell:
        "printf '%s' {params.text:q} > {output:q} 2> {log:q}"


rule make_demo_data:
    input:
        config="<results>/data/{dataset}/config/raw.json",
    output:
        raw=directory("<results>/data/{dataset}/raw"),
    log:
        "<logs>/make_demo_data/{dataset}.log",
    benchmark:
        "<benchmarks>/make_demo_data/{dataset}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        code=code_of("make_demo_data"),
    message:
        "Making synthetic rain for {wildcards.dataset}"
    script:
        "../scripts/make_demo_data.py"


rule prepare_year:
    input:
        config="<results>/data/{dataset}/config/prepare.json",
        raw=raw_files,
    output:
        fields="<results>/data/{dataset}/fields/{year}.nc",
    log:
        "<logs>/prepare_year/{dataset}/{year}.log",
    benchmark:
        "<benchmarks>/prepare_year/{dataset}/{year}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("prepare_year"),
        stamps=raw_stamps,
    message:
        "Preparing {wildcards.year} of {wildcards.dataset}"
    script:
        "../scripts/prepare_year.py"


rule fit_normalisation:
    input:
        config="<results>/data/{dataset}/config/normalisation.json",
        fields=fields,
    output:
        normalisation="<results>/data/{dataset}/normalisation.nc",
        ingest="<results>/data/{dataset}/ingest.json",
    log:
        "<logs>/fit_normalisation/{dataset}.log",
    benchmark:
        "<benchmarks>/fit_normalisation/{dataset}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("fit_normalisation"),
    message:
        "Fitting normalisation to the training days of {wildcards.dataset}"
    script:
        "../scripts/fit_normalisation.py"
