import json
from pathlib import Path

from rainshaft.config.sections import Plots
from rainshaft.figures.thresholds import thresholds
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    thresholds(
        snakemake.input.table,
        json.loads(Path(snakemake.input.scores).read_text(encoding="utf-8")),
        snakemake.output.figure,
        read_slice(snakemake.input.config, Plots),
    )
