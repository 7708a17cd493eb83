from pathlib import Path

import xarray as xr

from rainshaft.data.climate import climate_of
from rainshaft.data.conventions import TRAIN
from rainshaft.data.domain import domain_of
from rainshaft.data.fields import dates_of
from rainshaft.files import write_netcdf
from rainshaft.jobs.runtime import job
from rainshaft.models.folder import copy_file

with job(snakemake.log[0], snakemake.threads):
    paths = [Path(path) for path in snakemake.input.fields]
    normalisation = xr.load_dataset(snakemake.input.normalisation)
    for name in ("weights", "info"):
        copy_file(Path(snakemake.input[name]), Path(snakemake.output[name]))
    write_netcdf(domain_of(paths, normalisation), snakemake.output.domain)
    training = dates_of(normalisation)[normalisation.split.values == TRAIN].tolist()
    write_netcdf(climate_of(paths, training), snakemake.output.climate)
