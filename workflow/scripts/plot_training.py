import json
from pathlib import Path

from rainshaft.config import Plots
from rainshaft.plot_training import training_curves
from rainshaft.runtime import job
from rainshaft.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = Plots(**read_slice(snakemake.input.config))
    best_epoch = json.loads(Path(snakemake.input.info).read_text())["best_epoch"]
    training_curves(snakemake.input.train_log, snakemake.output.figure, best_epoch, settings)
