"""How a Mamba-UNet is optimised in nnU-Net's pipeline.

nnU-Net's SGD, with a momentum of 0.99 and a rate of 0.01, did not train this network from random weights: it
collapsed to background after 300 steps. AdamW (Loshchilov & Hutter 2019) did, as for VMamba itself.
"""

from __future__ import annotations

import torch
from torch import nn

LEARNING_RATE, WEIGHT_DECAY = 1e-3, 0.01
# VMamba's decay rates, skips and biases of the time steps, which never decay; each has two axes.
_FREE = ("A_logs", "Ds", "dt_projs_bias")


def make_optimizer(network: nn.Module) -> torch.optim.AdamW:
    """AdamW that lets matrices and kernels decay, but neither norms, biases nor the scan's own parameters."""
    decaying: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        keeps = parameter.dim() < 2 or name.rpartition(".")[2] in _FREE
        (free if keeps else decaying).append(parameter)
    groups = [{"params": decaying, "weight_decay": WEIGHT_DECAY}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=LEARNING_RATE)
