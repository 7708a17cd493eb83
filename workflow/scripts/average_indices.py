from rainshaft.application.summary import summary_of
from rainshaft.files import write_netcdf
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    write_netcdf(summary_of(snakemake.input.years), snakemake.output.summary)
