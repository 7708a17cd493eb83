from rainshaft.config.sections import Plots
from rainshaft.figures.maps import comparison_maps
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = read_slice(snakemake.input.config, Plots)
    ensembles = dict(zip(snakemake.params.names, snakemake.input.ensembles, strict=True))
    comparison_maps(ensembles, snakemake.wildcards.part, snakemake.input.fields, snakemake.output.figure, settings)
