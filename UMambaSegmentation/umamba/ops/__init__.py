"""The two operators of a Mamba block, each one public function with several backends behind it.

`selective_scan` is the recurrence of Mamba (Gu and Dao 2023, section 3.2), `causal_conv1d` the short
depthwise convolution before it. `backends()` says what can run here, `chosen()` what `backend="auto"` takes.
"""

from umamba.ops.causal_conv1d import causal_conv1d
from umamba.ops.registry import backends, chosen
from umamba.ops.selective_scan import selective_scan

__all__ = ["backends", "causal_conv1d", "chosen", "selective_scan"]
