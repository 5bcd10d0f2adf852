"""Small labelled video sets on disk, for the tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import cv2

from configs.categories import CITYSCAPES
from evaluation.formats.coco import category_entries, segment_entries
from evaluation.formats.id_png import write_ids
from evaluation.segments import LabelledSegment
from training.data.generated import ClipShape, generate_clip
from training.data.packed import truth_of

SHAPE = ClipShape(height_px=64, width_px=96, num_frames=40)


def write_video_set(root: Path, num_frames: Mapping[str, int], *, labelled_every: int = 1) -> Path:
    """A generated clip per name, of so many frames, of which every so-manieth has labels."""
    (root / "images").mkdir(parents=True)
    images, annotations = [], []
    for seed, (video, count) in enumerate(num_frames.items()):
        for index, frame in enumerate(generate_clip(seed, SHAPE)[:count]):
            name = f"{video}_{index}.png"
            cv2.imwrite(str(root / "images" / name), cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR))
            images.append({"id": f"{video}_{index}", "file_name": name, "width": 96, "height": 64})
            if index % labelled_every == 0:
                ids, found = truth_of(frame, CITYSCAPES)
                segments = [LabelledSegment(id=s.id, category_id=s.category_id) for s in found]
                write_ids(root / "panoptic" / name, ids)
                info = segment_entries(ids, segments)
                annotations.append({"image_id": f"{video}_{index}", "file_name": name, "segments_info": info})
    document = {"images": images, "annotations": annotations, "categories": category_entries(CITYSCAPES)}
    (root / "panoptic.json").write_text(json.dumps(document))
    return root
