# From the rain of an application to indices of each year, and to the change between two applications.


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


rule average_indices:
    input:
        years=lambda wildcards: [
            f"<results>/applications/{wildcards.application}/indices/{year}.nc"
            for year in sorted(CONFIG.applications[wildcards.application].years)
        ],
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


rule find_coarse_indices:
    input:
        years=lambda wildcards: years_of_run(wildcards.application, "predictors"),
        like=rules.average_indices.output.summary,
    output:
        summary="<results>/applications/{application}/coarse_indices.nc",
    log:
        "<logs>/find_coarse_indices/{application}.log",
    benchmark:
        "<benchmarks>/find_coarse_indices/{application}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("find_coarse_indices"),
    message:
        "Computing indices of the coarse rain of {wildcards.application}"
    script:
        "../scripts/find_coarse_indices.py"


rule find_observed_indices:
    input:
        years=fields,
        normalisation=normalisation,
    output:
        summary="<results>/data/{dataset}/indices.nc",
    log:
        "<logs>/find_observed_indices/{dataset}.log",
    benchmark:
        "<benchmarks>/find_observed_indices/{dataset}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        code=code_of("find_observed_indices"),
    message:
        "Computing indices of the observed rain of {wildcards.dataset}"
    script:
        "../scripts/find_observed_indices.py"


localrules:
    tabulate_application,


rule tabulate_application:
    input:
        summaries=lambda wildcards: summaries_to_tabulate(wildcards.application).values(),
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
        records=lambda wildcards: list(summaries_to_tabulate(wildcards.application)),
    message:
        "Tabulating the indices of {wildcards.application}"
    script:
        "../scripts/tabulate_application.py"


rule compare_applications:
    input:
        base=lambda wildcards: summaries(CONFIG.applications[wildcards.application].change_from).values(),
        future=lambda wildcards: summaries(wildcards.application).values(),
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
        maps_pdf="<results>/applications/{application}/change_maps.pdf",
        area=report(
            "<results>/applications/{application}/change_of_area.png",
            caption="../report/change_of_area.rst",
            category="Applications",
            labels={"application": "{application}"},
        ),
        area_pdf="<results>/applications/{application}/change_of_area.pdf",
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
    f"<results>/applications/{name}/rain.zarr" for name, entry in CONFIG.applications.items() if entry.zarr
]
APPLICATIONS += [
    f"<results>/applications/{name}/change.md" for name, entry in CONFIG.applications.items() if entry.change_from
]
