from pathlib import Path

from rainshaft.runtime import job
from rainshaft.stages import read_dataset
from rainshaft.synthetic import make

with job(snakemake.log[0], snakemake.threads):
    make(read_dataset(snakemake.input.config), Path(snakemake.output.raw))
