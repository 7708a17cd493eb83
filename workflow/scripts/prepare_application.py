from pathlib import Path

import xarray as xr

from rainshaft.application.predictors import prepare_predictors
from rainshaft.config.slices import PredictorSettings
from rainshaft.data.domain import Domain
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    prepare_predictors(
        Domain(xr.load_dataset(snakemake.input.domain)),
        read_slice(snakemake.input.config, PredictorSettings).predictors,
        snakemake.params.key,
        int(snakemake.wildcards.year),
        Path(snakemake.output.predictors),
    )
