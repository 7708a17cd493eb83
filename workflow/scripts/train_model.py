from pathlib import Path

import xarray as xr

from rainshaft.runtime import job
from rainshaft.stages import fingerprint
from rainshaft.train import Task, train

with job(snakemake.log[0], snakemake.threads):
    frozen = Path(snakemake.input.config).read_text()
    data = xr.load_dataset(snakemake.input.statistics).attrs["data_fingerprint"]
    task = Task(
        config=snakemake.input.config,
        statistics=snakemake.input.statistics,
        fields=list(snakemake.input.fields),
        checkpoints=f"{snakemake.params.checkpoints}/{fingerprint(frozen, data)}",
        weights=snakemake.output.weights,
        info=snakemake.output.info,
        train_log=snakemake.output.train_log,
    )
    train(task, snakemake.resources.processes, snakemake.log[0], snakemake.threads)
