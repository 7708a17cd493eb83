import json
from pathlib import Path

from rainshaft.config.sections import Plots
from rainshaft.figures.training import training_curves
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = read_slice(snakemake.input.config, Plots)
    networks = json.loads(Path(snakemake.input.info).read_text(encoding="utf-8"))["networks"]
    best_epochs = {network["name"]: network["best_epoch"] for network in networks}
    training_curves(snakemake.input.train_log, snakemake.output.figure, best_epochs, settings)
