"""Networks: U-Mamba's and nnU-Net's own, built from plans."""

from umamba.nn.umamba import UMambaBot, UMambaEnc

__all__ = ["UMambaBot", "UMambaEnc"]
