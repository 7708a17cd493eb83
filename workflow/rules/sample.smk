# From a model, or from the files of another one, to the ensembles that users take away. The baselines are ensembles that
# simpler methods make, for comparison.


rule adopt_ensemble:
    input:
        config="<results>/{experiment}/config/adopt.json",
        fields=fields,
        normalisation=normalisation,
        raw=lambda wildcards: plain_files(files_of_ensemble(wildcards.experiment)),
    output:
        synth="<results>/{experiment}/synth/prior.nc",
        ingest="<results>/{experiment}/ingest.json",
    log:
        "<logs>/adopt_ensemble/{experiment}.log",
    benchmark:
        "<benchmarks>/adopt_ensemble/{experiment}.jsonl"
    wildcard_constraints:
        experiment=one_of(CONFIG.adopted),
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(120),
    params:
        code=code_of("adopt_ensemble"),
        stamps=lambda wildcards: stamps_of(files_of_ensemble(wildcards.experiment)),
    message:
        "Adopting the members of {wildcards.experiment}"
    script:
        "../scripts/adopt_ensemble.py"


rule refine_fields:
    input:
        config="<results>/{experiment}/config/refine.json",
        fields=fields,
        normalisation=normalisation,
    output:
        synth="<results>/{experiment}/synth/prior.nc",
    log:
        "<logs>/refine_fields/{experiment}.log",
    benchmark:
        "<benchmarks>/refine_fields/{experiment}.jsonl"
    wildcard_constraints:
        experiment=one_of(CONFIG.general),
    conda:
        "../envs/rainshaft.yaml"
    threads: 8
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
        gpu=0 if CONFIG.train.device == "cpu" else 1,
    params:
        code=code_of("refine_fields"),
        networks=lambda wildcards: stamp_of_general(CONFIG.general[wildcards.experiment].weights),
    message:
        "Refining the coarse rain for {wildcards.experiment} with the general networks"
    script:
        "../scripts/refine_fields.py"


rule sample_fields:
    input:
        config="<results>/{experiment}/config/sample.json",
        weights=rules.train_model.output.weights,
        info=rules.train_model.output.info,
        fields=fields,
        normalisation=normalisation,
        dates=dates_file,
    output:
        samples="<results>/{experiment}/samples/{mode}/{shard}.nc",
    log:
        "<logs>/sample_fields/{experiment}/{mode}-{shard}.log",
    benchmark:
        "<benchmarks>/sample_fields/{experiment}/{mode}-{shard}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    threads: 8
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
        gpu=lambda wildcards: min(gpus(wildcards), 1),
    params:
        code=code_of("sample_fields"),
    message:
        "Sampling {wildcards.experiment} from the {wildcards.mode}, part {wildcards.shard}"
    script:
        "../scripts/sample_fields.py"


rule apply_threshold:
    input:
        config="<results>/{experiment}/config/threshold.json",
        samples=shards,
        fields=fields,
    output:
        synth="<results>/{experiment}/synth/{mode}.nc",
    log:
        "<logs>/apply_threshold/{experiment}/{mode}.log",
    benchmark:
        "<benchmarks>/apply_threshold/{experiment}/{mode}.jsonl"
    wildcard_constraints:
        experiment=one_of(CONFIG.trained),
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("apply_threshold"),
    message:
        "Applying the pixel threshold to {wildcards.experiment}, {wildcards.mode}"
    script:
        "../scripts/apply_threshold.py"


code_of_baseline = {name: code_of("make_baseline", baselines.module_of(name)) for name in BASELINES}


rule make_baseline:
    input:
        config="<results>/data/{dataset}/config/baselines.json",
        fields=fields,
        normalisation=normalisation,
    output:
        ensemble="<results>/data/{dataset}/baselines/{baseline}.nc",
    log:
        "<logs>/make_baseline/{dataset}/{baseline}.log",
    benchmark:
        "<benchmarks>/make_baseline/{dataset}/{baseline}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=lambda wildcards: code_of_baseline[wildcards.baseline],
    message:
        "Making the baseline {wildcards.baseline} for {wildcards.dataset}"
    script:
        "../scripts/make_baseline.py"
