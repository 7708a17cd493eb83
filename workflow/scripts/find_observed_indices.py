from rainshaft.application.indices import indices_of_observed_year
from rainshaft.application.summary import summary_of
from rainshaft.files import write_netcdf
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    years = [indices_of_observed_year(path) for path in snakemake.input.years]
    write_netcdf(summary_of(years), snakemake.output.summary)
