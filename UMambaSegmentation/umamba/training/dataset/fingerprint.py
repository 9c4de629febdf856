"""nnU-Net's fingerprint of a dataset: spacings, sizes, intensities under the labels.

A case is analysed by nnU-Net; its own loop over the cases can neither be stopped nor tells how far it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from umamba.evaluation.workers import run_all
from umamba.events import Monitor
from umamba.training.dataset.raw import Case, RawDataset

STAGE = "fingerprint"
# Voxels that nnU-Net draws, from all cases together and with repetition, for its statistics.
_DRAWS = 100_000_000
# Of a byte of the images' files. A voxel takes a byte or so: toys, of less than a megabyte in all, need not
# be drawn from a thousand times over, which takes seconds and gigabytes.
_DRAWS_OF_A_BYTE = 100
_PERCENTILES = {"percentile_00_5": 0.5, "median": 50.0, "percentile_99_5": 99.5}

Analysis = tuple[tuple[int, ...], list[float], list[np.ndarray], float]


def extract_fingerprint(raw: RawDataset, monitor: Monitor, processes: int) -> dict[str, Any]:
    """The content of dataset_fingerprint.json.

    Args:
        raw: A checked dataset.
        monitor: Is told of each case in the stage "fingerprint", and may cancel.
        processes: Processes to read with; with 1 all is done in this one.
    """
    from nnunetv2.imageio.reader_writer_registry import determine_reader_writer_from_dataset_json

    reader = determine_reader_writer_from_dataset_json(
        raw.description, str(raw.cases[0].images[0]), verbose=False
    )
    samples = draws_of_a_case(raw.cases)
    found: dict[int, Analysis] = {}
    monitor.step(STAGE, 0, len(raw.cases))
    tasks = [(case, reader, samples) for case in raw.cases]
    for number, analysis in run_all(analyse_case, tasks, processes, monitor.check):
        found[number] = analysis
        monitor.step(STAGE, len(found), len(raw.cases))
    cases = [found[number] for number in range(len(raw.cases))]
    return {
        "spacings": [spacing for _, spacing, _, _ in cases],
        "shapes_after_crop": [list(shape) for shape, _, _, _ in cases],
        "foreground_intensity_properties_per_channel": {
            str(channel): _properties(
                np.concatenate([intensities[channel] for _, _, intensities, _ in cases])
            )
            for channel in range(raw.channel_count)
        },
        "median_relative_size_after_cropping": float(np.median([share for _, _, _, share in cases])),
    }


def draws_of_a_case(cases: Sequence[Case]) -> int:
    """nnU-Net's number, the same for every case; fewer for toys."""
    stored_bytes = sum(path.stat().st_size for case in cases for path in case.images)
    return min(_DRAWS, _DRAWS_OF_A_BYTE * stored_bytes) // len(cases)


def analyse_case(case: Case, reader: type, samples: int) -> Analysis:
    """Size after cropping, spacing (z, y, x), each channel's values drawn under the labels, share kept."""
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import (
        DatasetFingerprintExtractor,
    )

    shape, spacing, intensities, _, share = DatasetFingerprintExtractor.analyze_case(
        [str(path) for path in case.images], str(case.label), reader, samples
    )
    drawn = [np.asarray(values, dtype=np.float32) for values in intensities]
    return tuple(int(n) for n in shape), [float(value) for value in spacing], drawn, float(share)


def _properties(intensities: np.ndarray) -> dict[str, float]:
    quantiles = np.percentile(intensities, list(_PERCENTILES.values()))
    return {
        "mean": float(np.mean(intensities)),
        "std": float(np.std(intensities)),
        "min": float(np.min(intensities)),
        "max": float(np.max(intensities)),
        **{name: float(value) for name, value in zip(_PERCENTILES, quantiles, strict=True)},
    }
