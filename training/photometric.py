"""How a picture is exposed: colours, contrast, sharpness and noise, varied for training."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One way to expose a picture; the defaults leave it as it is."""

    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Of red, green and blue."""
    gamma: float = 1.0
    """Above 1: darker middle tones."""
    bias: float = 0.0
    """Added at the end, of 255."""
    saturation: float = 1.0
    """0 = grey."""
    blur_px: float = 0.0
    """Standard deviation of a Gaussian; 0: none."""
    noise: float = 0.0
    """Standard deviation of the noise added to each channel, of 255."""

    @classmethod
    def random(cls, rng: np.random.Generator) -> Look:
        """From bright noon to a dull evening, from sharp to blurred."""
        gain = float(np.exp(rng.uniform(np.log(0.4), np.log(1.4))))
        red, green, blue = (gain * float(rng.uniform(0.82, 1.18)) for _ in range(3))
        return cls(
            gains=(red, green, blue),
            gamma=float(np.exp(rng.uniform(np.log(0.7), np.log(1.9)))),
            bias=float(rng.uniform(-15.0, 40.0)),
            saturation=float(rng.uniform(0.4, 1.4)),
            blur_px=float(rng.uniform(0.5, 1.4)) if rng.random() < 0.25 else 0.0,
            noise=float(rng.uniform(1.0, 6.0)) if rng.random() < 0.25 else 0.0,
        )

    def a_moment_earlier(self, rng: np.random.Generator) -> Look:
        """The same with the exposure a little off."""
        drift = float(rng.uniform(0.95, 1.05))
        red, green, blue = self.gains
        return replace(self, gains=(red * drift, green * drift, blue * drift))

    def apply(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(H, W, 3) uint8 RGB -> the same, exposed like this; `rng` draws the noise."""
        if self.saturation != 1.0:
            grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
            image = cv2.addWeighted(image, self.saturation, grey, 1.0 - self.saturation, 0.0)
        levels = (np.arange(256) / 255.0) ** self.gamma * 255.0
        table = np.clip(levels[:, None] * self.gains + self.bias, 0, 255).astype(np.uint8)
        image = cv2.LUT(image, table[None])
        if self.blur_px > 0:
            image = cv2.GaussianBlur(image, (0, 0), self.blur_px)
        if self.noise > 0:
            grain = rng.normal(0.0, self.noise, image.shape).astype(np.float32)
            image = np.clip(image + grain, 0, 255).astype(np.uint8)
        return np.asarray(image)
