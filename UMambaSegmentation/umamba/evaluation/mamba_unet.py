"""What Mamba-UNet's code and paper compute for a volume: each class in voxels, whatever the spacing.

Dice and HD95 are those of the validation that runs during the training (medpy's: surfaces are the border
voxels, HD95 the 95th percentile of both directions' distances together), with its rule for an empty
prediction: 0 and 0, the best HD95, even if the reference is empty too. A prediction where the reference is
empty ends that validation with an error: HD95 is None here, Dice 0 as in the test script.

The other six stand in the paper's tables, and no published code computes them: they follow the paper's
formulas, None where they divide by 0. ASD is the mean over the border voxels of both masks together.
"""

from __future__ import annotations

from umamba.evaluation.by_label import LabelFinder, Masks, labels_of
from umamba.evaluation.case import LabelMaps
from umamba.evaluation.scores import CaseScores, Scores, Settings
from umamba.evaluation.surfaces import border_voxels, distances

VOXEL_STEPS = (1.0, 1.0, 1.0)
ABSENT: Scores = {
    "Dice": 0.0,
    "IoU": None,
    "accuracy": 1.0,
    "precision": None,
    "sensitivity": None,
    "specificity": 1.0,
    "HD95": 0.0,
    "HD": None,
    "ASD": None,
}


def score_mamba_unet(maps: LabelMaps, settings: Settings) -> CaseScores:
    """All measures of each class.

    Raises:
        InputError: Nameless values by the hundred: an instance map or an image.
    """
    finder = LabelFinder(maps, maps.reference.size)
    labels, unnamed = labels_of(finder.values(), settings)
    rows = {}
    stops = []
    for label in labels:
        masks = finder.masks(label)
        rows[label.name] = dict(ABSENT) if masks is None else _of_masks(masks)
        if rows[label.name]["HD95"] is None:
            stops.append(label.name)
    warning = (
        f"the published validation stops here, so there is no HD95: the reference has no {', '.join(stops)}, "
        "the prediction has"
    )
    return CaseScores(rows, warnings=(warning,) if stops else (), unnamed=unnamed, absent=ABSENT)


def _of_masks(masks: Masks) -> Scores:
    counts = masks.counts()
    scores: Scores = {**ABSENT, **counts.ratios()}
    if not counts.prediction:
        return {**scores, "Dice": 0.0, "HD95": 0.0}
    if not counts.reference:
        return {**scores, "HD95": None}
    found = distances(border_voxels(masks.prediction), border_voxels(masks.reference), VOXEL_STEPS)
    return {
        **scores,
        "HD95": found.hausdorff_95_pooled(),
        "HD": found.hausdorff(),
        "ASD": found.average(),
    }
