"""The plan is true: memory as the operating system counts it, limits kept, lowered when memory runs out."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import umamba
import umamba.events
from peers import nnunet_peer as peer

TESTING = Path(__file__).resolve().parents[2]
# What a process takes beside arrays varies with the allocator; a plan that is this far off would mislead.
LEAST_SHARE, MOST_SHARE = 0.95, 1.35

MEASURE = """
import json, sys
import umamba
from peers.memory import peak_resident_bytes
plans = []
umamba.segment(sys.argv[1], sys.argv[2], device="cpu", mirror=False, on_plan=plans.append)
print(json.dumps([plans[0].peak_ram_bytes, peak_resident_bytes()]))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    strides = ((1, 1, 1), (2, 2, 2), (2, 2, 2))
    plans = peer.make_plans((32, 96, 96), (2.0, 1.5, 1.5), (24, 48, 96), strides, ("CTNormalization",))
    return peer.write_results_folder(tmp_path_factory.mktemp("model"), plans, peer.make_dataset(["CT"], 8))


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "ct.nii.gz"
    return peer.write_ct_phantom(path, (60, 320, 320), (0.6, 0.6, 2.0))


def test_measured_peak_is_as_planned(model: Path, image: Path) -> None:
    command = [sys.executable, "-c", MEASURE, str(image), str(model)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=TESTING)
    assert run.returncode == 0, run.stderr
    planned, measured = json.loads(run.stdout)
    assert LEAST_SHARE * measured <= planned <= MOST_SHARE * measured, (planned / 1e6, measured / 1e6)


def test_too_little_memory_is_refused_with_the_least_figure(model: Path, image: Path) -> None:
    with pytest.raises(umamba.InputError, match=r"needs at least \d+\.\d+ GB"):
        umamba.segment(image, model, device="cpu", max_memory=0.1)


def small_image(tmp_path: Path) -> Path:
    return peer.write_ct_phantom(tmp_path / "small.nii.gz", (10, 20, 20), (1.0, 1.0, 1.0))


def test_folds_go_one_at_a_time_when_the_limit_asks_for_it(tmp_path: Path) -> None:
    image, folder = small_image(tmp_path), copied_folds(tmp_path)
    whole = umamba.plan(image, folder, device="cpu")
    weights = whole.parts["weights"]
    limit = (whole.peak_ram_bytes - weights / 4) / 1e9
    lowered = umamba.plan(image, folder, device="cpu", max_memory=limit)
    assert lowered.one_fold_at_a_time
    assert any("one fold" in note for note in lowered.notes)
    np.testing.assert_array_equal(
        umamba.segment(image, folder, device="cpu", max_memory=limit).labels,
        umamba.segment(image, folder, device="cpu").labels,
    )


def copied_folds(tmp_path: Path) -> Path:
    """A model of two folds with different weights."""
    strides = ((1, 1, 1), (2, 2, 2))
    plans = peer.make_plans((8, 16, 16), (1.0, 1.0, 1.0), (64, 256), strides, ("ZScoreNormalization",))
    dataset = peer.make_dataset(["MR"], 3)
    root = peer.write_results_folder(tmp_path / "a", plans, dataset, seed=1)
    other = peer.write_results_folder(tmp_path / "b", plans, dataset, seed=2)
    (other / "fold_0").rename(root / "fold_1")
    return root


def test_running_out_of_memory_lowers_the_plan_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from umamba.inference.predictor import Ensemble

    image, folder = small_image(tmp_path), copied_folds(tmp_path)
    expected = umamba.segment(image, folder, device="cpu").labels
    predict = Ensemble.predict

    def scarce(self: Ensemble, tile: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
        if not self.one_at_a_time:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ...")
        return predict(self, tile, axes)

    monkeypatch.setattr(Ensemble, "predict", scarce)
    result = umamba.segment(image, folder, device="cpu")
    np.testing.assert_array_equal(result.labels, expected)
    assert any("out of memory" in warning for warning in result.warnings)
    assert result.provenance["plan"]["one_fold_at_a_time"]
    monkeypatch.setattr(Ensemble, "predict", lambda *_: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(umamba.InputError, match="not enough memory"):
        umamba.segment(image, folder, device="cpu")


def test_a_fault_that_is_not_lack_of_memory_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from umamba.inference.predictor import Ensemble

    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("a fault of the network")

    image, folder = small_image(tmp_path), copied_folds(tmp_path)
    monkeypatch.setattr(Ensemble, "predict", broken)
    with pytest.raises(RuntimeError, match="a fault of the network"):
        umamba.segment(image, folder, device="cpu")


def test_progress_counts_up_and_cancel_stops_within_one_tile(model: Path, image: Path) -> None:
    seen: list[umamba.events.Progress] = []

    def stop() -> bool:
        return sum(event.stage == "predict" for event in seen) >= 3

    with pytest.raises(umamba.Cancelled):
        umamba.segment(image, model, device="cpu", mirror=False, progress=seen.append, cancel=stop)
    stages = list(dict.fromkeys(event.stage for event in seen))
    assert stages == ["read", "preprocess", "predict"]
    predicted = [event for event in seen if event.stage == "predict"]
    assert [event.done for event in predicted] == [0, 1, 2]
    assert predicted[-1].seconds_left is not None
