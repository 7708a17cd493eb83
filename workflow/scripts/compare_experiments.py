import json
from pathlib import Path

from rainshaft import comparison
from rainshaft.runtime import job

with job(snakemake.log[0], snakemake.threads):
    paths = [*snakemake.input.experiments, *snakemake.input.baselines]
    statistics = [json.loads(Path(path).read_text()) for path in paths]
    families = snakemake.params.families
    comparison.write(
        statistics, families, snakemake.params.descriptions, snakemake.output.markdown, snakemake.output.csv
    )
    Path(snakemake.output.console).write_text(comparison.console_table(statistics, families))
