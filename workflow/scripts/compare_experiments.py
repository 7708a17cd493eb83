import json
from datetime import date
from pathlib import Path

from rainshaft.evaluation import table
from rainshaft.evaluation.looks import count_looks
from rainshaft.evaluation.rows import Comparison, Entry
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    contents = [json.loads(Path(path).read_text(encoding="utf-8")) for path in snakemake.input.scores]
    entries = [Entry.read(content, path) for content, path in zip(contents, snakemake.input.by_day, strict=True)]
    table.write(
        Comparison(entries, snakemake.params.families),
        snakemake.params.descriptions,
        count_looks(contents, snakemake.params.looks, date.today()),
        snakemake.output.markdown,
        snakemake.output.csv,
        snakemake.output.console,
    )
