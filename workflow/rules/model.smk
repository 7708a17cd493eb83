# From trained weights to the folder of a model, which holds all that it needs elsewhere.


localrules:
    describe_model,


rule export_model:
    input:
        weights=rules.train_model.output.weights,
        info=rules.train_model.output.info,
        fields=fields,
        normalisation=normalisation,
    output:
        weights="<results>/{experiment}/model/weights.safetensors",
        info="<results>/{experiment}/model/model.json",
        domain="<results>/{experiment}/model/domain.nc",
        climate="<results>/{experiment}/model/climate.nc",
    log:
        "<logs>/export_model/{experiment}.log",
    benchmark:
        "<benchmarks>/export_model/{experiment}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    resources:
        mem_mb=growing(4000),
        runtime=growing(60),
    params:
        code=code_of("export_model"),
    message:
        "Exporting the model {wildcards.experiment}"
    script:
        "../scripts/export_model.py"


rule describe_model:
    input:
        folder=[rules.export_model.output[name] for name in ("weights", "info", "domain", "climate")],
        normalisation=normalisation,
        thresholded=thresholded_of_model,
        scores=scores_of_model,
    output:
        card="<results>/{experiment}/model/card.json",
        readme="<results>/{experiment}/model/README.md",
        manifest="<results>/{experiment}/model/manifest.json",
    log:
        "<logs>/describe_model/{experiment}.log",
    benchmark:
        "<benchmarks>/describe_model/{experiment}.jsonl"
    conda:
        "../envs/rainshaft.yaml"
    params:
        code=code_of("describe_model"),
        facts=lambda wildcards: facts_of(wildcards.experiment),
    message:
        "Describing the model {wildcards.experiment}"
    script:
        "../scripts/describe_model.py"
