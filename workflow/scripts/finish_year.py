from pathlib import Path

from rainshaft.application.downscale import finish_year
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    finish_year(
        [Path(path) for path in snakemake.input.samples],
        Path(snakemake.input.card),
        Path(snakemake.output.rain),
        snakemake.params.attributes,
    )
