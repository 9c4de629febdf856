"""The scan's memory at the first stage of the published 3D patch: O(L D), never times N."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOKENS, CHANNELS, STATES = 1_720_320, 64, 16
TESTING = Path(__file__).resolve().parents[2]
LIMIT_BYTES = 2_000_000_000  # on top of the inputs
NUMBER_BYTES = 4

# Peak resident memory of a process of its own, before and after; the kernel is compiled before.
MEASURE = f"""
import json, torch
from peers.memory import peak_resident_bytes
from umamba.ops import selective_scan

def scan(tokens):
    u, delta = torch.ones(1, {CHANNELS}, tokens), torch.full((1, {CHANNELS}, tokens), -3.0)
    B, C = torch.ones(1, {STATES}, tokens), torch.ones(1, {STATES}, tokens)
    A = -torch.arange(1, {STATES} + 1.0).repeat({CHANNELS}, 1)
    before = peak_resident_bytes()
    out = selective_scan(u, delta, A, B, C, torch.ones({CHANNELS}), delta_softplus=True)
    after = peak_resident_bytes()
    return after - before, out[0, 0, -1].item(), out.dtype

scan(300)
print(json.dumps(scan({TOKENS})[:2]))
"""


def test_a_whole_patch_is_scanned_within_two_gigabytes() -> None:
    result = subprocess.run(
        [sys.executable, "-c", MEASURE], capture_output=True, text=True, timeout=300, check=True, cwd=TESTING
    )
    used, last = json.loads(result.stdout)
    output_bytes = TOKENS * CHANNELS * NUMBER_BYTES
    assert output_bytes < used < LIMIT_BYTES
    # Long settled: s_n = d / (1 - exp(-n d)), y = sum_n s_n + 1 with d = softplus(-3).
    step = 0.048587351573742
    settled = 1 + sum(step / (1 - 2.718281828459045 ** (-n * step)) for n in range(1, STATES + 1))
    assert last == pytest.approx(settled, rel=1e-4)
