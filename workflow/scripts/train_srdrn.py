from pathlib import Path

import xarray as xr

from rainshaft.runtime import job
from rainshaft.srdrn import with_and_without
from rainshaft.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    with_and_without(
        read_slice(snakemake.input.config),
        [Path(path) for path in snakemake.input.fields],
        xr.load_dataset(snakemake.input.statistics),
        Path(snakemake.input.augmented),
        int(snakemake.wildcards.seed),
        Path(snakemake.output.scores),
    )
