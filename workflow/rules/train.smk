# From canonical fields to a trained model.


localrules:
    freeze_config,


rule freeze_config:
    output:
        "<results>/{experiment}/config/{stage}.json",
    log:
        "<logs>/freeze_config/{experiment}/{stage}.log",
    conda:
        "../envs/rainshaft.yaml"
    params:
        text=lambda wildcards: canonical(experiment_slice(CONFIG, wildcards.experiment, wildcards.stage)),
    message:
        "Writing the settings of {wildcards.experiment} that the stage {wildcards.stage} reads"
    shell:
        "printf '%s' {params.text:q} > {output:q} 2> {log:q}"


rule train_model:
    input:
        config="<results>/{experiment}/config/train.json",
        fields=fields,
        normalisation=normalisation,
        start=started_model,
    output:
        weights="<results>/{experiment}/model.safetensors",
        info="<results>/{experiment}/model.json",
        train_log="<results>/{experiment}/logs/train_log.csv",
    log:
        "<logs>/train_model/{experiment}.log",
    benchmark:
        "<benchmarks>/train_model/{experiment}.jsonl"
    wildcard_constraints:
        experiment=one_of(CONFIG.trained),
    conda:
        "../envs/rainshaft.yaml"
    threads: 8
    resources:
        mem_mb=growing(16000),
        runtime=240,
        gpu=gpus,
        nodes=1,
        processes=lambda wildcards: CONFIG.trained[wildcards.experiment].train.gpus,
    params:
        code=code_of("train_model"),
        start=lambda wildcards: stamp_of_start(CONFIG.trained[wildcards.experiment].train.start),
        # Snakemake deletes declared outputs of failed jobs. Checkpoints must stay, so they are not declared.
        checkpoints=lambda wildcards: f"{CONFIG.results}/{wildcards.experiment}/checkpoints",
    message:
        "Training {wildcards.experiment}"
    script:
        "../scripts/train_model.py"
