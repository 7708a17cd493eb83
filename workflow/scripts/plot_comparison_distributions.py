from rainshaft.config.sections import Plots
from rainshaft.figures.distributions import comparison_distributions
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = read_slice(snakemake.input.config, Plots)
    by_day = dict(zip(snakemake.params.names, snakemake.input.by_day, strict=True))
    comparison_distributions(by_day, snakemake.wildcards.part, snakemake.output.figure, settings)
