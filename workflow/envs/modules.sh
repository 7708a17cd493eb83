# The modules of a cluster that `./run.sh setup` and the jobs need, to be loaded before both:
#
#   source workflow/envs/modules.sh
#
# Jobs inherit the environment of the shell that starts Snakemake, so once in that shell is enough. The names are those of
# your cluster (`module avail`): a Python 3.11 to 3.13 and, for the RainFARM baseline, a C compiler. PyTorch brings its own
# CUDA; a module for CUDA is not needed, and an older one on LD_LIBRARY_PATH can break it.
module purge
module load python/3.11
module load gcc
