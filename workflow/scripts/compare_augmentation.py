import json
from pathlib import Path

from rainshaft.augmentation.trial import compare
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    results = [json.loads(Path(path).read_text(encoding="utf-8")) for path in snakemake.input.scores]
    compare(results, Path(snakemake.output.markdown))
