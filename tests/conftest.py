"""Before any test module loads torch: the threads of a convolution wait as they do in a run."""

from __future__ import annotations

from configs.resolve import limit_spinning

limit_spinning()
