"""A program that serves pictures by RTSP through GStreamer; run by a Python that has its binding (Debian's
has).

    python3 rtsp_program.py PORT RATE PICTURES... [--user-password U:P] [--certificate PEM] [--sound aac|alaw]

PICTURES are files of access units, as `rtsp_server.write_pictures` makes them; the first one is served again
and again at rtsp://127.0.0.1:PORT/cam, with times that go on; `--sound` adds a tone. On standard input, a
line each: `jump S` moves the times by S seconds, `show N` serves the Nth file from its next keyframe on. It
prints `ready` when it listens.
"""

from __future__ import annotations

import argparse
import struct
import sys
import threading
import time
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtspServer  # noqa: E402

PIPELINE = (
    "( appsrc name=pictures is-live=true format=time do-timestamp=false "
    "caps=video/x-h264,stream-format=byte-stream,alignment=au "
    "! h264parse ! rtph264pay name=pay0 pt=96 {sound})"
)
TONE = "audiotestsrc is-live=true ! audio/x-raw,channels=1,rate={rate} ! {coder} name=pay1 pt=97 "
SOUNDS = {
    "aac": TONE.format(rate=48000, coder="voaacenc ! aacparse ! rtpmp4gpay"),
    "alaw": TONE.format(rate=8000, coder="alawenc ! rtppcmapay"),
}


class Pictures:
    """What is sent: one picture after the other, at a steady rate."""

    def __init__(self, files: list[Path], rate: float) -> None:
        self._files = [read_pictures(path) for path in files]
        self._rate = rate
        self._shown, self._jump_ns = 0, 0
        self._lock = threading.Lock()

    def obey(self, line: str) -> None:
        command, value = line.split()
        with self._lock:
            if command == "jump":
                self._jump_ns += int(float(value) * Gst.SECOND)
            elif command == "show":
                self._shown = int(value)

    def feed(self, _: object, media: GstRtspServer.RTSPMedia) -> None:
        media.connect("new-state", send_at_once)
        source = media.get_element().get_by_name("pictures")
        threading.Thread(target=self._push, args=(source,), daemon=True).start()

    def _push(self, source: Gst.Element) -> None:
        began_s, number, position = time.monotonic(), 0, 0
        served = self._shown
        while True:
            time.sleep(max(0.0, began_s + number / self._rate - time.monotonic()))
            with self._lock:
                if served != self._shown:
                    served, position = self._shown, 0  # each file begins with a keyframe
                data = self._files[served][position % len(self._files[served])]
                time_ns = int(number / self._rate * Gst.SECOND) + self._jump_ns
            buffer = Gst.Buffer.new_wrapped(data)
            buffer.pts = buffer.dts = max(0, time_ns)
            if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return
            number, position = number + 1, position + 1


def read_pictures(path: Path) -> list[bytes]:
    """Access units, each with its length before it."""
    data, pictures, start = path.read_bytes(), [], 0
    while start < len(data):
        (length,) = struct.unpack_from(">I", data, start)
        pictures.append(data[start + 4 : start + 4 + length])
        start += 4 + length
    return pictures


def send_at_once(media: GstRtspServer.RTSPMedia, _: int) -> None:
    """Without waiting until a picture's time has come, which a jump would put off for long."""
    elements = media.get_element().get_parent().iterate_recurse()
    while (found := elements.next())[0] == Gst.IteratorResult.OK:
        if found[1].find_property("sync") is not None:
            found[1].set_property("sync", False)


def demand_password(server: GstRtspServer.RTSPServer, user_password: str) -> None:
    """From whoever wants to see the pictures."""
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*user_password.split(":")), token)
    server.set_auth(auth)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("rate", type=float)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--user-password")
    parser.add_argument("--certificate")
    parser.add_argument("--sound", choices=SOUNDS)
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(options.port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(PIPELINE.format(sound=SOUNDS.get(options.sound, "")))
    factory.set_shared(False)
    pictures = Pictures(options.files, options.rate)
    factory.connect("media-configure", pictures.feed)
    if options.user_password:
        demand_password(server, options.user_password)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("viewer", "media.factory.access", True)
        permissions.add_permission_for_role("viewer", "media.factory.construct", True)
        factory.set_permissions(permissions)
    if options.certificate:
        auth = server.get_auth() or GstRtspServer.RTSPAuth()
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(options.certificate))
        server.set_auth(auth)
    server.get_mount_points().add_factory("/cam", factory)
    assert server.attach(None), f"port {options.port} is taken"
    print("ready", flush=True)

    def listen() -> None:
        for line in sys.stdin:
            pictures.obey(line)

    threading.Thread(target=listen, daemon=True).start()
    GLib.MainLoop().run()


main()
