# Scores, taken on the very files that users get.


rule evaluate_samples:
    input:
        config="<results>/{experiment}/config/evaluate.json",
        ensemble=rules.apply_threshold.output.synth,
        fields=fields,
        train_log=rules.train_model.output.train_log,
    output:
        statistics="<results>/{experiment}/evaluation/{mode}/statistics.json",
        scores="<results>/{experiment}/evaluation/{mode}/scores.nc",
        verdict="<results>/{experiment}/evaluation/{mode}/verdict.json",
    log:
        "<logs>/evaluate_samples/{experiment}/{mode}.log",
    benchmark:
        "<benchmarks>/evaluate_samples/{experiment}/{mode}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        dataset=dataset_of,
    message:
        "Evaluating {wildcards.experiment}, {wildcards.mode}"
    script:
        "../scripts/evaluate_samples.py"


rule evaluate_baseline:
    input:
        config="<results>/data/{dataset}/config/evaluate.json",
        ensemble=rules.make_baseline.output.ensemble,
        fields=fields,
    output:
        statistics="<results>/data/{dataset}/evaluation/{baseline}/statistics.json",
        scores="<results>/data/{dataset}/evaluation/{baseline}/scores.nc",
    log:
        "<logs>/evaluate_baseline/{dataset}/{baseline}.log",
    benchmark:
        "<benchmarks>/evaluate_baseline/{dataset}/{baseline}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    message:
        "Evaluating the baseline {wildcards.baseline} on {wildcards.dataset}"
    script:
        "../scripts/evaluate_baseline.py"


localrules:
    compare_experiments,


rule compare_experiments:
    input:
        experiments=of_runs("<results>/{experiment}/evaluation/{mode}/statistics.json"),
        baselines=of_baselines("<results>/data/{dataset}/evaluation/{baseline}/statistics.json"),
    output:
        markdown=report(
            "<results>/comparison/table.md",
            caption="../report/comparison_table.rst",
            category="Comparison",
        ),
        csv="<results>/comparison/table.csv",
        console="<results>/comparison/console.txt",
    log:
        "<logs>/compare_experiments.log",
    benchmark:
        "<benchmarks>/compare_experiments.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    params:
        code=code_fingerprint("comparison"),
        families={family: list(names) for family, names in CONFIG.families.items()},
        descriptions=DESCRIPTIONS,
    message:
        "Comparing the experiments and the baselines"
    script:
        "../scripts/compare_experiments.py"
