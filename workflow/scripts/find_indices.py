from rainshaft.application.indices import indices_of_coarse_year, indices_of_year
from rainshaft.files import write_netcdf
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    rain = snakemake.input.get("rain")
    found = indices_of_year(rain) if rain else indices_of_coarse_year(snakemake.input.predictors)
    write_netcdf(found, snakemake.output.indices)
