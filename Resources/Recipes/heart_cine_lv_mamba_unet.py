"""heart-cine-lv-mamba-unet: a narrow Mamba-UNet on the data, the split and the steps of heart-cine-lv."""

from __future__ import annotations

from dataclasses import replace

import heart_cine_lv

RECIPE = replace(
    heart_cine_lv.RECIPE,
    network="mamba-unet",
    options=replace(heart_cine_lv.RECIPE.options, base_features=32, most_features=None),
)
