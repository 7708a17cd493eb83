import json
from pathlib import Path

from rainshaft.evaluation import table
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    paths = [*snakemake.input.experiments, *snakemake.input.baselines]
    scores = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths]
    table.write(
        scores,
        snakemake.params.families,
        snakemake.params.descriptions,
        snakemake.output.markdown,
        snakemake.output.csv,
        snakemake.output.console,
    )
