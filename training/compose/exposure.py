"""How a clip is exposed and stored: light that drifts, noise, compression."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from training.photometric import Look


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """The looks of a clip's frames."""

    looks: tuple[Look, ...]
    jpeg_quality: int
    seed: int
    """Of the noise."""

    @classmethod
    def random(cls, rng: np.random.Generator, num_frames: int, *, hard: bool) -> Exposure:
        """Light that walks at random; `hard`: more of it, more noise, stronger compression."""
        step, noise, worst = (0.035, 5.0, 45) if hard else (0.01, 2.0, 75)
        walk = np.cumsum(rng.normal(0.0, step, num_frames))
        walk = np.clip(walk - walk.mean(), -0.35, 0.35)
        gamma, saturation = float(rng.uniform(0.85, 1.2)), float(rng.uniform(0.8, 1.15))
        level = float(rng.uniform(0.0, noise))
        looks = tuple(
            Look(gains=(gain, gain, gain), gamma=gamma, saturation=saturation, noise=level)
            for gain in np.exp(walk).tolist()
        )
        return cls(looks=looks, jpeg_quality=int(rng.integers(worst, 93)), seed=int(rng.integers(2**31)))

    def apply(self, image: np.ndarray, index: int) -> np.ndarray:
        """(h, w, 3) uint8 RGB -> frame `index` as a camera would store it."""
        exposed = self.looks[index].apply(image, np.random.default_rng((self.seed, index)))
        options = [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality]
        stored, coded = cv2.imencode(".jpg", cv2.cvtColor(exposed, cv2.COLOR_RGB2BGR), options)
        assert stored
        decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        assert decoded is not None
        return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))
