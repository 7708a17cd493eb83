from pathlib import Path

from rainshaft.ingest import prepare_year
from rainshaft.runtime import job
from rainshaft.stages import read_dataset

with job(snakemake.log[0], snakemake.threads):
    dataset = read_dataset(snakemake.input.config)
    prepare_year(dataset, int(snakemake.wildcards.year), Path(snakemake.output.fields))
