from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch

from pipeline.wire import WireTensor, from_wire, num_bytes, to_wire
from stages.messages import Cursor, Detections, Features


def there_and_back(value: object) -> object:
    """As Ray does it: through bytes, with arrays that may not be written to."""
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(to_wire(value), protocol=5, buffer_callback=buffers.append)
    readonly = [memoryview(bytes(buffer.raw())) for buffer in buffers]
    return from_wire(pickle.loads(data, buffers=readonly), "cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_dtype_and_values_survive(dtype: torch.dtype) -> None:
    tensor = torch.arange(6).reshape(2, 3).to(dtype)
    back = there_and_back(tensor)
    assert isinstance(back, torch.Tensor)
    assert back.dtype == dtype
    assert torch.equal(back, tensor)


def test_channels_last_stays_channels_last() -> None:
    tensor = torch.arange(24.0).reshape(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)
    back = there_and_back(tensor)
    assert isinstance(back, torch.Tensor)
    assert back.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(back, tensor)


def test_a_sliced_tensor_becomes_dense_and_keeps_its_values() -> None:
    tensor = torch.arange(12.0).reshape(3, 4)[:, 1:3]
    back = there_and_back(tensor)
    assert isinstance(back, torch.Tensor)
    assert back.tolist() == [[1, 2], [5, 6], [9, 10]]


def test_a_tuple_of_levels_in_a_message_survives() -> None:
    levels = tuple(torch.full((1, 1, side, side), float(side)) for side in (4, 2, 1))
    message = Features(index=7, levels=levels, network_size=(4, 4), frame_size=(8, 8))
    back = there_and_back(message)
    assert isinstance(back, Features)
    assert back.index == 7
    assert [level.shape[-1] for level in back.levels] == [4, 2, 1]
    assert torch.equal(back.levels[0], levels[0])


def test_no_detections_at_all_survive() -> None:
    message = Detections(
        index=0,
        boxes=torch.zeros(0, 4),
        scores=torch.zeros(0),
        classes=torch.zeros(0, dtype=torch.int64),
        mask_logits=torch.zeros(0, 28, 28),
        embeddings=torch.zeros(0, 5),
        semantic_logits=torch.zeros(1, 19, 1, 1),
        network_size=(4, 4),
        frame_size=(8, 8),
    )
    back = there_and_back(message)
    assert isinstance(back, Detections)
    assert back.mask_logits.shape == (0, 28, 28)


def test_messages_without_tensors_are_not_copied() -> None:
    cursor = Cursor(index=1, source_index=1, pts=3)
    assert to_wire(cursor) is cursor
    assert from_wire(cursor, "cpu") is cursor


def test_a_numpy_array_stays_one() -> None:
    array = np.arange(3)
    assert from_wire(to_wire(array), "cpu") is array


def test_the_packed_tensor_tells_the_shape_of_the_tensor() -> None:
    tensor = torch.zeros(1, 2, 3, 4).contiguous(memory_format=torch.channels_last)
    packed = to_wire(tensor)
    assert isinstance(packed, WireTensor)
    assert packed.shape == (1, 2, 3, 4)
    assert packed.array.shape == (1, 3, 4, 2)


def test_the_bytes_of_a_message_are_those_of_its_arrays() -> None:
    levels = (torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 2, 2))
    message = Features(index=7, levels=levels, network_size=(4, 4), frame_size=(8, 8))
    assert num_bytes(to_wire(message)) == 4 * (16 + 4)
    assert num_bytes(Cursor(index=0, source_index=0, pts=0)) == num_bytes(None) == 0
