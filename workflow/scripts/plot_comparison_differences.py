import json
from pathlib import Path

from rainshaft.config.sections import Plots
from rainshaft.evaluation.rows import Comparison, Entry
from rainshaft.figures.differences import differences
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    contents = [json.loads(Path(path).read_text(encoding="utf-8")) for path in snakemake.input.scores]
    entries = [Entry.read(content, path) for content, path in zip(contents, snakemake.input.by_day, strict=True)]
    comparison = Comparison(entries, snakemake.params.families)
    differences(comparison, snakemake.output.figure, Plots(dpi=snakemake.params.dpi))
