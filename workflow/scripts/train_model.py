from pathlib import Path

import xarray as xr

from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import digest
from rainshaft.jobs.training import Task, train_once

with job(snakemake.log[0], snakemake.threads):
    frozen = Path(snakemake.input.config).read_text(encoding="utf-8")
    data = xr.load_dataset(snakemake.input.normalisation).attrs["data_fingerprint"]
    start = [Path(path).read_text(encoding="utf-8") for path in snakemake.input.start]
    very_training = digest(frozen, snakemake.params.code, data, snakemake.params.start, *start)
    task = Task(
        config=snakemake.input.config,
        normalisation=snakemake.input.normalisation,
        fields=list(snakemake.input.fields),
        checkpoints=f"{snakemake.params.checkpoints}/{very_training}",
        train_log=snakemake.output.train_log,
    )
    train_once(
        task,
        Path(snakemake.output.weights),
        Path(snakemake.output.info),
        snakemake.resources.processes,
        Path(snakemake.log[0]),
        snakemake.threads,
    )
