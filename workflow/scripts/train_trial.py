from pathlib import Path

import xarray as xr

from rainshaft.augmentation.trial import with_and_without
from rainshaft.config.slices import TrialSettings
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    with_and_without(
        read_slice(snakemake.input.config, TrialSettings),
        [Path(path) for path in snakemake.input.fields],
        xr.load_dataset(snakemake.input.normalisation),
        Path(snakemake.input.augmented),
        int(snakemake.wildcards.seed),
        Path(snakemake.output.scores),
    )
