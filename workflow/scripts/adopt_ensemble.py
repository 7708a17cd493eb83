from pathlib import Path

import xarray as xr

from rainshaft import __version__
from rainshaft.config.slices import AdoptSettings
from rainshaft.files import write_json
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import digest, read_slice
from rainshaft.sampling.adopt import adopt

with job(snakemake.log[0], snakemake.threads):
    frozen, name = Path(snakemake.input.config), snakemake.wildcards.experiment
    notes = adopt(
        read_slice(frozen, AdoptSettings),
        f"experiments.{name}",
        [Path(path) for path in snakemake.input.fields],
        xr.load_dataset(snakemake.input.normalisation),
        Path(snakemake.output.synth),
        {
            "source": f"{name}, made by another model",
            "config_fingerprint": digest(frozen.read_text(encoding="utf-8"), snakemake.params.code),
            "rainshaft_version": __version__,
        },
    )
    write_json(notes, snakemake.output.ingest)
