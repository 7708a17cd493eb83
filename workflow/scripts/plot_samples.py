from rainshaft.config.sections import Plots
from rainshaft.figures.maps import sample_maps
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = read_slice(snakemake.input.config, Plots)
    sample_maps(snakemake.input.ensemble, "validation", snakemake.input.fields, snakemake.output.figure, settings)
