import json
from pathlib import Path

from rainshaft.config.sections import Plots
from rainshaft.evaluation.rows import Comparison, Entry
from rainshaft.figures.scores import comparison_scores
from rainshaft.jobs.runtime import job
from rainshaft.jobs.stages import read_slice

with job(snakemake.log[0], snakemake.threads):
    settings = read_slice(snakemake.input.config, Plots)
    contents = [json.loads(Path(path).read_text(encoding="utf-8")) for path in snakemake.input.scores]
    entries = [Entry.read(content, path) for content, path in zip(contents, snakemake.input.by_day, strict=True)]
    comparison = Comparison(entries, snakemake.params.families)
    comparison_scores(comparison, snakemake.wildcards.part, snakemake.output.figure, settings)
