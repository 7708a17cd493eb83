from pathlib import Path

import xarray as xr

from rainshaft.application.extrapolation import beyond, join, markdown, sentence
from rainshaft.figures.extrapolation import extrapolation_maps
from rainshaft.files import atomic, write_netcdf
from rainshaft.jobs.runtime import job, log

with job(snakemake.log[0], snakemake.threads):
    trained = xr.load_dataset(snakemake.input.climate)
    sums = []
    for path in snakemake.input.years:
        with xr.open_dataset(path) as year:
            sums.append(beyond(year, trained))
    found = join(sums)
    log.info("%s", sentence(found))
    write_netcdf(found, snakemake.output.sums)
    with atomic(snakemake.output.table) as temporary:
        text = f"# {snakemake.wildcards.application}: predictors and the range of the training days"
        Path(temporary).write_text(f"{text}\n\n{markdown(found)}", encoding="utf-8")
    extrapolation_maps(found, snakemake.output.maps, snakemake.wildcards.application)
