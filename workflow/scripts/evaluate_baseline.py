from rainshaft.config import Evaluation
from rainshaft.files import write_json, write_netcdf
from rainshaft.metrics import evaluate
from rainshaft.runtime import job
from rainshaft.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = read_slice(snakemake.input.config)
    seed = settings.pop("seed")
    statistics, scores = evaluate(
        snakemake.input.ensemble,
        snakemake.input.fields,
        Evaluation(**settings),
        name=snakemake.wildcards.baseline,
        mode="baseline",
        dataset=snakemake.wildcards.dataset,
        seed=seed,
    )
    write_json(statistics, snakemake.output.statistics)
    write_netcdf(scores, snakemake.output.scores)
