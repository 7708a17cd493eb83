from pathlib import Path

import xarray as xr

from rainshaft.application.downscale import downscale_year
from rainshaft.config.slices import DrawSettings
from rainshaft.data.domain import Domain
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import provenance_of_members, read_slice
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
            **provenance_of_members(
                f"application {snakemake.wildcards.application}", info, frozen, settings, snakemake.params.code
            ),
        },
        shard=int(shard),
        shards=int(shards),
    )
