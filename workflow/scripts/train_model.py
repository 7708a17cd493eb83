from pathlib import Path

import xarray as xr

from rainshaft.runtime import job
from rainshaft.stages import fingerprint, read_slice
from rainshaft.train import Settings, train

with job(snakemake.log[0], snakemake.threads):
    statistics = xr.load_dataset(snakemake.input.statistics)
    frozen = Path(snakemake.input.config).read_text()
    train(
        settings=Settings.from_slice(read_slice(snakemake.input.config)),
        fields=[Path(path) for path in snakemake.input.fields],
        statistics=statistics,
        checkpoints=Path(snakemake.params.checkpoints) / fingerprint(frozen, statistics.attrs["data_fingerprint"]),
        weights_path=Path(snakemake.output.weights),
        info_path=Path(snakemake.output.info),
        log_path=Path(snakemake.output.train_log),
    )
