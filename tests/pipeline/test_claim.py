from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from configs.errors import OutputError
from pipeline.claim import claimed

OTHER_PROGRAM = """
import sys
from pathlib import Path
from pipeline.claim import claimed
with claimed([Path(sys.argv[1])]):
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_folder_in_which_another_program_writes_is_refused_until_it_has_ended(tmp_path: Path) -> None:
    folder = tmp_path / "street"
    other = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROGRAM, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == "ready\n"
    with (
        pytest.raises(OutputError, match=r"street: another program is writing there; wait for it"),
        claimed([tmp_path / "free", folder]),
    ):
        pass
    other.kill()
    other.communicate()
    with claimed([tmp_path / "free", folder]):
        assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file/street"), claimed([tmp_path / "file" / "street"]):
        pass
