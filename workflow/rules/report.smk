# The report of a run: one file that opens offline, with all figures of the experiments.


_COMPARED = [{"dataset": name, "part": part} for name in DATASETS for part in PARTS]
_OF_RUNS = [{"experiment": name, "mode": mode} for name, mode in RUNS if name in FIRST]
_TRACED = [{"experiment": name, "mode": "prior"} for name in TRACED]
_TRAINED = [{"experiment": name} for name in FIRST_TRAINED]
_OF_POSTERIORS = [{"experiment": name} for name in FIRST_TRAINED if "posterior" in CONFIG.trained[name].modes]

FIGURES = [
    *drawn("comparison_differences", rules.plot_comparison_differences.output.figure, [{}] if DATASETS else []),
    *drawn("comparison_maps", rules.plot_comparison_maps.output.figure, _COMPARED),
    *drawn("comparison_scores", rules.plot_comparison_scores.output.figure, _COMPARED),
    *drawn("comparison_distributions", rules.plot_comparison_distributions.output.figure, _COMPARED),
    *drawn("samples", rules.plot_samples.output.figure, _OF_RUNS),
    *drawn("distribution", rules.plot_distribution.output.figure, _OF_RUNS),
    *drawn("thresholds", rules.plot_thresholds.output.figure, _TRACED),
    *drawn("training", rules.plot_training.output.figure, _TRAINED),
    *drawn("tradeoff", rules.plot_tradeoff.output.figure, _OF_POSTERIORS),
]


localrules:
    write_report,


rule write_report:
    input:
        scores=rules.compare_experiments.input.scores,
        by_day=rules.compare_experiments.input.by_day,
        verdicts=of_runs(rules.judge_experiment.output.verdict),
        figures=[figure["path"] for figure in FIGURES],
        table=rules.compare_experiments.output.markdown,  # made first, since it counts the looks at the test days
    output:
        html="<results>/comparison/report.html",
    log:
        "<logs>/write_report.log",
    benchmark:
        "<benchmarks>/write_report.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    params:
        code=code_of("write_report"),
        families=rules.compare_experiments.params.families,
        descriptions=DESCRIPTIONS,
        looks=rules.compare_experiments.params.looks,
        perfect=[name for name in DATASETS if CONFIG.datasets[name].predictors == "coarsened"],
        synthetic=[name for name in DATASETS if CONFIG.datasets[name].synthetic],
        captions={name: caption_of(name) for name in dict.fromkeys(figure["caption"] for figure in FIGURES)},
        shown=[{"caption": figure["caption"], "of": figure["of"]} for figure in FIGURES],
    message:
        "Writing the report"
    script:
        "../scripts/write_report.py"
