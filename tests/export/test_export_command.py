"""`export`: the files of the shipped model, run by ONNX Runtime as a user would."""

from __future__ import annotations

import sys
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import Tensor

from configs.loading import load_settings
from export.check import TOLERANCE, difference, in_order, run_file
from export.folder import settings_for
from export.parts import Part, detection_part
from export.sample import fitted
from models.vpsnet import VPSNet
from stages.features import network_input
from stages.network import load_network
from stages.picture_reader import read_picture
from tests.evaluation.commands import assert_one_line, call
from tests.pipeline.random_network import write_random_weights

ROOT = Path(__file__).resolve().parent.parent.parent
PICTURE = ROOT / "docs" / "images" / "motorway.jpg"
SIZE = (96, 160)
FUSED = "model.fuse=true"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model, exported for pictures of 160x96."""
    output = tmp_path_factory.mktemp("export") / "street"
    result = call("export", "--config", "street", "--set", FUSED, "--size", "160x96", "--output", output)
    assert result.exit_code == 0, result.output
    for word in ("features.onnx", "fused_p6", "embeddings", "not in the files: flow between frames"):
        assert word in result.stdout
    return output


@pytest.fixture(scope="module")
def network() -> VPSNet:
    return load_network(settings_for(load_settings("street", [FUSED]), SIZE))


@pytest.fixture(scope="module")
def detection(network: VPSNet) -> Part:
    part = detection_part(network, load_settings("street", [FUSED]).detect, SIZE, SIZE)
    part.module.eval()
    return part


@pytest.mark.slow
def test_the_folder_holds_all_files_and_nothing_else(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.yaml",
        "detection.onnx",
        "features.onnx",
        "fusion.onnx",
        "weights.safetensors",
    ]


@pytest.mark.slow
def test_the_settings_load_the_weights_beside_them(folder: Path) -> None:
    settings = load_settings(str(folder / "config.yaml"), ["run.device=cpu"])
    assert settings.model.weights == str(folder / "weights.safetensors")
    assert settings.input.short_side_px == 448
    assert load_network(settings).architecture.fpn_channels == 96


@pytest.mark.slow
def test_a_file_says_its_sizes_and_names(folder: Path) -> None:
    session = onnxruntime.InferenceSession(folder / "detection.onnx")
    assert session.get_inputs()[0].shape == [1, 96, 24, 40]
    outputs = {x.name: (x.shape, x.type) for x in session.get_outputs()}
    assert outputs["semantic_logits"] == ([1, 19, 24, 40], "tensor(float)")
    assert outputs["mask_logits"] == (["objects", 28, 28], "tensor(float)")
    assert outputs["classes"] == (["objects"], "tensor(int64)")
    about = session.get_modelmeta().custom_metadata_map
    assert (about["picture_size"], about["flow_stride"]) == ("160x96", "2")
    assert about["categories"].split(",")[13] == "car"


def levels_of(network: VPSNet, contrast: float) -> tuple[Tensor, ...]:
    """The pyramid of the motorway, paler and paler until it is grey at 0."""
    image = network_input(fitted(read_picture(str(PICTURE)), SIZE), SIZE, "cpu")
    with torch.inference_mode():
        levels: tuple[Tensor, ...] = network.extract(128 + contrast * (image - 128))
    return levels


def contrast_of_one_object(network: VPSNet, detection: Part) -> float:
    """Between grey, with none, and the picture, with several."""
    none, some = 0.0, 1.0
    for _ in range(40):
        middle = (none + some) / 2
        with torch.inference_mode():
            count = len(detection.module(*levels_of(network, middle))[1])
        if count == 1:
            return middle
        none, some = (middle, some) if count == 0 else (none, middle)
    pytest.fail("no contrast gives one object")


@pytest.mark.slow
@pytest.mark.parametrize("number", ["none", "one", "several"])
def test_any_number_of_objects(folder: Path, network: VPSNet, detection: Part, number: str) -> None:
    contrast = {"none": 0.0, "several": 1.0}.get(number)
    if contrast is None:
        contrast = contrast_of_one_object(network, detection)
    levels = levels_of(network, contrast)
    with torch.inference_mode():
        wanted = detection.module(*levels)
    outputs = in_order(run_file(folder / "detection.onnx", detection, levels), wanted)
    count = len(outputs[1])
    assert {"none": count == 0, "one": count == 1, "several": count > 1}[number]
    for name, output, expected in zip(detection.outputs, outputs, wanted, strict=True):
        assert difference("detection", name, output, expected).of_range < TOLERANCE


@pytest.mark.slow
def test_the_example_of_the_docs_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = (ROOT / "docs" / "export.md").read_text().split("```python\n")[1].split("```")[0]
    exec(code.replace("out/onnx", str(folder)).replace("docs/images", str(PICTURE.parent)), {})
    assert "car 0." in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        ["model.backbone=resnet50", "model.gather_level=0"],
        ["model.semantic_deformable=true", "model.fuse=false"],
    ],
    ids=["resnet50", "deformable"],
)
def test_other_networks(tmp_path: Path, change: list[str]) -> None:
    from models.weights import save_weights
    from stages.network import architecture_of

    torch.manual_seed(0)
    save_weights(VPSNet(architecture_of(load_settings("tiny", change))), tmp_path / "w.safetensors")
    sets = [f"--set={setting}" for setting in (*change, f"model.weights={tmp_path / 'w.safetensors'}")]
    result = call("export", "--config", "tiny", "--size", "96x64", "--output", tmp_path / "out", *sets)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "fusion.onnx").exists() == ("model.fuse=false" not in change)


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    given = ["export", "--output", tmp_path / "out", "--config", "tiny"]
    assert_one_line(call(*given), "model.weights is not set")
    assert not list((tmp_path / "out").iterdir())
    for size in ("700x384", "704", "0x32", "-32x32"):
        assert_one_line(call(*given, f"--size={size}"), size, "multiples of 32")
    assert_one_line(call(*given, "--picture", tmp_path / "none.png"), "none.png")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert_one_line(call(*given), "is not empty", "--overwrite")
    assert_one_line(call("export", "--output", tmp_path / "out" / "notes.txt"), "cannot be written")


def test_weights_of_another_network_are_one_line_and_leave_no_file(tmp_path: Path) -> None:
    weights = write_random_weights(tmp_path / "tiny.safetensors")
    result = call("export", "--output", tmp_path / "out", "--set", f"model.weights={weights}")
    assert_one_line(result, "tiny.safetensors", "the model's settings ask for")
    assert not list((tmp_path / "out").iterdir())


def test_a_missing_package_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    assert_one_line(call("export", "--output", tmp_path / "out"), "export needs onnxscript", "pip install")
