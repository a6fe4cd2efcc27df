"""The probability that level and correction make together is the one that was asked for."""

import numpy as np
import pytest

from talon.io.bernoulli import _MOST, _levels


@pytest.mark.parametrize("scale", [1.0, 0.7, 3.0])
@pytest.mark.parametrize("power", [1, 10, -10])
def test_levels_and_corrections_make_the_probability(power: int, scale: float) -> None:
    drawn = np.random.default_rng(power % 7).random(50_000) ** abs(power)
    values = np.concatenate([drawn if power > 0 else 1 - drawn, np.arange(257) / 256, [1e-12, 0.5]])
    levels = _levels(values, scale)
    level = np.where(levels.sure, 1, levels.level.astype(np.float64) / 256)
    turned = -np.expm1(levels.rate.astype(np.float64) / 2.0**32 * -_MOST)
    chance = np.where(levels.adds, level + (1 - level) * turned, level * (1 - turned))
    assert np.abs(chance - np.clip(values * scale, 0, 1)).max() < 2.0**-30
