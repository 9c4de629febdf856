"""Networks: U-Mamba's, Mamba-UNet and nnU-Net's own, built from plans."""

from umamba.nn.build import build, build_network, input_channels
from umamba.nn.keys import Identified, identify
from umamba.nn.mamba_layer import MambaLayer
from umamba.nn.mamba_unet import MambaUNet
from umamba.nn.network import Network
from umamba.nn.umamba import UMambaBot, UMambaEnc
from umamba.nn.unet import PlainConvUNet, ResidualEncoderUNet
from umamba.nn.weights import fold, load_weights

__all__ = [
    "Identified",
    "MambaLayer",
    "MambaUNet",
    "Network",
    "PlainConvUNet",
    "ResidualEncoderUNet",
    "UMambaBot",
    "UMambaEnc",
    "build",
    "build_network",
    "fold",
    "identify",
    "input_channels",
    "load_weights",
]
