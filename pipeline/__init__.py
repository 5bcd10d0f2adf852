"""How it runs: the graph, its placement on hosts, the executors, flow control and reports.

`run(sources, settings, output)` is the entry; the command line calls nothing else.
"""

from __future__ import annotations

from pipeline.report import StreamReport, describe_error
from pipeline.runner import Progress, run

__all__ = ["Progress", "StreamReport", "describe_error", "run"]
