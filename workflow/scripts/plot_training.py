import json
from pathlib import Path

from rainshaft.config import Plots
from rainshaft.plot_training import training_curves
from rainshaft.runtime import job
from rainshaft.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = Plots(**read_slice(snakemake.input.config))
    networks = json.loads(Path(snakemake.input.info).read_text())["networks"]
    best_epochs = {network["name"]: network["best_epoch"] for network in networks}
    training_curves(snakemake.input.train_log, snakemake.output.figure, best_epochs, settings)
