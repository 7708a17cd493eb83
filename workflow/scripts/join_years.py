import xarray as xr

from rainshaft.files import write_zarr
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    # opened one after the other, so that the files of a century are not open at once
    write_zarr((xr.open_dataset(path, chunks={}) for path in snakemake.input.years), snakemake.output.store)
