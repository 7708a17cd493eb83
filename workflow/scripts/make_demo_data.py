from pathlib import Path

from rainshaft.config.slices import RawSettings
from rainshaft.demo.rawfiles import make
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    make(read_slice(snakemake.input.config, RawSettings), Path(snakemake.output.raw))
