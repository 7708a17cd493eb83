from pathlib import Path

import xarray as xr

from rainshaft.application.card import Facts, write_card
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    with xr.open_dataset(snakemake.input.thresholded) as ensemble:
        threshold = float(ensemble.attrs["pixel_threshold"])
    write_card(
        Path(snakemake.output.card).parent,
        Facts(**snakemake.params.facts),
        xr.load_dataset(snakemake.input.normalisation),
        threshold,
        [Path(path) for path in snakemake.input.scores],
    )
