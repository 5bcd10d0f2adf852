"""Decode: the next frame of a source.

Of a file, a pure function of (source, cursor): the open file and its position are a cache, keyed by both, and
are found again when they do not fit. A live source never repeats: the next frame is what it shows by then,
and whoever calls keeps the frames until they are done.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from stages.messages import Cursor, Frame

if TYPE_CHECKING:
    from configs.schema import Settings
    from stages.live_reader import LiveReader
    from stages.source import Source
    from stages.video_reader import VideoReader

OPEN_FILES = 4
"""Videos that are kept open at a time; more, if more streams are under way."""


class DecodeStage:
    """Gives one frame after the other of any source."""

    def __init__(self, settings: Settings) -> None:
        self._most_open = max(OPEN_FILES, settings.run.streams_at_once)
        self._open: OrderedDict[Source, tuple[Cursor | None, VideoReader]] = OrderedDict()
        self._segment_s = settings.encode.segment_s
        self._live: dict[Source, LiveReader] = {}

    def __call__(self, source: Source, cursor: Cursor | None) -> tuple[Frame | None, Cursor]:
        """The frame after that of the cursor, and the cursor of the next call.

        None at the end, and of a live source if none has come: it is asked again with the same cursor.
        """
        if cursor is not None and cursor.ended:
            return None, cursor
        if source.kind == "pictures":
            return _decode_picture(source, cursor)
        if source.is_live:
            return self._decode_live(source, cursor)
        return self._decode_video(source, cursor)

    def close(self) -> None:
        """Give back all open files."""
        while self._open:
            self._open.popitem()[1][1].close()
        while self._live:
            self._live.popitem()[1].close()

    def _decode_live(self, source: Source, cursor: Cursor | None) -> tuple[Frame | None, Cursor]:
        from stages.live_reader import LiveReader

        if source not in self._live:
            self._live[source] = LiveReader(source, self._segment_s, cursor)
        try:
            frame, after = self._live[source].read(cursor)
        except Exception:
            self._live.pop(source).close()
            raise
        if after.ended:
            self._live.pop(source).close()
        return frame, after

    def _decode_video(self, source: Source, cursor: Cursor | None) -> tuple[Frame | None, Cursor]:
        reader = self._reader_at(source, cursor)
        picture = reader.read()
        for _ in range(source.stride - 1 if cursor is not None else 0):
            picture = picture and reader.read()
        index = cursor.index + 1 if cursor is not None else 0
        if picture is None:
            reader.close()
            return None, _ended(cursor, reader.num_read, reader.corrupt_packets)
        after = Cursor(
            index=index,
            source_index=reader.num_read - 1,
            pts=picture.pts,
            corrupt_packets=reader.corrupt_packets,
        )
        frame = Frame(
            index=index,
            pts=picture.pts,
            time_base=reader.time_base,
            duration=picture.duration,
            image=reader.rgb(picture.frame),
        )
        self._keep(source, after, reader)
        return frame, after

    def _reader_at(self, source: Source, cursor: Cursor | None) -> VideoReader:
        """A reader whose next picture is the one after the cursor."""
        from stages.video_reader import VideoReader

        at, reader = self._open.pop(source, (None, None))
        if reader is not None and at == cursor:
            return reader
        if reader is not None:
            reader.close()
        reader = VideoReader(source)
        if cursor is not None:
            reader.go_behind(cursor)
        return reader

    def _keep(self, source: Source, cursor: Cursor, reader: VideoReader) -> None:
        self._open[source] = (cursor, reader)
        if len(self._open) > self._most_open:
            self._open.popitem(last=False)[1][1].close()


def _decode_picture(source: Source, cursor: Cursor | None) -> tuple[Frame | None, Cursor]:
    from stages.picture_reader import read_same_size, stretch

    positions = stretch(source)
    offset = cursor.source_index + source.stride if cursor is not None else 0
    index = cursor.index + 1 if cursor is not None else 0
    if offset >= len(positions):
        return None, _ended(cursor, len(positions), 0)
    position = positions[offset]
    frame = Frame(
        index=index,
        pts=position,
        time_base=1 / source.picture_rate,
        duration=source.stride,
        image=read_same_size(source, source.paths[position]),
    )
    return frame, Cursor(index=index, source_index=offset, pts=position)


def _ended(cursor: Cursor | None, num_read: int, corrupt_packets: int) -> Cursor:
    return Cursor(
        index=cursor.index if cursor is not None else -1,
        source_index=num_read - 1,
        pts=cursor.pts if cursor is not None else None,
        corrupt_packets=corrupt_packets,
        ended=True,
    )
