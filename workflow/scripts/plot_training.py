from rainshaft.config import Plots
from rainshaft.plot_training import training_curves
from rainshaft.runtime import job
from rainshaft.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    training_curves(snakemake.input.train_log, snakemake.output.figure, Plots(**read_slice(snakemake.input.config)))
