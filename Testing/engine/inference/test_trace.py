"""The traced cost of a tile against what PyTorch really takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TESTING = Path(__file__).resolve().parents[2]

# The process's real growth differs from the sum of live tensors by the convolution library's own copies
# and by freed memory that the allocator keeps, which is chance: 170 to 231 MB for one and the same network.
LEAST, MOST = 0.7, 1.35

SCRIPT = """
import json, psutil, torch
from peers.memory import peak_resident_bytes
from peers.nnunet_peer import make_plans, make_dataset
from umamba import nn
from umamba.inference.trace import trace_tile
from umamba.plans import parse_plans, parse_dataset
strides = ((1, 1, 1), (2, 2, 2), (2, 2, 2))
plans = make_plans((48, 96, 96), (1, 1, 1), (24, 48, 96), strides, ("CTNormalization",))
configuration = parse_plans(plans).configuration("3d_fullres")
def build():
    return nn.build(configuration, 1, 5, network="{network}", generation="current").eval()
with torch.device("meta"):
    cost = trace_tile(build(), 1, (48, 96, 96))
network = build()
torch.set_num_threads(1)
with torch.inference_mode():
    network(torch.zeros(1, 1, 16, 32, 32) if "{network}" != "UMambaEnc" else torch.zeros(1, 1, 48, 96, 96))
    before = psutil.Process().memory_info().rss
    network(torch.zeros(1, 1, 48, 96, 96))
    peak = peak_resident_bytes()
print(json.dumps([cost.peak_bytes, peak - before, cost.flops, cost.scan_elements]))
"""


@pytest.mark.parametrize("network", ["PlainConvUNet", "UMambaBot", "UMambaEnc"])
def test_peak_of_a_tile_is_as_traced(network: str) -> None:
    script = SCRIPT.format(network=network)
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=TESTING
    )
    traced, measured, flops, elements = json.loads(run.stdout)
    assert LEAST * measured <= traced <= MOST * measured, (traced, measured)
    assert flops > 0
    assert (elements > 0) == network.startswith("UMamba")


def test_a_plan_does_not_load_pytorchs_compiler() -> None:
    """It is a second and 100 MB of each new process, and a network with Mamba has many ways to ask for it."""
    code = (
        "import sys; from umamba import models; from umamba.inference.planner import tile_cost;"
        "tile_cost(models.get('hippocampus-mr')); print('torch._dynamo' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout == "False\n", run.stderr
