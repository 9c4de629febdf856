"""LayerNorm and Mamba over the voxels, or the channels, of a feature map; in inference streamed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from umamba.errors import ModelError
from umamba.nn.lean import is_lean
from umamba.nn.mamba import EXPANSION, Mamba, normalize_tokens, without_autocast

# What the tensors of one piece may take: little beside a feature map, and enough that the calls' own cost
# does not show. A GPU works on all tokens of a piece at once in all but the scan.
PIECE_BYTES = 32 * 2**20
PIECE_BYTES_GPU = 512 * 2**20
_FLOAT_BYTES = 4
_MIN_PIECE = 64
_GPU_ALIGNMENT = 64


class MambaLayer(nn.Module):
    """A feature map (B, C, *S), seen as one sequence of tokens, through LayerNorm and Mamba; float32 out.

    Patch tokens: every voxel is a token of C features, the last axis running fastest.
    Channel tokens: every channel is a token of as many features as the map has voxels, so that the layer
    takes maps of that one size only.
    """

    def __init__(self, features: int, channel_tokens: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.mamba = Mamba(features)
        self.channel_tokens = channel_tokens

    def forward(self, x: Tensor) -> Tensor:
        """Run the layer.

        Raises:
            ModelError: The map's size is not the one that channel tokens need.
        """
        return mamba_over_map(self.norm, self.mamba, x, self.channel_tokens)


def mamba_over_map(norm: nn.LayerNorm, mamba: Mamba, x: Tensor, channel_tokens: bool = False) -> Tensor:
    """LayerNorm and Mamba over (B, C, *S) to (B, C, *S) float32, autocast or not.

    Without gradients the sequence goes through piece by piece: beside input and output, memory does not
    grow with its length.

    Raises:
        ModelError: The map does not have the features that the layer was built for.
    """
    maps = x.flatten(2)
    tokens = maps.transpose(1, 2) if channel_tokens else maps
    if tokens.shape[1] != mamba.features:
        found = "x".join(str(size) for size in x.shape[2:])
        what = f"{tokens.shape[1]} voxels ({found})" if channel_tokens else f"{tokens.shape[1]} channels"
        reason = " (channel tokens tie the network to its own patch size)" if channel_tokens else ""
        raise ModelError(f"a Mamba layer was built for {mamba.features} features, the map has {what}{reason}")
    with without_autocast(x.device):
        if not is_lean(mamba):
            result, _ = mamba.advance(normalize_tokens(norm, tokens))
            return (result.transpose(1, 2) if channel_tokens else result).reshape(x.shape)
        out = torch.empty_like(x, dtype=torch.float32)
        flat = out.flatten(2)
        _stream(norm, mamba, tokens, flat.transpose(1, 2) if channel_tokens else flat)
        return out


def _stream(norm: nn.LayerNorm, mamba: Mamba, tokens: Tensor, out: Tensor) -> None:
    """Run (B, d, L) into `out` of the same shape, carrying the states from piece to piece."""
    batch, _, length = tokens.shape
    piece = piece_length(mamba, batch, tokens.device)
    state = mamba.first_state(batch, tokens.device) if piece < length else None
    for start in range(0, length, piece):
        part = normalize_tokens(norm, tokens[:, :, start : start + piece])
        result, state = mamba.advance(part, state)
        out[:, :, start : start + piece] = result


def piece_length(mamba: Mamba, batch: int, device: torch.device) -> int:
    """How many tokens go through a streamed layer at a time."""
    # The normalised input twice and the output: 3 d. x, z, x convolved, delta and y: 5 E. The small rest.
    floats = 3 * mamba.features + 5 * EXPANSION * mamba.features + mamba.x_proj.out_features
    on_gpu = device.type not in ("cpu", "meta")
    length = (PIECE_BYTES_GPU if on_gpu else PIECE_BYTES) // (_FLOAT_BYTES * floats * batch)
    if on_gpu:  # rows whose length 16 divides can be read in wide, aligned loads
        length -= length % _GPU_ALIGNMENT
    return max(_MIN_PIECE, length)
