from pathlib import Path

import xarray as xr

from rainshaft.data.domain import domain_of
from rainshaft.files import write_netcdf
from rainshaft.jobs.runtime import job
from rainshaft.models.folder import copy_file

with job(snakemake.log[0], snakemake.threads):
    paths = [Path(path) for path in snakemake.input.fields]
    normalisation = xr.load_dataset(snakemake.input.normalisation)
    for name in ("weights", "info"):
        copy_file(Path(snakemake.input[name]), Path(snakemake.output[name]))
    write_netcdf(domain_of(paths, normalisation), snakemake.output.domain)
