from pathlib import Path

import xarray as xr

from rainshaft.augmentation.tradeoff import trace
from rainshaft.config.slices import TradeoffSettings
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice
from rainshaft.models.device import choose_device
from rainshaft.models.store import load_model

with job(snakemake.log[0], snakemake.threads):
    settings = read_slice(snakemake.input.config, TradeoffSettings)
    trace(
        load_model(Path(snakemake.input.weights), Path(snakemake.input.info), choose_device(settings.device)),
        settings,
        paths=[Path(path) for path in snakemake.input.fields],
        normalisation=xr.load_dataset(snakemake.input.normalisation),
        path=Path(snakemake.output.table),
    )
