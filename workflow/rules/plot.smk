# Figures of one experiment, and figures that compare all experiments of a dataset.


localrules:
    plot_thresholds,
    plot_training,
    plot_tradeoff,
    plot_comparison_differences,


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
        pdf="<results>/{experiment}/visualizations/{mode}/samples.pdf",
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
        pdf="<results>/{experiment}/visualizations/{mode}/distribution.pdf",
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
        pdf="<results>/{experiment}/visualizations/{mode}/thresholds.pdf",
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
        pdf="<results>/{experiment}/visualizations/training.pdf",
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
        pdf="<results>/{experiment}/augmented/tradeoff.pdf",
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
        pdf="<results>/comparison/{dataset}/{part}/maps.pdf",
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
        pdf="<results>/comparison/{dataset}/{part}/distributions.pdf",
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
        pdf="<results>/comparison/{dataset}/{part}/scores.pdf",
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


rule plot_comparison_differences:
    input:
        scores=rules.compare_experiments.input.scores,
        by_day=rules.compare_experiments.input.by_day,
    output:
        figure=report(
            "<results>/comparison/differences.png",
            caption="../report/comparison_differences.rst",
            category="Comparison",
            labels={"figure": "differences", "dataset": "all", "days": "both"},
        ),
        pdf="<results>/comparison/differences.pdf",
    log:
        "<logs>/plot_comparison_differences.log",
    benchmark:
        "<benchmarks>/plot_comparison_differences.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    params:
        code=code_of("plot_comparison_differences"),
        families=rules.compare_experiments.params.families,
        dpi=CONFIG.plots.dpi,
    message:
        "Drawing the differences to the strongest baseline"
    script:
        "../scripts/plot_comparison_differences.py"
