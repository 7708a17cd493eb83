import json
from pathlib import Path

import xarray as xr

from rainshaft.dataset import fit_statistics
from rainshaft.files import write_json, write_netcdf
from rainshaft.runtime import job
from rainshaft.stages import read_dataset

with job(snakemake.log[0], snakemake.threads):
    fields = [Path(path) for path in snakemake.input.fields]
    write_netcdf(fit_statistics(fields, read_dataset(snakemake.input.config)), snakemake.output.statistics)
    changes = {path.stem: json.loads(xr.open_dataset(path).attrs["ingest"]) for path in fields}
    write_json(changes, snakemake.output.ingest)
