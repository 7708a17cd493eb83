# Synthetic heavy days for the training set of another model, and a trial of what they are worth to it. Both are made only
# when you ask for them: snakemake --cores all results/{experiment}/augmented/{mode}.md
#
# Each experiment that draws from the posterior also gets a figure: nearness to the observed day against diversity.


rule export_augmented:
    input:
        ensemble=rules.apply_threshold.output.synth,
        fields=fields,
    output:
        fields="<results>/{experiment}/augmented/{mode}.nc",
        manifest="<results>/{experiment}/augmented/{mode}.json",
    log:
        "<logs>/export_augmented/{experiment}/{mode}.log",
    benchmark:
        "<benchmarks>/export_augmented/{experiment}/{mode}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("export_augmented"),
    message:
        "Exporting the synthetic heavy days of {wildcards.experiment}, {wildcards.mode}"
    script:
        "../scripts/export_augmented.py"


rule train_trial:
    input:
        config="<results>/{experiment}/config/trial.json",
        fields=fields,
        normalisation=normalisation,
        augmented=rules.export_augmented.output.fields,
    output:
        scores="<results>/{experiment}/augmented/{mode}-{seed}.json",
    log:
        "<logs>/train_trial/{experiment}/{mode}-{seed}.log",
    benchmark:
        "<benchmarks>/train_trial/{experiment}/{mode}-{seed}.jsonl"
    wildcard_constraints:
        seed=r"\d+",
    conda:
        "../envs/rainshaft.yaml"
    threads: 4
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        code=code_of("train_trial"),
    message:
        "Training deterministic networks with and without synthetic days of {wildcards.experiment}, seed {wildcards.seed}"
    script:
        "../scripts/train_trial.py"


localrules:
    compare_augmentation,


rule compare_augmentation:
    input:
        scores=expand(rules.train_trial.output.scores, seed=SEEDS, allow_missing=True),
    output:
        markdown="<results>/{experiment}/augmented/{mode}.md",
    log:
        "<logs>/compare_augmentation/{experiment}/{mode}.log",
    benchmark:
        "<benchmarks>/compare_augmentation/{experiment}/{mode}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    params:
        code=code_of("compare_augmentation"),
    message:
        "Comparing training with and without the synthetic days of {wildcards.experiment}, {wildcards.mode}"
    script:
        "../scripts/compare_augmentation.py"


rule trace_tradeoff:
    input:
        config="<results>/{experiment}/config/tradeoff.json",
        weights=rules.train_model.output.weights,
        info=rules.train_model.output.info,
        fields=fields,
        normalisation=normalisation,
    output:
        table="<results>/{experiment}/augmented/tradeoff.csv",
    log:
        "<logs>/trace_tradeoff/{experiment}.log",
    benchmark:
        "<benchmarks>/trace_tradeoff/{experiment}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    threads: 8
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
        gpu=lambda wildcards: min(gpus(wildcards), 1),
    params:
        code=code_of("trace_tradeoff"),
    message:
        "Tracing how members of {wildcards.experiment} change with the temperature and the scales of the posterior"
    script:
        "../scripts/trace_tradeoff.py"
