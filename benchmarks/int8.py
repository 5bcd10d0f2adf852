"""Backbone and pyramid in 8 bits, by ONNX Runtime: what `benchmarks.sizes` measures beside fp32 and bf16."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor

from configs.schema import Settings
from export.onnx_file import write_onnx
from export.parts import Part, features_part
from models.vpsnet import VPSNet
from stages.features import network_input
from stages.network import load_network
from stages.preprocess import network_size


class _Calibration:
    """Pictures from which the ranges of all maps are taken: ONNX Runtime's CalibrationDataReader."""

    def __init__(self, name: str, inputs: Sequence[Tensor]) -> None:
        self._rest = iter([{name: one.numpy()} for one in inputs])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._rest, None)


class _NetworkIn8Bits(VPSNet):
    """A network, ready for inference, that leaves its features to an ONNX file."""

    def __init__(self, network: VPSNet, features: Path, part: Part, threads: int) -> None:
        super().__init__(network.architecture, ())
        for name, module in network.named_children():
            self.add_module(name, module)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session = onnxruntime.InferenceSession(features, options, providers=["CPUExecutionProvider"])
        self._part = part

    def extract(self, image: Tensor) -> tuple[Tensor, ...]:
        given = {self._part.inputs[0]: image.float().numpy()}
        return tuple(torch.from_numpy(level) for level in self._session.run(list(self._part.outputs), given))


def network_in_8_bits(settings: Settings, images: Sequence[np.ndarray]) -> VPSNet:
    """The settings' network, its features computed in 8 bits; for pictures of one size only.

    images (H, W, 3) uint8 RGB of that size: they fix the ranges, so let them be of the training split.
    """
    network = load_network(settings)
    part = features_part(network)
    size = network_size(images[0].shape[:2], settings.input)
    inputs = [network_input(image, size, "cpu") for image in images]
    with tempfile.TemporaryDirectory() as name:
        plain, inferred, small = (Path(name) / f"{stem}.onnx" for stem in ("plain", "inferred", "small"))
        write_onnx(part, (inputs[0],), {}, plain)
        quant_pre_process(str(plain), str(inferred))
        quantize_static(
            str(inferred),
            str(small),
            _Calibration(part.inputs[0], inputs),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return _NetworkIn8Bits(network, small, part, settings.run.threads)
