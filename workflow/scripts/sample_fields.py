import json
from pathlib import Path

import xarray as xr

from rainshaft import __version__
from rainshaft.config.slices import SampleSettings
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import digest, read_slice
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
        attributes={
            "source": f"rainshaft {__version__}, experiment {snakemake.wildcards.experiment}",
            "rainshaft_version": __version__,
            "config_fingerprint": digest(frozen.read_text(encoding="utf-8"), snakemake.params.code),
            "model_sha256": json.loads(info.read_text(encoding="utf-8"))["weights_sha256"],
        },
        shard=int(shard),
        shards=int(shards),
    )
