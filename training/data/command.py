"""How the commands that make data end: a mistake of the caller's is one line and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Callable

from configs.errors import UsageError


def exit_code_of(work: Callable[[], None]) -> int:
    """Do the work: 0, or 2 after a line on what was wrong with the input."""
    try:
        work()
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0
