import json
from pathlib import Path

from rainshaft.evaluation import table
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    paths = [*snakemake.input.experiments, *snakemake.input.baselines]
    scores = [json.loads(Path(path).read_text()) for path in paths]
    families = snakemake.params.families
    table.write(scores, families, snakemake.params.descriptions, snakemake.output.markdown, snakemake.output.csv)
    Path(snakemake.output.console).write_text(table.console_table(scores, families))
