import json
from pathlib import Path

import xarray as xr

from rainshaft.config.slices import NormalisationSettings
from rainshaft.data.normalisation import fit_normalisation
from rainshaft.files import write_json, write_netcdf
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    fields = [Path(path) for path in snakemake.input.fields]
    settings = read_slice(snakemake.input.config, NormalisationSettings)
    write_netcdf(fit_normalisation(fields, settings), snakemake.output.normalisation)
    changes = {path.stem: json.loads(xr.open_dataset(path).attrs["ingest"]) for path in fields}
    write_json(changes, snakemake.output.ingest)
