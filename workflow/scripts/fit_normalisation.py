from pathlib import Path

from rainshaft.config.slices import NormalisationSettings
from rainshaft.data.normalisation import fit_normalisation, ingest_of
from rainshaft.files import write_json, write_netcdf
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    fields = [Path(path) for path in snakemake.input.fields]
    settings = read_slice(snakemake.input.config, NormalisationSettings)
    normalisation = fit_normalisation(fields, settings)
    write_netcdf(normalisation, snakemake.output.normalisation)
    write_json(ingest_of(fields, normalisation), snakemake.output.ingest)
