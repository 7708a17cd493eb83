import csv
import json
from pathlib import Path

from rainshaft.evaluation.verdict import judge, without_advice
from rainshaft.files import write_json
from rainshaft.jobs.runtime import job

with job(snakemake.log[0], snakemake.threads):
    scores = json.loads(Path(snakemake.input.scores).read_text(encoding="utf-8"))
    history = []
    for path in snakemake.input.train_log:
        with open(path, newline="", encoding="utf-8") as file:
            history += csv.DictReader(file)
    thresholds = []
    for table in snakemake.input.thresholds:  # one, or none
        with open(table, newline="", encoding="utf-8") as file:
            thresholds += csv.DictReader(file)
    verdict = judge(scores, history, thresholds)
    # members from files have no training, and no settings that an edit could change
    write_json(verdict if snakemake.input.train_log else without_advice(verdict), snakemake.output.verdict)
