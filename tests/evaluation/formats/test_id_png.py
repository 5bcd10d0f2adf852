"""Pictures of ids: what the bytes mean, and that a damaged file is refused before anything decodes it."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from configs.errors import OutputError, SourceError
from evaluation.formats.id_png import is_whole, read_ids, read_png, size_of, write_ids, write_png

IDS = np.array([[0, 1, 255], [256, 65536, 16777215]], np.int32)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """An 8-bit RGB file whose header claims that size; all check sums are right."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


PIXELS = chunk(b"IDAT", zlib.compress(b"\0\1\2\3" * 2))


def test_an_id_is_red_plus_256_green_plus_65536_blue(tmp_path: Path) -> None:
    bgr = np.array([[(0, 0, 7), (0, 1, 0), (1, 0, 0), (3, 2, 1)]], np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), bgr)
    assert read_ids(tmp_path / "a.png").tolist() == [[7, 256, 65536, 1 + 2 * 256 + 3 * 65536]]


def test_written_bytes_are_red_green_blue(tmp_path: Path) -> None:
    write_ids(tmp_path / "a.png", np.array([[0x030201]], np.int32))
    found = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_COLOR_RGB)
    assert np.asarray(found).tolist() == [[[1, 2, 3]]]


def test_ids_of_all_24_bits_come_back(tmp_path: Path) -> None:
    write_ids(tmp_path / "deeper" / "a.png", IDS)
    found = read_ids(tmp_path / "deeper" / "a.png")
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, IDS)


def test_transparency_is_no_part_of_an_id(tmp_path: Path) -> None:
    bgra = np.array([[(0, 0, 7, 255), (0, 1, 0, 0)]], np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), bgra)
    assert read_ids(tmp_path / "a.png").tolist() == [[7, 256]]


@pytest.mark.parametrize(
    "image",
    [np.ones((2, 3), np.uint8), np.ones((2, 3), np.uint16), np.ones((2, 3, 3), np.uint16)],
    ids=["gray", "gray of 16 bits", "colour of 16 bits"],
)
def test_what_is_not_rgb_of_8_bits_is_refused_where_ids_are_due(tmp_path: Path, image: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), image)
    with pytest.raises(SourceError, match=r"a\.png: must be an 8-bit RGB PNG"):
        read_ids(tmp_path / "a.png")


def test_values_of_16_bits_come_back(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", np.array([[0, 255, 256, 65535]], np.uint16))
    found = read_png(tmp_path / "a.png")
    assert (found.dtype.name, found.tolist()) == ("uint16", [[0, 255, 256, 65535]])


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    write_ids(tmp_path / "a.png", IDS)
    whole = (tmp_path / "a.png").read_bytes()
    assert is_whole(whole)
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            assert not is_whole(bytes(flipped)), f"bit {bit} of byte {place}"


def test_every_missing_end_is_noticed(tmp_path: Path) -> None:
    write_ids(tmp_path / "a.png", IDS)
    whole = (tmp_path / "a.png").read_bytes()
    assert not any(is_whole(whole[:length]) for length in range(len(whole)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        b"\xff\xd8\xff\xe0 a JPEG",
        b"\x89PNG\r\n\x1a\n",
        b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""),
        png(1, 2),
        png(0, 2, PIXELS),
        png(1, 0, PIXELS),
        png(200_000, 200_000, PIXELS),
    ],
    ids=["empty", "text", "jpeg", "signature", "end only", "no pixels", "no width", "no height", "too large"],
)
def test_what_is_no_picture_is_refused_without_a_word_of_the_decoder(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.png: is not a whole PNG"):
        read_ids(tmp_path / "a.png")
    assert capfd.readouterr() == ("", "")


def test_a_file_of_these_chunks_is_otherwise_a_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(1, 2, PIXELS))
    assert read_ids(tmp_path / "a.png").tolist() == [[0x030201], [0x030201]]


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.png: cannot be read \(No such file"):
        read_ids(tmp_path / "a.png")
    with pytest.raises(SourceError, match=r"cannot be read \(Is a directory\)"):
        read_ids(tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "a.png").mkdir()
    for place in (tmp_path / "file" / "a.png", tmp_path / "a.png"):
        with pytest.raises(OutputError, match=r"a\.png: cannot be written"):
            write_ids(place, IDS)
    assert capfd.readouterr() == ("", "")


def test_more_pixels_than_are_decoded_are_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(png(40_000, 40_000, chunk(b"IDAT", zlib.compress(bytes(201_000_000)))))
    with pytest.raises(SourceError, match=r"a\.png: is too large"):
        read_ids(tmp_path / "a.png")
    assert capfd.readouterr() == ("", "")


def test_the_size_is_read_from_the_header(tmp_path: Path) -> None:
    write_ids(tmp_path / "a.png", np.ones((3, 5), np.int32))
    assert size_of(tmp_path / "a.png") == (3, 5)
    for content in (b"", b"no picture, but long enough for a header"):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(SourceError, match=r"a\.png: is not a whole PNG"):
            size_of(tmp_path / "a.png")
