"""The training loop: one step after another, checkpoints that resume exactly, an averaged model, a curve."""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from configs.errors import WeightsError
from configs.schema import TrainSettings
from models.vpsnet import PARTS, VPSNet
from training.dataset import Batch, SampleSource, collate
from training.losses import Losses, LossWeights
from training.sampling import StepSampler

_logger = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
CURVE = "curve.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a step reports."""

    step: int
    steps: int
    losses: dict[str, float]
    """Weighted losses by name, of the heads that learned at this step."""
    seconds: float


class Trainer:
    """Trains a network in place; `averaged` is the one to keep (exponential moving average)."""

    def __init__(
        self,
        network: VPSNet,
        settings: TrainSettings,
        directory: Path,
        *,
        flow_stride: int,
        bf16: bool,
        class_weights: Tensor | None = None,
    ) -> None:
        """`class_weights` (K,): of the semantic loss, all alike if not given."""
        self.network = network.to(memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(network).eval()
        self.first_step = 0
        self._settings = settings
        self._directory = directory
        self._flow_stride = flow_stride
        self._bf16 = bf16
        self._device = next(network.parameters()).device
        if class_weights is None:
            class_weights = torch.ones(network.architecture.num_classes)
        self._losses = Losses(network, _loss_weights(settings), settings.regions_per_picture, class_weights)
        self._optimizer = torch.optim.AdamW(_parameter_groups(network, settings), lr=settings.learning_rate)
        directory.mkdir(parents=True, exist_ok=True)
        if (directory / CHECKPOINT).exists():
            self._resume(directory / CHECKPOINT)

    def run(self, source: SampleSource, picture_weights: np.ndarray, on_step: Callable[[Step], None]) -> None:
        """All remaining steps; checkpoints on the way and at the end."""
        settings = self._settings
        sampler = StepSampler(
            picture_weights, settings.batch_pictures, self.first_step, settings.steps, settings.seed
        )
        loader = DataLoader(
            source,
            batch_sampler=sampler,
            collate_fn=collate,
            num_workers=settings.loader_processes,
            worker_init_fn=_one_thread,
            pin_memory=self._device.type == "cuda",
        )
        self.network.train()
        if settings.freeze_norm:
            _freeze_norm(self.network)
        if settings.freeze_stem:
            _freeze(self.network.backbone.stem())
        _freeze(getattr(self.network, part) for part in PARTS if part not in settings.parts)
        batches = _started(loader)
        for step in range(self.first_step, settings.steps):
            began = time.perf_counter()
            losses = self._step(next(batches).to(self._device), step)
            report = Step(step=step, steps=settings.steps, losses=losses, seconds=time.perf_counter() - began)
            self._log(report)
            on_step(report)
            if (step + 1) % settings.checkpoint_every_steps == 0 or step + 1 == settings.steps:
                self._save(step + 1)

    def _step(self, batch: Batch, step: int) -> dict[str, float]:
        torch.manual_seed(hash((self._settings.seed, step)))
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate(step) * group["factor"]
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            losses = self._losses(
                batch.current.views(),
                None if batch.previous is None else batch.previous.views(),
                batch.flow,
                self._flow_stride,
                objects=step % self._settings.objects_every == 0,
            )
        total = torch.stack(list(losses.values())).sum()
        if not torch.isfinite(total):
            raise FloatingPointError(f"step {step}: the loss is {total.item()} ({_readable(losses)})")
        self._optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        nn.utils.clip_grad_norm_(self.network.parameters(), self._settings.clip_grad_norm)
        self._optimizer.step()
        self._average(step)
        return {name: value.item() for name, value in losses.items()}

    def _learning_rate(self, step: int) -> float:
        settings = self._settings
        warm = min(1.0, (step + 1) / max(settings.warmup_steps, 1))
        return settings.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / settings.steps))

    @torch.no_grad()
    def _average(self, step: int) -> None:
        # a young average follows quickly, so that it is of use from the start
        decay = min(self._settings.ema_decay, (step + 1) / (step + 10))
        means, values = (list(network.state_dict().values()) for network in (self.averaged, self.network))
        pairs = list(zip(means, values, strict=True))
        real = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([mean for mean, _ in real], [value for _, value in real], 1 - decay)
        for mean, value in pairs:
            if not mean.is_floating_point():
                mean.copy_(value)

    def _log(self, report: Step) -> None:
        with (self._directory / CURVE).open("a") as file:
            line = {"step": report.step, "seconds": round(report.seconds, 3)}
            file.write(json.dumps(line | {n: round(v, 5) for n, v in report.losses.items()}) + "\n")

    def _save(self, step: int) -> None:
        temporary = self._directory / f"{CHECKPOINT}.part"
        torch.save(
            {
                "step": step,
                "network": self.network.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimizer": self._optimizer.state_dict(),
            },
            temporary,
        )
        temporary.replace(self._directory / CHECKPOINT)

    def _resume(self, path: Path) -> None:
        state = torch.load(path, map_location=self._device, weights_only=True)
        try:
            self.network.load_state_dict(state["network"])
        except RuntimeError:
            raise WeightsError(
                f"{path}: is of a model with other classes or sizes; name another --output, or remove it"
            ) from None
        self.averaged.load_state_dict(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.first_step = state["step"]
        _logger.info("resumed from %s at step %d", path, self.first_step)


def _loss_weights(settings: TrainSettings) -> LossWeights:
    return LossWeights(
        semantic=settings.semantic_weight,
        rpn_class=settings.rpn_class_weight,
        rpn_box=settings.rpn_box_weight,
        box_class=settings.box_class_weight,
        box=settings.box_weight,
        mask=settings.mask_weight,
        track=settings.track_weight,
        panoptic=settings.panoptic_weight,
    )


def _parameter_groups(network: VPSNet, settings: TrainSettings) -> list[dict[str, object]]:
    """Weights decay, norms and biases do not; the pretrained backbone learns more slowly."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        factor = settings.backbone_rate_factor if name.startswith("backbone.") else 1.0
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((factor, decay), []).append(parameter)
    return [
        {"params": parameters, "factor": factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]


def _freeze_norm(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def _freeze(modules: Iterable[nn.Module]) -> None:
    for module in modules:
        module.requires_grad_(False)
        _freeze_norm(module)  # no more than that: the proposals need training mode to have losses


def _started(loader: DataLoader[Any]) -> Iterator[Batch]:
    """The loader's batches, its processes running with one OpenCV thread each."""
    import cv2

    threads = cv2.getNumThreads()
    # before the fork: a process that inherits a pool of threads waits for them for ever when it ends them
    cv2.setNumThreads(1)
    try:
        return iter(loader)
    finally:
        cv2.setNumThreads(threads)


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


def _readable(losses: dict[str, torch.Tensor]) -> str:
    return ", ".join(f"{name} {value.item():.3g}" for name, value in losses.items())
