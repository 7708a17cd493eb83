import json
from datetime import date
from pathlib import Path

from rainshaft.evaluation.looks import looks_so_far
from rainshaft.evaluation.rows import Comparison, Entry
from rainshaft.jobs.runtime import job
from rainshaft.report.conclusions import Known
from rainshaft.report.page import Shown, write_report


def read(paths):
    return [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]


with job(snakemake.log[0], snakemake.threads):
    given, contents = snakemake.params, read(snakemake.input.scores)
    entries = [Entry.read(content, path) for content, path in zip(contents, snakemake.input.by_day, strict=True)]
    known = Known(
        looks=looks_so_far(contents, given.looks),
        verdicts=read(snakemake.input.verdicts),
        descriptions=given.descriptions,
        perfect=given.perfect,
        synthetic=given.synthetic,
    )
    figures = [Shown(Path(path), **shown) for path, shown in zip(snakemake.input.figures, given.shown, strict=True)]
    made = date.today().isoformat()
    write_report(Comparison(entries, given.families), known, figures, given.captions, made, snakemake.output.html)
