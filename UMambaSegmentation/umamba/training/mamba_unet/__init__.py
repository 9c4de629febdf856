"""What a Mamba-UNet's training has of its own."""
