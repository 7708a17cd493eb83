from pathlib import Path

from rainshaft.augmentation.export import export
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    export(
        Path(snakemake.input.ensemble),
        [Path(path) for path in snakemake.input.fields],
        Path(snakemake.output.fields),
        Path(snakemake.output.manifest),
    )
