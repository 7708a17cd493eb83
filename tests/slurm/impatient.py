"""Snakemake, but for looking at its jobs every second: the Slurm plugin waits ten seconds longer after each look."""

import asyncio
import sys

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

RemoteExecutor.sleep = lambda self: asyncio.sleep(1)
sys.exit(main())
