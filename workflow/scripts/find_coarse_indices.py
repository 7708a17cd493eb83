import xarray as xr

from rainshaft.application.summary import summary_of
from rainshaft.data.indices import indices_of_coarse_year
from rainshaft.files import write_netcdf
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    years = [indices_of_coarse_year(path) for path in snakemake.input.years]
    write_netcdf(summary_of(years, xr.load_dataset(snakemake.input.like)), snakemake.output.summary)
