import xarray as xr

from rainshaft.application.indices import summary_of
from rainshaft.files import write_netcdf
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    like = snakemake.input.get("like")
    found = summary_of(snakemake.input.years, None if like is None else xr.load_dataset(like))
    write_netcdf(found, snakemake.output.summary)
