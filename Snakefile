# The workflow is in workflow/; this file lets `snakemake` and `-s` find it from here.
include: "workflow/Snakefile"


# An include does not say what runs when no target is named.
rule everything:
    default_target: True
    input:
        rules.all.input,
