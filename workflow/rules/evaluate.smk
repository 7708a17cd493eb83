# Scores of the ensembles that users take away, the verdict on each experiment, and the table of all scores.


rule evaluate_samples:
    input:
        config="<results>/{experiment}/config/evaluate.json",
        ensembles=ensembles,
        fields=fields,
    output:
        scores="<results>/{experiment}/evaluation/{mode}/scores.json",
        by_day="<results>/{experiment}/evaluation/{mode}/scores_by_day.nc",
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
        code=code_of("evaluate_ensemble"),
        name="{experiment}",
        mode="{mode}",
        dataset=dataset_of,
    message:
        "Evaluating {wildcards.experiment}, {wildcards.mode}"
    script:
        "../scripts/evaluate_ensemble.py"


use rule evaluate_samples as evaluate_baseline with:
    input:
        config="<results>/data/{dataset}/config/evaluate.json",
        ensembles=lambda wildcards: expand(
            rules.make_baseline.output.ensemble,
            dataset=CONFIG.folds_of_dataset(wildcards.dataset),
            baseline=wildcards.baseline,
        ),
        fields=fields,
    output:
        scores="<results>/data/{dataset}/evaluation/{baseline}/scores.json",
        by_day="<results>/data/{dataset}/evaluation/{baseline}/scores_by_day.nc",
    log:
        "<logs>/evaluate_baseline/{dataset}/{baseline}.log",
    benchmark:
        "<benchmarks>/evaluate_baseline/{dataset}/{baseline}.jsonl"
    params:
        code=code_of("evaluate_ensemble"),
        name="{baseline}",
        mode="baseline",
        dataset="{dataset}",
    message:
        "Evaluating the baseline {wildcards.baseline} on {wildcards.dataset}"


rule trace_thresholds:
    input:
        config="<results>/{experiment}/config/evaluate.json",
        threshold="<results>/{experiment}/config/threshold.json",
        samples=shards,
        fields=fields,
    output:
        table="<results>/{experiment}/evaluation/{mode}/thresholds.csv",
    log:
        "<logs>/trace_thresholds/{experiment}/{mode}.log",
    benchmark:
        "<benchmarks>/trace_thresholds/{experiment}/{mode}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("trace_thresholds"),
    message:
        "Tracing how the scores of {wildcards.experiment}, {wildcards.mode}, change with the pixel threshold"
    script:
        "../scripts/trace_thresholds.py"


localrules:
    judge_experiment,
    compare_experiments,


rule judge_experiment:
    input:
        scores=rules.evaluate_samples.output.scores,
        train_log=train_log,
        thresholds=traced_thresholds,
    output:
        verdict="<results>/{experiment}/evaluation/{mode}/verdict.json",
    log:
        "<logs>/judge_experiment/{experiment}/{mode}.log",
    benchmark:
        "<benchmarks>/judge_experiment/{experiment}/{mode}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    params:
        code=code_of("judge_experiment"),
    message:
        "Judging {wildcards.experiment}, {wildcards.mode}"
    script:
        "../scripts/judge_experiment.py"


rule compare_experiments:
    input:
        scores=of_runs(rules.evaluate_samples.output.scores) + of_baselines(rules.evaluate_baseline.output.scores),
        by_day=of_runs(rules.evaluate_samples.output.by_day) + of_baselines(rules.evaluate_baseline.output.by_day),
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
        code=code_of("compare_experiments"),
        families={family: list(names) for family, names in CONFIG.families.items()},
        descriptions=DESCRIPTIONS,
        # Snakemake deletes declared outputs before a job. The count must stay, so it is not declared.
        looks=f"{CONFIG.results}/looks.json",
    message:
        "Comparing the experiments and the baselines"
    script:
        "../scripts/compare_experiments.py"
