# From a model to the ensembles that users take away, and the baselines beside them.


rule sample_fields:
    input:
        config="<results>/{experiment}/config/sample.json",
        weights=rules.train_model.output.weights,
        info=rules.train_model.output.info,
        fields=fields,
        statistics=statistics,
    output:
        samples="<results>/{experiment}/samples/{mode}.nc",
    log:
        "<logs>/sample_fields/{experiment}/{mode}.log",
    benchmark:
        "<benchmarks>/sample_fields/{experiment}/{mode}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=120,
        gpu=1,
    message:
        "Sampling {wildcards.experiment} from the {wildcards.mode}"
    script:
        "../scripts/sample_fields.py"


rule apply_threshold:
    input:
        config="<results>/{experiment}/config/threshold.json",
        samples=rules.sample_fields.output.samples,
        fields=fields,
    output:
        synth="<results>/{experiment}/synth/{mode}.nc",
    log:
        "<logs>/apply_threshold/{experiment}/{mode}.log",
    benchmark:
        "<benchmarks>/apply_threshold/{experiment}/{mode}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    message:
        "Applying the pixel threshold to {wildcards.experiment}, {wildcards.mode}"
    script:
        "../scripts/apply_threshold.py"


rule make_baseline:
    input:
        config="<results>/data/{dataset}/config/baselines.json",
        fields=fields,
        statistics=statistics,
    output:
        ensemble="<results>/data/{dataset}/baselines/{baseline}.nc",
    log:
        "<logs>/make_baseline/{dataset}/{baseline}.log",
    benchmark:
        "<benchmarks>/make_baseline/{dataset}/{baseline}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    message:
        "Making the baseline {wildcards.baseline} for {wildcards.dataset}"
    script:
        "../scripts/make_baseline.py"
