import csv
from pathlib import Path

from rainshaft.config import Evaluation
from rainshaft.files import write_json, write_netcdf
from rainshaft.metrics import evaluate
from rainshaft.runtime import job
from rainshaft.stages import read_slice
from rainshaft.verdict import judge

with job(snakemake.log[0], snakemake.threads):
    settings = read_slice(snakemake.input.config)
    seed = settings.pop("seed")
    statistics, scores = evaluate(
        snakemake.input.ensemble,
        snakemake.input.fields,
        Evaluation(**settings),
        name=snakemake.wildcards.experiment,
        mode=snakemake.wildcards.mode,
        dataset=snakemake.params.dataset,
        seed=seed,
    )
    with open(snakemake.input.train_log, newline="") as file:
        history = list(csv.DictReader(file))
    write_json(statistics, snakemake.output.statistics)
    write_json(judge(statistics, history), snakemake.output.verdict)
    write_netcdf(scores, Path(snakemake.output.scores))
