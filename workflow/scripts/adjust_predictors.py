import xarray as xr

from rainshaft.application.adjust import adjust
from rainshaft.config.slices import AdjustSettings
from rainshaft.files import write_netcdf
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    own = snakemake.input.get("own")
    found = adjust(
        xr.load_dataset(snakemake.input.predictors),
        read_slice(snakemake.input.config, AdjustSettings).adjust,
        xr.load_dataset(snakemake.input.trained),
        xr.load_dataset(snakemake.input.reference),
        xr.load_dataset(own) if own else None,
    )
    write_netcdf(found, snakemake.output.predictors)
