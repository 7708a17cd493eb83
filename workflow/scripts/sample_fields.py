from pathlib import Path

import xarray as xr

from rainshaft.config.slices import SampleSettings
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import provenance_of_members, read_slice
from rainshaft.models.device import choose_device
from rainshaft.models.store import load_model
from rainshaft.sampling.sample import sample

with job(snakemake.log[0], snakemake.threads):
    weights, info, frozen = (Path(snakemake.input[name]) for name in ("weights", "info", "config"))
    settings = read_slice(frozen, SampleSettings)
    shard, shards = snakemake.wildcards.shard.split("-of-")
    sample(
        load_model(weights, info, choose_device(settings.device)),
        settings,
        mode=snakemake.wildcards.mode,
        paths=[Path(path) for path in snakemake.input.fields],
        normalisation=xr.load_dataset(snakemake.input.normalisation),
        path=Path(snakemake.output.samples),
        attributes=provenance_of_members(
            f"experiment {snakemake.wildcards.experiment}", info, frozen, settings, snakemake.params.code
        ),
        shard=int(shard),
        shards=int(shards),
    )
