from rainshaft.config import Plots
from rainshaft.plot_distributions import distribution
from rainshaft.runtime import job
from rainshaft.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    distribution(snakemake.input.scores, snakemake.output.figure, Plots(**read_slice(snakemake.input.config)))
