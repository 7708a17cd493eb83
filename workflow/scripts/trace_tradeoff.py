from pathlib import Path

import xarray as xr

from rainshaft.runtime import job
from rainshaft.stages import read_slice
from rainshaft.tradeoff import trace
from rainshaft.train import choose_device, load_model

with job(snakemake.log[0], snakemake.threads):
    settings = read_slice(snakemake.input.config)
    trace(
        load_model(Path(snakemake.input.weights), Path(snakemake.input.info), choose_device(settings["device"])),
        settings,
        fields=[Path(path) for path in snakemake.input.fields],
        statistics=xr.load_dataset(snakemake.input.statistics),
        path=Path(snakemake.output.table),
    )
