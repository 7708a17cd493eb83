import json
from pathlib import Path

import xarray as xr

from rainshaft import __version__
from rainshaft.application.downscale import downscale_year
from rainshaft.config.slices import DrawSettings
from rainshaft.data.domain import Domain
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import digest, read_slice
from rainshaft.models.device import choose_device
from rainshaft.models.store import load_model

with job(snakemake.log[0], snakemake.threads):
    weights, info, frozen = (Path(snakemake.input[name]) for name in ("weights", "info", "config"))
    settings = read_slice(frozen, DrawSettings)
    shard, shards = snakemake.wildcards.shard.split("-of-")
    downscale_year(
        load_model(weights, info, choose_device(settings.device)),
        Domain(xr.load_dataset(snakemake.input.domain)),
        Path(snakemake.input.predictors),
        settings,
        Path(snakemake.output.samples),
        attributes={
            "title": f"rain of {snakemake.wildcards.application}, {snakemake.wildcards.year}",
            "source": f"rainshaft {__version__}, application {snakemake.wildcards.application}",
            "rainshaft_version": __version__,
            "config_fingerprint": digest(frozen.read_text(encoding="utf-8"), snakemake.params.code),
            "model_sha256": json.loads(info.read_text(encoding="utf-8"))["weights_sha256"],
            "seed": settings.seed,
        },
        shard=int(shard),
        shards=int(shards),
    )
