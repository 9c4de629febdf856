"""Networks: U-Mamba's and nnU-Net's own, built from plans."""
