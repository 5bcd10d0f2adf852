"""Before any test module loads torch: the threads of a convolution wait as they do in a run."""

from __future__ import annotations

from pipeline.resolve import wait_without_spinning

wait_without_spinning()
