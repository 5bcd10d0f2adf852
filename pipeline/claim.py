"""One program at a time in the folders of the results: two would write over each other.

The lock is the system's, on the folder itself: it ends with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from configs.errors import OutputError
from stages.results import naming_output

log = logging.getLogger(__name__)


@contextmanager
def claimed(folders: Sequence[Path]) -> Iterator[None]:
    """Hold the folders, made if need be; OutputError if another program writes into one of them."""
    with ExitStack() as stack:
        for folder in folders:
            with naming_output(folder):
                folder.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            _lock(descriptor, folder)
        yield


def _lock(descriptor: int, folder: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputError(
            f"{folder}: another program is writing there; wait for it, or name another --output"
        ) from None
    except OSError as error:
        log.debug("%s cannot be locked: %s", folder, error)  # some network file systems know no locks
