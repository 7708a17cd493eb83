from pathlib import Path

import xarray as xr

from rainshaft.application.summary import markdown, of_season, table_of
from rainshaft.files import atomic, write_json
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    summaries = map(xr.load_dataset, snakemake.input.summaries)
    records = of_season(dict(zip(snakemake.params.records, summaries, strict=True)))
    rows = table_of(records)
    write_json(rows, snakemake.output.rows)
    parts = [f"# {snakemake.wildcards.application}", snakemake.params.description, markdown(rows)]
    with atomic(snakemake.output.table) as temporary:
        Path(temporary).write_text("\n\n".join(part for part in parts if part), encoding="utf-8")
