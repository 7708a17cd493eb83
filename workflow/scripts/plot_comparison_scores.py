import json
from pathlib import Path

from rainshaft.config.sections import Plots
from rainshaft.figures.scores import comparison_scores
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = read_slice(snakemake.input.config, Plots)
    scores = [json.loads(Path(path).read_text(encoding="utf-8")) for path in snakemake.input.scores]
    comparison_scores(scores, snakemake.output.figure, settings, snakemake.params.families)
