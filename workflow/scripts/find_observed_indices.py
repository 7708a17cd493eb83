import xarray as xr

from rainshaft.application.summary import summary_of
from rainshaft.data.indices import indices_of_observed_year
from rainshaft.errors import UserError
from rainshaft.files import write_netcdf
from rainshaft.jobs.runtime import job, log

with job(snakemake.log[0], snakemake.threads):
    valid = xr.load_dataset(snakemake.input.normalisation)["valid"] == 1
    years = [indices_of_observed_year(path, valid) for path in snakemake.input.years]
    try:
        found = summary_of(years)
    except UserError as error:  # the table of an application does without
        log.warning("%s", error)
        found = xr.Dataset()
    write_netcdf(found, snakemake.output.summary)
