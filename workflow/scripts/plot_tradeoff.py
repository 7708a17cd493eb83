from rainshaft.config import Plots
from rainshaft.plot_tradeoff import tradeoff
from rainshaft.runtime import job
from rainshaft.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    tradeoff(snakemake.input.table, snakemake.output.figure, Plots(**read_slice(snakemake.input.config)))
