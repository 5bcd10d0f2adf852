from __future__ import annotations

from pathlib import Path

import pytest

from configs.categories import CITYSCAPES, Category
from configs.errors import SettingsError
from configs.loading import describe_preset, dump_settings, load_settings, preset_names
from configs.schema import Settings


def test_the_presets_are_listed_by_name() -> None:
    assert preset_names() == ["street", "tiny", "vpsnet-r50"]
    assert describe_preset("tiny").startswith("Everything as small as it goes")


@pytest.mark.parametrize("name", ["street", "tiny", "vpsnet-r50"])
def test_every_preset_survives_being_written_and_read(name: str, tmp_path: Path) -> None:
    settings = load_settings(name)
    file = tmp_path / "again.yaml"
    file.write_text(dump_settings(settings))
    assert load_settings(str(file)) == settings


def test_street_is_the_schema_with_weights_and_without_fusion() -> None:
    street = load_settings("street", ["model.weights=null", "model.fuse=true"])
    assert street == Settings()
    assert load_settings("street").model.weights == "weights/street.safetensors"
    assert not load_settings("street").model.fuse


def test_the_paper_has_its_sizes() -> None:
    paper = load_settings("vpsnet-r50")
    assert paper.model.backbone == "resnet50"
    assert paper.model.semantic_channels == (256, 128, 128)
    assert (paper.input.short_side_px, paper.input.max_long_side_px) == (1024, 2048)
    assert paper.detect.proposals == 1000


def test_a_later_override_wins() -> None:
    settings = load_settings("tiny", ["run.threads=1", "run.threads=3"])
    assert settings.run.threads == 3


def test_an_override_is_read_as_yaml() -> None:
    settings = load_settings("tiny", ["model.semantic_channels=[8, 4]", "encode.labels=false"])
    assert settings.model.semantic_channels == (8, 4)
    assert settings.encode.labels is False


def test_an_override_of_a_section_changes_only_what_it_names() -> None:
    settings = load_settings("tiny", ["model={fpn_channels: 16}"])
    assert settings.model.fpn_channels == 16
    assert settings.model.box_channels == 64


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run.thread=1", r"unknown key 'run\.thread'; did you mean 'run\.threads'\?"),
        ("model.threads=1", r"unknown key 'model\.threads'; did you mean 'run\.threads'\?"),
        ("modell.fuse=1", r"unknown key 'modell'; did you mean 'model'\?"),
        ("run.threads=-1", r"run\.threads: -1 is not allowed: .*greater than or equal to 0"),
        ("run.executor=spark", r"run\.executor: 'spark' is not allowed: .*'ray', 'local' or 'inline'"),
        (
            "run.address=http://head:10001",
            r"run\.address: 'http://head:10001' is not allowed: must be local, auto",
        ),
        ("run.address=head", r"run\.address: 'head' is not allowed: must be local, auto, HOST:PORT or ray"),
        ("train.parts=[fuse]", r"train\.parts\.0: 'fuse' is not allowed: .*'fusion'"),
        (
            "train={two_frames: false, parts: [track]}",
            r"train\.parts: .*track.* is not allowed: .*set train\.two_frames=true",
        ),
        ("run=3", r"run: 3 is not a section; keys: run\.executor"),
        ("run.threads", r"must be key\.sub=value"),
        ("run.threads=[", r"the value '\[' is not YAML"),
    ],
)
def test_a_bad_override_names_key_value_and_remedy(override: str, message: str) -> None:
    with pytest.raises(SettingsError, match=f"^--set.*{message}"):
        load_settings("tiny", [override])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model:\n  fpn_chanels: 8\n",
            r"unknown key 'model\.fpn_chanels'; did you mean 'model\.fpn_channels'",
        ),
        ("encode:\n  crf: 99\n", r"encode\.crf: 99 is not allowed"),
        ("model: [\n", "is not YAML"),
        ("- model\n", "must hold sections such as `run:`, not a list"),
    ],
)
def test_a_bad_file_is_named_with_the_key(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match=rf"mine\.yaml: .*{message}"):
        load_settings(str(file))


OWN = """
categories:
- {id: 7, name: conveyor, is_thing: false, color: [110, 110, 120]}
- {id: 900, name: box, is_thing: true, color: [160, 110, 60]}
"""


def test_categories_may_be_a_list_and_survive_being_written_and_read(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(OWN)
    settings = load_settings(str(file))
    assert settings.categories == (
        Category(7, "conveyor", False, (110, 110, 120)),
        Category(900, "box", True, (160, 110, 60)),
    )
    file.write_text(dump_settings(settings))
    assert load_settings(str(file)) == settings


def test_the_categories_of_a_known_set_are_written_as_its_name() -> None:
    assert load_settings("street").categories == CITYSCAPES
    assert dump_settings(load_settings("street")).startswith("categories: cityscapes\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("is_thing: true", "isthing: true"), r"categories\.1\.is_thing: .* field required"),
        (("name: box", "name: box, size: 3"), r"categories\.1\.size: 3 is not allowed"),
        (("name: box", "name: conveyor"), "2 categories have the name 'conveyor'; give each its own"),
        (("is_thing: true", "is_thing: false"), "no category is a thing"),
        ((OWN, "categories: coco"), "'coco' is not allowed: must be a list of categories, or one of: city"),
    ],
)
def test_bad_categories_are_refused(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(OWN.replace(*change))
    with pytest.raises(SettingsError, match=rf"own\.yaml: .*{message}"):
        load_settings(str(file))


def test_an_empty_file_is_the_schema(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("")
    assert load_settings(str(file)) == Settings()


def test_a_wrong_preset_names_the_nearest() -> None:
    with pytest.raises(SettingsError, match=r"'stret'; did you mean street\? presets: street, tiny"):
        load_settings("stret")
