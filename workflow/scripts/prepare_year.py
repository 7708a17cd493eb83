from pathlib import Path

from rainshaft.config.slices import PrepareSettings
from rainshaft.data.prepare import prepare_year
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    dataset = read_slice(snakemake.input.config, PrepareSettings)
    prepare_year(dataset, int(snakemake.wildcards.year), Path(snakemake.output.fields))
