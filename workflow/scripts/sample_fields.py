import json
from pathlib import Path

import xarray as xr

from rainshaft import __version__
from rainshaft.runtime import job
from rainshaft.sample import sample
from rainshaft.stages import fingerprint, read_slice
from rainshaft.train import choose_device, load_model

with job(snakemake.log[0], snakemake.threads):
    weights, info, frozen = (Path(snakemake.input[name]) for name in ("weights", "info", "config"))
    settings = read_slice(frozen)
    shard, shards = snakemake.wildcards.shard.split("-of-")
    sample(
        load_model(weights, info, choose_device(settings["device"])),
        settings,
        mode=snakemake.wildcards.mode,
        fields=[Path(path) for path in snakemake.input.fields],
        statistics=xr.load_dataset(snakemake.input.statistics),
        path=Path(snakemake.output.samples),
        attributes={
            "source": f"rainshaft {__version__}, experiment {snakemake.wildcards.experiment}",
            "rainshaft_version": __version__,
            "config_fingerprint": fingerprint(frozen.read_text()),
            "model_sha256": json.loads(info.read_text())["weights_sha256"],
        },
        shard=int(shard),
        shards=int(shards),
    )
