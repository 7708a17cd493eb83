from rainshaft.config import Plots
from rainshaft.plot_maps import sample_maps
from rainshaft.runtime import job
from rainshaft.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = Plots(**read_slice(snakemake.input.config))
    sample_maps(snakemake.input.ensemble, snakemake.input.fields, snakemake.output.figure, settings)
