"""Views of a drawn scene: a road, a sky, and two cars."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from training.data.packed import PanopticPicture
from training.dataset import SampleSource
from training.samples import Augmentation, View, as_view, make_view_pair
from training.sampling import Draw

ROAD, SKY, CAR, PERSON = 0, 10, 13, 11
THINGS = tuple(range(11, 19))


def _picture() -> PanopticPicture:
    """64x128: sky above row 32, road below; car 1 in the middle, car 2 at the left, a crowd at the right."""
    classes = np.full((64, 128), ROAD, np.uint8)
    classes[:32] = SKY
    instances = np.zeros((64, 128), np.int32)
    for number, (x1, x2) in ((1, (50, 80)), (2, (4, 20))):
        classes[28:48, x1:x2] = CAR
        instances[28:48, x1:x2] = number
    classes[30:40, 110:126] = PERSON
    instances[30:40, 110:126] = -1
    image = np.zeros((64, 128, 3), np.uint8)
    image[..., 0], image[..., 1] = 100, (instances + 1) * 60
    return PanopticPicture(name="drawn", image=image, class_map=classes, instance_map=instances)


def _augmentation(**changes: object) -> Augmentation:
    values: dict[str, object] = {"crop_px": (64, 96), "base_height_px": 64, "scale_range": (1.0, 1.0)}
    return Augmentation(**(values | changes))  # type: ignore[arg-type]


def _pair(seed: int, **changes: object) -> tuple[View, View]:
    rng = np.random.default_rng(seed)
    return make_view_pair(_picture(), None, _augmentation(**changes), THINGS, rng)


def test_a_whole_picture_lists_its_objects_with_tight_boxes() -> None:
    view = as_view(_picture(), THINGS)
    assert view.boxes.tolist() == [[50, 28, 80, 48], [4, 28, 20, 48]]
    assert view.classes.tolist() == [CAR, CAR]
    assert view.instances.tolist() == [1, 2]
    assert view.masks.flatten(1).sum(1).tolist() == [30 * 20, 16 * 20]


def test_a_crowd_is_no_object_but_a_region_to_leave_alone() -> None:
    view = as_view(_picture(), THINGS)
    assert view.crowd_boxes.tolist() == [[110, 30, 126, 40]]
    assert int(view.semantic[35, 115]) == PERSON


@pytest.mark.parametrize("seed", range(6))
def test_image_and_truth_go_through_the_same_crop(seed: int) -> None:
    view, _ = _pair(seed, scale_range=(0.8, 1.5))
    green = view.image[1].float()
    inside = view.masks[view.instances == 1]
    if len(inside):
        # away from its border, the car has one colour, up to noise
        values = green[inside[0]]
        assert (values - values.median()).abs().quantile(0.7).item() <= 12
        assert (view.semantic[inside[0]] == CAR).all()
    for box, mask in zip(view.boxes, view.masks, strict=True):
        ys, xs = torch.nonzero(mask, as_tuple=True)
        tight = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        assert box.tolist() == [float(v) for v in tight]


@pytest.mark.parametrize("seed", range(4))
def test_a_second_view_that_does_not_move_is_the_first(seed: int) -> None:
    current, previous = _pair(seed, shift_px=0.0, zoom=0.0, move_fraction=0.0)
    same = current.semantic == previous.semantic
    # where an object was lifted and put back a row off, the truth may differ by its rim
    assert same.float().mean().item() > 0.93
    assert set(previous.instances.tolist()) == set(current.instances.tolist())


def test_an_object_keeps_its_number_in_the_second_view() -> None:
    current, previous = _pair(1)
    both = set(current.instances.tolist()) & set(previous.instances.tolist())
    assert both
    for number in both:
        now = current.image[1][current.masks[current.instances == number][0]].float().median()
        before = previous.image[1][previous.masks[previous.instances == number][0]].float().median()
        assert abs(now.item() - before.item()) < 25  # 60 apart from object to object


def test_the_same_seed_gives_the_same_sample() -> None:
    (one, before_one), (two, before_two) = _pair(3), _pair(3)
    assert torch.equal(one.image, two.image)
    assert torch.equal(before_one.image, before_two.image)
    assert torch.equal(before_one.boxes, before_two.boxes)


def test_a_crop_beyond_the_picture_is_void() -> None:
    view, _ = _pair(0, crop_px=(128, 256))
    assert (view.semantic == 255).float().mean().item() == pytest.approx(0.75, abs=0.08)


def _moved(picture: PanopticPicture, pixels: int) -> PanopticPicture:
    """The whole scene so many pixels further left, as the frame before of a camera that pans."""
    image, classes, instances = (
        np.roll(a, -pixels, axis=1) for a in (picture.image, picture.class_map, picture.instance_map)
    )
    return PanopticPicture(name="before", image=image, class_map=classes, instance_map=instances)


@pytest.mark.parametrize("seed", range(6))
def test_the_real_frame_before_goes_through_the_very_same_crop(seed: int) -> None:
    picture = _picture()
    rng = np.random.default_rng(seed)
    augmentation = _augmentation(scale_range=(0.8, 1.5), vary_look=False)
    current, previous = make_view_pair(picture, picture, augmentation, THINGS, rng)
    assert torch.equal(current.image, previous.image)
    assert torch.equal(current.semantic, previous.semantic)
    assert torch.equal(current.boxes, previous.boxes)


@pytest.mark.parametrize("seed", range(6))
def test_what_moved_in_the_video_has_moved_by_as_much_in_the_views(seed: int) -> None:
    picture = _picture()
    augmentation = _augmentation(crop_px=(64, 128), stretch=0.0)  # the whole picture, perhaps mirrored
    rng = np.random.default_rng(seed)
    current, previous = make_view_pair(picture, _moved(picture, 3), augmentation, THINGS, rng)
    assert current.instances.tolist() == previous.instances.tolist() == [1, 2]
    shift = current.boxes - previous.boxes
    mirrored = float(current.boxes[0, 0]) != 50
    assert shift.tolist() == [[-3 if mirrored else 3, 0] * 2] * 2


def test_a_source_takes_the_frame_before_where_there_is_one() -> None:
    picture = _picture()
    source = SampleSource(
        [picture, _moved(picture, 3), picture],
        _augmentation(crop_px=(64, 128), stretch=0.0, vary_look=False),
        THINGS,
        with_previous=True,
        flow_stride=2,
        earlier=[[], [0], []],
    )
    current, previous, flow = source[Draw(1, (0, 0, 0))]
    still, made, _ = source[Draw(2, (0, 0, 0))]
    assert previous is not None
    assert made is not None
    assert flow is not None
    assert previous.boxes.tolist() == still.boxes.tolist()
    assert abs((current.boxes - previous.boxes)[:, 0]).tolist() == [3, 3]
    assert not torch.equal(made.image, still.image)
    assert flow.shape == (2, 32, 64)


def test_a_source_without_previous_views_gives_none() -> None:
    source = SampleSource([_picture()], _augmentation(), THINGS, with_previous=False, flow_stride=2)
    assert source[Draw(0, (0, 0, 0))][1:] == (None, None)
