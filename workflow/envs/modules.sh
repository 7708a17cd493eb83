# Load the modules of a cluster that `./run.sh setup` and the jobs need:
#
#   source workflow/envs/modules.sh
#
# Do it once before the set-up and in each shell that starts Snakemake: jobs inherit the environment of this shell. Replace
# the names by those of your cluster (`module avail`). You need a Python 3.11 to 3.13 and, for the RainFARM baseline, a C
# compiler. PyTorch brings its own CUDA, so do not load a module for CUDA: an older one on LD_LIBRARY_PATH can break it.
module purge
module load python/3.11
module load gcc
