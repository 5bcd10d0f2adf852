"""The folder of a stream's results, and its files: made run by run, joined at the end.

    video.mp4        the frames with their segments in colour
    panoptic/        one picture of ids per frame: id = R + 256 G + 65536 B, 0 is void
    panoptic.json    what the ids are (COCO panoptic)
    tracks.jsonl     a line per object and frame
    run.json         written by the pipeline
    .parts/          runs that are written but not joined: of each a .mp4, a .npz that a resumed run goes
                     on from, and last a .jsonl, by which it counts; a .sound if a live source has some
    segments/        of a live stream, in place of the first four: a folder of them for each segment, named by
                     its first frame

Every file is written under a temporary name and renamed. Joining streams from the parts: its memory
does not depend on the length of the video, but for the sound of a live source's segment.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np

from configs.categories import Category
from configs.errors import OutputError
from stages.messages import Checkpoint, Cursor, Frame, Gap, LivePoint, Panoptic, Segment, TrackMemory

Json = dict[str, Any]

_MEMORY_FIELDS = tuple(field.name for field in fields(TrackMemory))


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the results of one stream are."""

    directory: Path

    @property
    def video(self) -> Path:
        return self.directory / "video.mp4"

    @property
    def pictures(self) -> Path:
        return self.directory / "panoptic"

    @property
    def panoptic(self) -> Path:
        return self.directory / "panoptic.json"

    @property
    def tracks(self) -> Path:
        return self.directory / "tracks.jsonl"

    @property
    def report(self) -> Path:
        return self.directory / "run.json"

    @property
    def segments(self) -> Path:
        return self.directory / "segments"

    def segment(self, first_index: int) -> Layout:
        """That of the segment of a live stream that begins with this frame."""
        return Layout(self.segments / f"{first_index:06d}")

    def beside(self, first_index: int) -> Layout:
        """Of a segment, another one of the same stream."""
        return Layout(self.directory.parent.parent).segment(first_index)

    def all_segments(self) -> list[Layout]:
        """Those of a live stream, in their order; none of a file."""
        folders = (path for path in self.segments.glob("*") if path.name.isdecimal())
        return [Layout(path) for path in sorted(folders, key=lambda path: int(path.name))]

    @property
    def first_index(self) -> int:
        """Of a segment of a live stream."""
        return int(self.directory.name)

    @property
    def parts(self) -> Path:
        return self.directory / ".parts"

    @property
    def joined_parts(self) -> Path:
        """Parts whose results are written, about to be removed."""
        return self.directory / ".parts-joined"

    def picture(self, index: int) -> Path:
        return self.pictures / f"{index:06d}.png"

    def part_video(self, first_index: int) -> Path:
        return self.parts / f"{first_index:06d}.mp4"

    def part_sound(self, first_index: int) -> Path:
        """Of a live source."""
        return self.parts / f"{first_index:06d}.sound"

    @property
    def early_sound(self) -> Path:
        """Of a segment of a live source: what came with the segment before."""
        return self.parts / "early.sound"

    def part_checkpoint(self, first_index: int) -> Path:
        return self.parts / f"{first_index:06d}.npz"

    def part_record(self, first_index: int) -> Path:
        return self.parts / f"{first_index:06d}.jsonl"

    def all(self) -> tuple[Path, ...]:
        results = (self.video, self.pictures, self.panoptic, self.tracks, self.report, self.segments)
        return (*results, self.parts, self.joined_parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRun:
    """One complete run among the parts."""

    first_index: int
    time_base: Fraction
    pts: tuple[int, ...]
    """Of each frame, in units of `time_base`."""
    durations: tuple[int, ...]
    gaps: tuple[Json, ...]
    """What is missing before frames of it, of a live stream."""


def prepare_output(directory: Path, names: Sequence[str], *, overwrite: bool) -> None:
    """Make the folder of each stream, empty of earlier results; OutputError if that cannot be."""
    layouts = [Layout(directory / name) for name in names]
    present = [path for layout in layouts for path in layout.all() if path.exists()]
    if present and not overwrite:
        raise OutputError(
            f"{present[0]}: exists already; name another --output, or give --overwrite, or --resume to go on"
        )
    for layout in layouts:
        try:
            layout.directory.mkdir(parents=True, exist_ok=True)
            remove_temporaries(layout)
            for path in (path for path in layout.all() if path.exists()):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        except OSError as error:
            raise OutputError(_not_writable(layout.directory, error)) from None


def remove_temporaries(layout: Layout) -> None:
    """Remove what a process left that was killed while it wrote: see `replacing`."""
    for path in layout.all():
        for temporary in layout.directory.glob(f".{path.name}.*"):
            temporary.unlink()


@contextmanager
def naming_output(directory: Path) -> Iterator[None]:
    """Turn a failure of the file system into an OutputError that names the place."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(_not_writable(directory, error)) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`; what stands there takes the place of `path` at the end."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())  # or a power cut could leave the name without the content
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


# one run


def write_record(
    layout: Layout,
    stream: str,
    frames: Sequence[Frame],
    panoptics: Sequence[Panoptic],
    categories: Sequence[Category],
) -> None:
    """What the JSON files will say of a run; its presence makes the run complete."""
    first = frames[0]
    header = {
        "time_base": [first.time_base.numerator, first.time_base.denominator],
        "pts": [frame.pts for frame in frames],
        "durations": [frame.duration for frame in frames],
        "gaps": [gap for of_frame in zip(frames, panoptics, strict=True) for gap in _gaps(*of_frame)],
    }
    with replacing(layout.part_record(first.index)) as path, path.open("w", encoding="utf-8") as file:
        _write_line(file, header)
        for frame, panoptic in zip(frames, panoptics, strict=True):
            _write_line(file, _image(frame))
            _write_line(file, _annotation(stream, panoptic, categories))
            gaps = ({"gap": gap} for gap in _gaps(frame, panoptic))
            _write_line(file, {"tracks": [*gaps, *_track_lines(frame, panoptic, categories)]})


def write_checkpoint(layout: Layout, first_index: int, checkpoint: Checkpoint) -> None:
    """What a resumed run needs to go on behind this run."""
    cursor = checkpoint.cursor and asdict(checkpoint.cursor)
    memory = {name: getattr(checkpoint.memory, name) for name in _MEMORY_FIELDS}
    with replacing(layout.part_checkpoint(first_index)) as path, path.open("wb") as file:
        np.savez(file, cursor=np.array(json.dumps(cursor)), **memory)


def read_checkpoint(layout: Layout, run: WrittenRun) -> Checkpoint:
    """That of a complete run."""
    with np.load(layout.part_checkpoint(run.first_index), allow_pickle=False) as file:
        cursor = json.loads(str(file["cursor"]))
        values = {name: file[name] for name in _MEMORY_FIELDS}
    numbers = {name: int(value) for name, value in values.items() if value.ndim == 0}
    return Checkpoint(cursor=cursor and _cursor(cursor), memory=TrackMemory(**values | numbers))


def _cursor(fields: Json) -> Cursor:
    live = fields["live"]
    if live is not None:
        gap, size = live["gap"], live["size"]
        live = LivePoint(**{**live, "gap": gap and Gap(**gap), "size": size and tuple(size)})
    return Cursor(**{**fields, "live": live})


def remove_runs_from(layout: Layout, num_frames: int) -> None:
    """Remove the runs that begin at this frame or later, so that they cannot be taken for new ones."""
    for path in layout.parts.iterdir():
        if path.stem.isdecimal() and int(path.stem) >= num_frames:
            path.unlink()


def complete_runs(layout: Layout, first_index: int = 0) -> list[WrittenRun]:
    """The runs from this frame on, none left out."""
    runs: list[WrittenRun] = []
    next_index = first_index
    while (record := layout.part_record(next_index)).exists():
        with record.open(encoding="utf-8") as file:
            try:
                header = json.loads(file.readline())
            except ValueError:
                break  # damaged: it ends here
        runs.append(
            WrittenRun(
                first_index=next_index,
                time_base=Fraction(*header["time_base"]),
                pts=tuple(header["pts"]),
                durations=tuple(header["durations"]),
                gaps=tuple(header["gaps"]),
            )
        )
        next_index += len(header["pts"])
    return runs


def _image(frame: Frame) -> Json:
    height, width = frame.size
    image = {
        "id": frame.index,
        "file_name": f"{frame.index:06d}.png",
        "width": width,
        "height": height,
        "frame_index": frame.index,
        "pts": frame.pts,
        "time_s": _time_s(frame),
    }
    return image if frame.captured_s is None else {**image, "captured_at": utc(frame.captured_s)}


def utc(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _gaps(frame: Frame, panoptic: Panoptic) -> list[Json]:
    """What is missing right before a frame: nothing, or one record."""
    gap, reunion = frame.gap, panoptic.reunion
    if gap is None:
        return []
    times = {"from": utc(gap.start_s), "to": utc(gap.end_s), "duration_s": round(gap.duration_s, 3)}
    record: Json = {"before_frame": frame.index, **times, "reason": gap.reason}
    if reunion is not None:
        objects = {
            "before": reunion.num_before,
            "found_again": reunion.num_found_again,
            "new": reunion.num_new,
        }
        record["objects"] = objects
    return [record]


def _annotation(stream: str, panoptic: Panoptic, categories: Sequence[Category]) -> Json:
    return {
        "image_id": panoptic.index,
        "video_id": stream,
        "file_name": f"{panoptic.index:06d}.png",
        "segments_info": [_segment(segment, categories) for segment in panoptic.segments],
    }


def _segment(segment: Segment, categories: Sequence[Category]) -> Json:
    return {
        "id": segment.segment_id,
        "category_id": categories[segment.class_index].id,
        "area": segment.area_px,
        "bbox": list(segment.bbox_px),
        "iscrowd": 0,
        "score": _score(segment),
        "track_id": segment.track_id,
    }


def _track_lines(frame: Frame, panoptic: Panoptic, categories: Sequence[Category]) -> Iterator[Json]:
    for segment in panoptic.segments:
        if segment.is_thing:
            x, y, width, height = segment.bbox_px
            yield {
                "frame": frame.index,
                "pts": frame.pts,
                "time_s": _time_s(frame),
                "track_id": segment.track_id,
                "class": categories[segment.class_index].name,
                "score": _score(segment),
                "box": [x, y, x + width, y + height],
                "area": segment.area_px,
            }


def _time_s(frame: Frame) -> float:
    return round(frame.time_s, 6)


def _score(segment: Segment) -> float | None:
    return None if segment.score is None else round(float(segment.score), 4)


# all runs


def join_records(layout: Layout, runs: Sequence[WrittenRun], categories: Sequence[Category]) -> None:
    """Write panoptic.json and tracks.jsonl."""
    with replacing(layout.panoptic) as path, path.open("w", encoding="utf-8") as file:
        file.write('{"images": [')
        _write_items(file, (image for image, _, _ in _records(layout, runs)))
        file.write('],\n"annotations": [')
        _write_items(file, (annotation for _, annotation, _ in _records(layout, runs)))
        file.write('],\n"categories": [')
        _write_items(file, (_category(category) for category in categories))
        if gaps := [gap for run in runs for gap in run.gaps]:
            file.write('],\n"gaps": [')
            _write_items(file, iter(gaps))
        file.write("]}\n")
    with replacing(layout.tracks) as path, path.open("w", encoding="utf-8") as file:
        for _, _, tracks in _records(layout, runs):
            for line in tracks["tracks"]:
                _write_line(file, line)


def remove_pictures_from(layout: Layout, num_frames: int) -> None:
    """Remove the pictures of frames whose run was not completed."""
    for path in layout.pictures.glob("*.png"):
        if path.stem.isdecimal() and int(path.stem) >= num_frames:
            path.unlink()


def remove_parts(layout: Layout) -> None:
    """Remove the parts, also of its segments, so that a stop half way leaves none that look complete."""
    for holder in (layout, *layout.all_segments()):
        shutil.rmtree(holder.joined_parts, ignore_errors=True)
        if holder.parts.exists():
            holder.parts.rename(holder.joined_parts)
            shutil.rmtree(holder.joined_parts)


def remove_segments_from(layout: Layout, num_frames: int) -> None:
    """Remove what is there of frames from this one on."""
    for segment in layout.all_segments():
        if segment.first_index >= num_frames:
            shutil.rmtree(segment.directory)
        elif segment.parts.exists():
            remove_runs_from(segment, num_frames)


def _records(layout: Layout, runs: Sequence[WrittenRun]) -> Iterator[tuple[Json, Json, Json]]:
    """Image, annotation and tracks of every frame."""
    for run in runs:
        with layout.part_record(run.first_index).open(encoding="utf-8") as file:
            file.readline()
            for image in file:
                yield json.loads(image), json.loads(file.readline()), json.loads(file.readline())


def _category(category: Category) -> Json:
    return {
        "id": category.id,
        "name": category.name,
        "isthing": int(category.is_thing),
        "color": list(category.color),
    }


def _write_items(file: IO[str], items: Iterator[Json]) -> None:
    for number, item in enumerate(items):
        file.write(",\n" if number else "\n")
        json.dump(item, file)


def _write_line(file: IO[str], item: Mapping[str, Any]) -> None:
    json.dump(item, file)
    file.write("\n")


def _not_writable(directory: Path, error: OSError) -> str:
    return (
        f"{directory}: cannot be written ({error.strerror}); check the place, its permissions and its space"
    )
