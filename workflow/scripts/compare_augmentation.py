import json
from pathlib import Path

from rainshaft.augmentation.trial import compare
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    compare([json.loads(Path(path).read_text()) for path in snakemake.input.scores], Path(snakemake.output.markdown))
