from pathlib import Path

import xarray as xr

from rainshaft.application.indices import markdown, table_of
from rainshaft.files import atomic, write_json
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    records = dict(zip(("downscaled", "coarse input"), map(xr.load_dataset, snakemake.input.summaries), strict=False))
    rows = table_of(records)
    write_json(rows, snakemake.output.rows)
    text = f"# {snakemake.wildcards.application}\n\n{snakemake.params.description}\n\n{markdown(rows)}"
    with atomic(snakemake.output.table) as temporary:
        Path(temporary).write_text(text.replace("\n\n\n\n", "\n\n"), encoding="utf-8")
