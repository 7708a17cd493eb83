import xarray as xr

from rainshaft.files import write_zarr
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    paths = snakemake.input.years
    files: dict[str, None] = {}
    for path in paths:
        with xr.open_dataset(path) as year:
            attributes = dict(year.attrs)
        files |= dict.fromkeys(attributes["input_files"].splitlines())
    attributes |= {"title": f"rain of {snakemake.wildcards.application}", "input_files": "\n".join(files)}
    # opened one after the other, so that the files of a century are not open at once
    write_zarr((xr.open_dataset(path, chunks={}) for path in paths), snakemake.output.store, attributes)
