from rainshaft.config import Plots
from rainshaft.plots import temperature_tradeoff
from rainshaft.runtime import job
from rainshaft.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    temperature_tradeoff(snakemake.input.table, snakemake.output.figure, Plots(**read_slice(snakemake.input.config)))
