from rainshaft.config.sections import Plots
from rainshaft.figures.tradeoff import tradeoff
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = read_slice(snakemake.input.config, Plots)
    tradeoff(snakemake.input.table, snakemake.output.figure, settings)
