from pathlib import Path

import xarray as xr

from rainshaft import __version__
from rainshaft.config.slices import RefineSettings
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import digest, read_slice
from rainshaft.sampling.refine import refine

with job(snakemake.log[0], snakemake.threads):
    frozen, name = Path(snakemake.input.config), snakemake.wildcards.experiment
    refine(
        read_slice(frozen, RefineSettings),
        [Path(path) for path in snakemake.input.fields],
        xr.load_dataset(snakemake.input.normalisation),
        Path(snakemake.output.synth),
        {
            "source": f"rainshaft {__version__}, general networks, experiment {name}",
            "config_fingerprint": digest(
                frozen.read_text(encoding="utf-8"), snakemake.params.code, snakemake.params.networks
            ),
            "rainshaft_version": __version__,
        },
    )
