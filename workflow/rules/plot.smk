# Figures of one experiment, and figures that compare all experiments of a dataset.


localrules:
    plot_thresholds,
    plot_training,
    plot_tradeoff,


rule plot_samples:
    input:
        config="<results>/{experiment}/config/plot.json",
        ensemble=ensemble,
        fields=fields,
    output:
        figure=report(
            "<results>/{experiment}/visualizations/{mode}/samples.png",
            caption="../report/samples.rst",
            category="{experiment}",
            labels={"figure": "sample maps", "mode": "{mode}"},
        ),
    log:
        "<logs>/plot_samples/{experiment}/{mode}.log",
    benchmark:
        "<benchmarks>/plot_samples/{experiment}/{mode}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        code=code_of("plot_samples"),
    message:
        "Drawing sample maps of {wildcards.experiment}, {wildcards.mode}"
    script:
        "../scripts/plot_samples.py"


rule plot_distribution:
    input:
        config="<results>/{experiment}/config/plot.json",
        by_day=rules.evaluate_samples.output.by_day,
    output:
        figure=report(
            "<results>/{experiment}/visualizations/{mode}/distribution.png",
            caption="../report/distribution.rst",
            category="{experiment}",
            labels={"figure": "distribution, spectrum, ranks", "mode": "{mode}"},
        ),
    log:
        "<logs>/plot_distribution/{experiment}/{mode}.log",
    benchmark:
        "<benchmarks>/plot_distribution/{experiment}/{mode}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        code=code_of("plot_distribution"),
    message:
        "Drawing the rain distribution and spectrum of {wildcards.experiment}, {wildcards.mode}"
    script:
        "../scripts/plot_distribution.py"


rule plot_thresholds:
    input:
        config="<results>/{experiment}/config/plot.json",
        table=rules.trace_thresholds.output.table,
        scores=rules.evaluate_samples.output.scores,
    output:
        figure=report(
            "<results>/{experiment}/visualizations/{mode}/thresholds.png",
            caption="../report/thresholds.rst",
            category="{experiment}",
            labels={"figure": "pixel threshold", "mode": "{mode}"},
        ),
    log:
        "<logs>/plot_thresholds/{experiment}/{mode}.log",
    benchmark:
        "<benchmarks>/plot_thresholds/{experiment}/{mode}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    params:
        code=code_of("plot_thresholds"),
    message:
        "Drawing how the scores of {wildcards.experiment}, {wildcards.mode}, change with the pixel threshold"
    script:
        "../scripts/plot_thresholds.py"


rule plot_training:
    input:
        config="<results>/{experiment}/config/plot.json",
        train_log=rules.train_model.output.train_log,
        info=rules.train_model.output.info,
    output:
        figure=report(
            "<results>/{experiment}/visualizations/training.png",
            caption="../report/training.rst",
            category="{experiment}",
            labels={"figure": "training curves", "mode": "both"},
        ),
    log:
        "<logs>/plot_training/{experiment}.log",
    benchmark:
        "<benchmarks>/plot_training/{experiment}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    params:
        code=code_of("plot_training"),
    message:
        "Drawing the training curves of {wildcards.experiment}"
    script:
        "../scripts/plot_training.py"


rule plot_tradeoff:
    input:
        config="<results>/{experiment}/config/plot.json",
        table=rules.trace_tradeoff.output.table,
    output:
        figure=report(
            "<results>/{experiment}/augmented/tradeoff.png",
            caption="../report/tradeoff.rst",
            category="Augmentation",
            labels={"figure": "distance against diversity", "experiment": "{experiment}"},
        ),
    log:
        "<logs>/plot_tradeoff/{experiment}.log",
    benchmark:
        "<benchmarks>/plot_tradeoff/{experiment}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    params:
        code=code_of("plot_tradeoff"),
    message:
        "Drawing distance against diversity of the posterior of {wildcards.experiment}"
    script:
        "../scripts/plot_tradeoff.py"


rule plot_comparison_maps:
    input:
        config="<results>/data/{dataset}/config/plot.json",
        fields=fields,
        ensembles=ensembles_of_shown,
    output:
        figure=report(
            "<results>/comparison/{dataset}/{part}/maps.png",
            caption="../report/comparison_maps.rst",
            category="Comparison",
            labels={"figure": "maps", "dataset": "{dataset}", "days": "{part}"},
        ),
    log:
        "<logs>/plot_comparison_maps/{dataset}-{part}.log",
    benchmark:
        "<benchmarks>/plot_comparison_maps/{dataset}-{part}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        code=code_of("plot_comparison_maps"),
        names=shown_names,
    message:
        "Drawing one heavy day of the experiments on the {wildcards.part} days of {wildcards.dataset}"
    script:
        "../scripts/plot_comparison_maps.py"


rule plot_comparison_distributions:
    input:
        config="<results>/data/{dataset}/config/plot.json",
        by_day=files_of_shown(rules.evaluate_baseline.output.by_day, rules.evaluate_samples.output.by_day),
    output:
        figure=report(
            "<results>/comparison/{dataset}/{part}/distributions.png",
            caption="../report/comparison_distributions.rst",
            category="Comparison",
            labels={"figure": "distributions and spectra", "dataset": "{dataset}", "days": "{part}"},
        ),
    log:
        "<logs>/plot_comparison_distributions/{dataset}-{part}.log",
    benchmark:
        "<benchmarks>/plot_comparison_distributions/{dataset}-{part}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        code=code_of("plot_comparison_distributions"),
        names=shown_names,
    message:
        "Drawing rain distributions and spectra of the experiments on the {wildcards.part} days of {wildcards.dataset}"
    script:
        "../scripts/plot_comparison_distributions.py"


rule plot_comparison_scores:
    input:
        config="<results>/data/{dataset}/config/plot.json",
        scores=scores_of_dataset(rules.evaluate_baseline.output.scores, rules.evaluate_samples.output.scores),
        by_day=scores_of_dataset(rules.evaluate_baseline.output.by_day, rules.evaluate_samples.output.by_day),
    output:
        figure=report(
            "<results>/comparison/{dataset}/{part}/scores.png",
            caption="../report/comparison_scores.rst",
            category="Comparison",
            labels={"figure": "scores", "dataset": "{dataset}", "days": "{part}"},
        ),
    log:
        "<logs>/plot_comparison_scores/{dataset}-{part}.log",
    benchmark:
        "<benchmarks>/plot_comparison_scores/{dataset}-{part}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(30),
    params:
        code=code_of("plot_comparison_scores"),
        families=families,
    message:
        "Drawing the scores of the experiments on the {wildcards.part} days of {wildcards.dataset}"
    script:
        "../scripts/plot_comparison_scores.py"


FIGURES = [
    *of_runs(rules.plot_samples.output.figure, FIRST),
    *of_runs(rules.plot_distribution.output.figure, FIRST),
    *expand(rules.plot_training.output.figure, experiment=FIRST_TRAINED),
    *expand(rules.plot_thresholds.output.figure, experiment=TRACED, mode="prior"),
    *expand(
        rules.plot_tradeoff.output.figure,
        experiment=[name for name in FIRST_TRAINED if "posterior" in CONFIG.trained[name].modes],
    ),
    *expand(rules.plot_comparison_maps.output, dataset=DATASETS, part=PARTS),
    *expand(rules.plot_comparison_distributions.output, dataset=DATASETS, part=PARTS),
    *expand(rules.plot_comparison_scores.output, dataset=DATASETS, part=PARTS),
]
