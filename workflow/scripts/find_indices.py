from rainshaft.data.indices import indices_of_year
from rainshaft.files import write_netcdf
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    write_netcdf(indices_of_year(snakemake.input.rain), snakemake.output.indices)
