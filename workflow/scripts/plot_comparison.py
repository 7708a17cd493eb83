import json
from pathlib import Path

from rainshaft.config import Plots
from rainshaft.plot_distributions import comparison_distributions
from rainshaft.plot_maps import comparison_maps
from rainshaft.plot_scores import comparison_scores
from rainshaft.runtime import job
from rainshaft.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = Plots(**read_slice(snakemake.input.config))
    statistics = [json.loads(Path(path).read_text()) for path in snakemake.input.statistics]
    families = snakemake.params.families
    family = {name: of for of, replicates in families.items() for name in replicates}
    marks = {"posterior": " (posterior)"}  # it has seen the truth
    names = list(
        dict.fromkeys(family.get(entry["name"], entry["name"]) + marks.get(entry["mode"], "") for entry in statistics)
    )
    ensembles = dict(zip(names, snakemake.input.ensembles, strict=True))
    scores = dict(zip(names, snakemake.input.scores, strict=True))
    comparison_maps(ensembles, snakemake.input.fields, snakemake.output.maps, settings)
    comparison_distributions(scores, snakemake.output.distributions, settings)
    comparison_scores(statistics, snakemake.output.scores, settings, families)
