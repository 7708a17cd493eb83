# rainshaft: coarse climate fields in, sharp rain out. The rules are in workflow/rules/, the science is in rainshaft/.
from snakemake.utils import min_version

min_version("9.20")

if "experiments" not in config:  # --configfile replaces the demo, it does not add to it

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"


pathvars:
    results=CONFIG.results,
    logs=f"{CONFIG.results}/logs",
    benchmarks=f"{CONFIG.results}/benchmarks",


wildcard_constraints:
    dataset="|".join(CONFIG.datasets),
    experiment="|".join(CONFIG.experiments),
    baseline="|".join(BASELINES),
    mode="prior|posterior",
    shard=r"\d+-of-\d+",
    year=r"\d{4}",


include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/augment.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/plot.smk"


report: "workflow/report/workflow.rst"


rule all:
    default_target: True
    input:
        "<results>/comparison/table.md",
        FIGURES,


onstart:
    be_alone()
    check_input()


onsuccess:
    show_verdicts()


onerror:
    cancel_what_is_left()
