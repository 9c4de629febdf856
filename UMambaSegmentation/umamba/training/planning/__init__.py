"""Which network, and the plans for it."""
