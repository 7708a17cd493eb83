from pathlib import Path

import xarray as xr

from rainshaft.baselines.make import make_baseline
from rainshaft.baselines.table import method_of
from rainshaft.config.slices import BaselineSettings
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import digest, read_slice

with job(snakemake.log[0], snakemake.threads):
    frozen = Path(snakemake.input.config)
    settings = read_slice(frozen, BaselineSettings)
    make_baseline(
        snakemake.wildcards.baseline,
        method_of(snakemake.wildcards.baseline),
        fields=[Path(path) for path in snakemake.input.fields],
        normalisation=xr.load_dataset(snakemake.input.normalisation),
        path=Path(snakemake.output.ensemble),
        members=settings.members,
        seed=settings.seed,
        config_fingerprint=digest(frozen.read_text(encoding="utf-8"), snakemake.params.code),
    )
