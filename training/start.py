"""The network that a training begins with: random, with a known backbone, or with a model's weights."""

from __future__ import annotations

from pathlib import Path

from configs.errors import SettingsError, WeightsError
from configs.schema import Settings
from models.carry_over import carry_over
from models.vpsnet import VPSNet
from models.weights import fill_from_torchvision, load_weights
from stages.network import ROOT, architecture_of


def first_network(settings: Settings, start: Path | None, known: Settings) -> tuple[VPSNet, str]:
    """The network, and a line on where its weights come from.

    `known` are the settings that the weights `start` were made for: `settings`, but for the categories.
    """
    network, options = VPSNet(architecture_of(settings)), settings.train
    if start is not None:
        return network, _carry_over(network, settings, start, known)
    if options.backbone_weights is not None:
        path = ROOT / options.backbone_weights
        if not path.is_file():
            raise SettingsError(
                f"{path}: no such file; set train.backbone_weights to a file that exists, or to null"
            )
        return network, f"{path}: {fill_from_torchvision(network, path).summary()}"
    return network, "random weights"


def _carry_over(network: VPSNet, settings: Settings, start: Path, known: Settings) -> str:
    path = ROOT / start  # an absolute path stays as it is
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file; name one that exists with --from")
    old = VPSNet(architecture_of(known))
    try:
        load_weights(old, path)
    except ValueError as error:
        raise WeightsError(f"{error}; give --from the config.yaml of that model") from error
    old_names, new_names = ([category.name for category in of.categories] for of in (known, settings))
    return f"{start}: {carry_over(old, old_names, network, new_names).summary()}"
