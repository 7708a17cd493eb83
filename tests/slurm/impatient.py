"""Snakemake with two changes: it looks at its jobs every second, and at Ctrl-C it leaves them as they are.

The Slurm plugin waits ten seconds longer after each look. And what Snakemake is looking at when Ctrl-C comes, it does
not cancel: by chance, which a test cannot wait for.
"""

import asyncio
import sys

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

RemoteExecutor.sleep = lambda self: asyncio.sleep(1)
RemoteExecutor.cancel = RemoteExecutor.shutdown
sys.exit(main())
