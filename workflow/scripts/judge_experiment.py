import csv
import json
from pathlib import Path

from rainshaft.evaluation.verdict import judge
from rainshaft.files import write_json
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    scores = json.loads(Path(snakemake.input.scores).read_text(encoding="utf-8"))
    with open(snakemake.input.train_log, newline="", encoding="utf-8") as file:
        history = list(csv.DictReader(file))
    thresholds = []
    for table in snakemake.input.thresholds:  # one, or none
        with open(table, newline="", encoding="utf-8") as file:
            thresholds += csv.DictReader(file)
    write_json(judge(scores, history, thresholds), snakemake.output.verdict)
