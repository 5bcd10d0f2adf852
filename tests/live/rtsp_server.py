"""A real RTSP server on loopback for the tests: GStreamer's, a process that can be killed or stopped."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media import Size, picture

PROGRAM = Path(__file__).with_name("rtsp_program.py")
PACKAGES = "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
RATE = 25


@cache
def python_with_gstreamer() -> str | None:
    """A Python that has GStreamer's RTSP server."""
    wanted = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    for program in filter(None, map(shutil.which, ("/usr/bin/python3", "python3"))):
        if subprocess.run([program, "-c", wanted], capture_output=True, check=False).returncode == 0:
            return program
    return None


needs_rtsp = pytest.mark.skipif(
    python_with_gstreamer() is None, reason=f"needs an RTSP server: apt-get install {PACKAGES}"
)


def write_pictures(
    path: Path, num_pictures: int = 250, size: Size = (96, 128), images: Sequence[np.ndarray] = ()
) -> Path:
    """Encode pictures as H.264 for the server: access units, each with its length before it."""
    shown = images or [picture(index, size) for index in range(num_pictures)]
    height, width = shown[0].shape[:2]
    options = {
        "crf": "23",
        "tune": "zerolatency",
        "preset": "ultrafast",
        "x264-params": "repeat-headers=1:annexb=1",
    }
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base = Fraction(1, RATE)
    codec.gop_size, codec.max_b_frames, codec.options = RATE, 0, options
    packets = []
    for image in shown:
        packets += codec.encode(av.VideoFrame.from_ndarray(image, format="rgb24"))
    packets += codec.encode(None)
    path.write_bytes(b"".join(struct.pack(">I", packet.size) + bytes(packet) for packet in packets))
    return path


class RtspServer:
    """Serves pictures at `address`; use as a context manager."""

    def __init__(
        self,
        *files: Path,
        rate: float = RATE,
        user_password: str | None = None,
        certificate: Path | None = None,
        sound: str | None = None,
    ) -> None:
        """`sound`: codec of a tone that goes with the pictures."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = str(free.getsockname()[1])
        self.host = f"127.0.0.1:{self._port}"
        self.address = f"rtsp{'s' if certificate else ''}://{self.host}/cam"
        self._options = [str(rate), *map(str, files)]
        self._options += ["--user-password", user_password] if user_password else []
        self._options += ["--certificate", str(certificate)] if certificate else []
        self._options += ["--sound", sound] if sound else []
        self.start()

    def start(self) -> None:
        """Listen; again, after `kill`."""
        program = python_with_gstreamer()
        assert program is not None
        self._process = subprocess.Popen(
            [program, str(PROGRAM), self._port, *self._options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def tell(self, command: str) -> None:
        """One of the program's commands."""
        assert self._process.stdin is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()

    def stop_sending(self) -> None:
        """Send nothing more, on connections that stay."""
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """After `stop_sending`."""
        os.kill(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """At once."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> RtspServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
