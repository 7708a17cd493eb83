from rainshaft.config.slices import EvaluateSettings
from rainshaft.evaluation.evaluate import evaluate
from rainshaft.files import write_json, write_netcdf
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = read_slice(snakemake.input.config, EvaluateSettings)
    scores, by_day = evaluate(
        snakemake.input.ensembles,
        snakemake.input.fields,
        settings,
        name=snakemake.params.name,
        mode=snakemake.params.mode,
        dataset=snakemake.params.dataset,
        seed=settings.seed,
    )
    write_json(scores, snakemake.output.scores)
    write_netcdf(by_day, snakemake.output.by_day)
