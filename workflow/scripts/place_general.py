from pathlib import Path

from rainshaft.application.place import export_placed
from rainshaft.config.slices import PlaceSettings
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    export_placed(
        read_slice(snakemake.input.config, PlaceSettings),
        f"applications.{snakemake.wildcards.application}.predictors",
        Path(snakemake.output.card).parent,
    )
