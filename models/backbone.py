"""Backbones: one picture in, four feature maps out (C2..C5, strides 4, 8, 16, 32).

Parameter names are those of torchvision, so that its ImageNet files load unchanged.
Legend: `B` pictures, `H W` input size (multiples of 32).
"""

from __future__ import annotations

from typing import Literal

import torchvision
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

BackboneName = Literal["mobilenet_v2", "resnet50"]

BACKBONE_CHANNELS: dict[BackboneName, tuple[int, int, int, int]] = {
    "mobilenet_v2": (24, 32, 96, 320),
    "resnet50": (256, 512, 1024, 2048),
}
"""Channels of C2..C5."""


class MobileNetV2(nn.Module):
    """MobileNetV2 (Sandler et al. 2018) without its last 1x1 layer and classifier."""

    _ends = (3, 6, 13, 17)  # the last block at each stride

    def __init__(self) -> None:
        super().__init__()
        self.features = torchvision.models.mobilenet_v2(weights=None).features[:18]

    def stem(self) -> list[nn.Module]:
        """The layers up to C2."""
        return list(self.features[: self._ends[0] + 1])

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> C2..C5."""
        maps = []
        x = image
        for position, block in enumerate(self.features):
            x = block(x)
            if position in self._ends:
                maps.append(x)
        return tuple(maps)


class ResNet50(nn.Module):
    """ResNet-50 with the stride in the 3x3 layers (He et al. 2016, torchvision's variant)."""

    def __init__(self) -> None:
        super().__init__()
        whole = torchvision.models.resnet50(weights=None)
        self.conv1, self.bn1, self.relu, self.maxpool = whole.conv1, whole.bn1, whole.relu, whole.maxpool
        self.layer1, self.layer2 = whole.layer1, whole.layer2
        self.layer3, self.layer4 = whole.layer3, whole.layer4

    def stem(self) -> list[nn.Module]:
        """The layers up to C2."""
        return [self.conv1, self.bn1, self.layer1]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> C2..C5."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        c2 = self.layer1(x)
        c3 = self.layer2(c2)
        c4 = self.layer3(c3)
        return c2, c3, c4, self.layer4(c4)


def build_backbone(name: BackboneName) -> MobileNetV2 | ResNet50:
    """The backbone of that name, randomly initialised."""
    return MobileNetV2() if name == "mobilenet_v2" else ResNet50()


def fold_norms(module: nn.Module) -> None:
    """Merge, in place, every batch norm that follows a convolution into it; for inference alone.

    A norm follows the convolution that is registered right before it, as in torchvision's backbones.
    """
    previous: tuple[str, nn.Module] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d) and previous and isinstance(previous[1], nn.Conv2d):
            setattr(module, previous[0], fuse_conv_bn_eval(previous[1], child))
            setattr(module, name, nn.Identity())
        fold_norms(child)
        previous = name, child
