from rainshaft.config.sections import Plots
from rainshaft.figures.distributions import distribution
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = read_slice(snakemake.input.config, Plots)
    distribution(snakemake.input.by_day, "validation", snakemake.output.figure, settings)
