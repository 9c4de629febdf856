"""The published conventions against the figures that the published scripts gave (the oracle)."""

import json

import numpy as np
import pytest

from umamba.evaluation.api import evaluate
from umamba.evaluation.surfaces import border_voxels, distances

# The scripts round to four digits; a half may fall to either side.
ROUNDED = 1e-4
# Sums in another order.
EXACT = 1e-9
SINGLE = 1e-6

ABDOMEN = (
    *(
        "shifted",
        "perfect",
        "one_organ_missing_each_way",
        "empty_prediction",
        "empty_reference",
        "both_empty",
    ),
    "aorta_one_slice_ivc_two_slices",
)
# The scripts' names of the organs, in the order of their values.
ORGANS = {
    "Liver": "liver",
    "RK": "right kidney",
    "Spleen": "spleen",
    "Pancreas": "pancreas",
    "Aorta": "aorta",
    "IVC": "inferior vena cava",
    "RAG": "right adrenal gland",
    "LAG": "left adrenal gland",
    "Gallbladder": "gallbladder",
    "Esophagus": "esophagus",
    "Stomach": "stomach",
    "Duodenum": "duodenum",
    "LK": "left kidney",
}
ENDOSCOPY = (
    *("shifted", "perfect", "extra_label_in_prediction", "missing_label_in_prediction", "empty_prediction"),
    *("empty_reference", "reference_without_background", "both_empty"),
)
CELLS = (
    *("shift_2", "shift_4", "perfect", "empty_prediction", "empty_reference", "both_empty"),
    *("iou_exactly_half", "touching_merge", "diagonal_touch", "only_border_cells"),
)
MAMBA_UNET = (
    *("shifted", "perfect", "with_far_voxel", "pred_empty", "gt_empty", "both_empty", "touching_border"),
    *("single_voxels", "noise", "pred_all", "pred_missing_slices", "disjoint"),
)
PAPER = {
    "IoU": "iou",
    "accuracy": "accuracy",
    "precision": "precision",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "HD": "hd",
    "ASD": "asd_both_pooled",
}


def case_of(folder, name):
    cases = json.loads((folder / "manifest.json").read_text())["cases"]
    (found,) = [case for case in cases if case["name"] == name]
    return found, np.load(folder / found["file"])


def value_of(published):
    """What a script that stops gives: nothing."""
    return None if isinstance(published, str) else published


def same(found, expected, tolerance):
    if expected is None:
        return found is None
    return found is not None and abs(found - expected) <= tolerance


@pytest.mark.parametrize("name", ABDOMEN)
def test_abdomen(desk, oracle, name):
    expected, arrays = case_of(oracle / "metrics" / "umamba-abdomen", name)
    volumes = [arrays[key].transpose(2, 1, 0) for key in ("reference", "prediction")]
    desk.put("case.nii.gz", *volumes, spacing=expected["spacing"])
    done = evaluate(desk.reference, desk.prediction, convention="umamba-abdomen")
    (case,) = done.cases
    assert list(case.rows) == list(ORGANS.values())
    for organ, figures in expected["per_organ"].items():
        row = case.rows[ORGANS[organ]]
        assert same(row["Dice"], value_of(figures["DSC"]), ROUNDED), organ
        assert same(row["NSD"], value_of(figures["NSD"]), ROUNDED), organ
        assert done.labels[ORGANS[organ]] == {
            "values": [figures["label"]],
            "tolerance": figures["tolerance_mm"],
        }
    for figures in (case.own, done.mean):
        assert same(figures["Dice"], expected["case_average"]["DSC"], ROUNDED)
        assert same(figures["NSD"], expected["case_average"]["NSD"], ROUNDED)
    assert any("script stops" in line for line in done.warnings) == ("one_slice" in name)


@pytest.mark.parametrize("name", ["shifted", "one_organ_missing_each_way", "aorta_one_slice_ivc_two_slices"])
def test_the_default_convention_has_surface_distances_figures(desk, oracle, name):
    """Those of whole volumes: DeepMind's surface-distance, without the scripts' own rules."""
    expected, arrays = case_of(oracle / "metrics" / "umamba-abdomen", name)
    volumes = [arrays[key].transpose(2, 1, 0) for key in ("reference", "prediction")]
    desk.put("case.nii.gz", *volumes, spacing=expected["spacing"])
    organs = [figures for figures in expected["per_organ"].values() if "nsd_whole_volume" in figures]
    tolerances = {str(figures["label"]): figures["tolerance_mm"] for figures in organs}
    (case,) = evaluate(desk.reference, desk.prediction, tolerance_mm=tolerances).cases
    for figures in organs:
        row = case.rows[str(figures["label"])]
        # NIfTI holds the spacing in single precision.
        assert same(row["Dice"], figures["dsc_whole_volume"], EXACT)
        assert same(row["NSD"], figures["nsd_whole_volume"], SINGLE)
        assert same(row["HD95"], figures["hd95_whole_volume"], SINGLE)
        low, high = sorted(figures["average_surface_distances"])
        assert low - SINGLE <= row["ASD"] <= high + SINGLE


@pytest.mark.parametrize("name", ["shifted", "with_far_voxel", "touching_border", "pred_missing_slices"])
def test_border_voxels_in_millimetres_are_medpys(oracle, name):
    """As the authors' sister repository for scribbles measures: HD95 pooled, ASD one way."""
    folder = oracle / "metrics" / "mamba-unet"
    expected = json.loads((folder / "results.json").read_text())
    masks = np.load(folder / "masks.npz")
    surfaces = [border_voxels(masks[f"{name}.{side}"]) for side in ("pred", "gt")]
    found = distances(*surfaces, tuple(expected["spacing_weak"]))
    _, hd95, asd = expected["cases"][name]["weak_variant"]
    assert same(found.hausdorff_95_pooled(), hd95, EXACT)
    assert same(float(found.there.mean()), asd, EXACT)


@pytest.mark.parametrize("name", ENDOSCOPY)
def test_endoscopy(desk, oracle, name):
    expected, arrays = case_of(oracle / "metrics" / "umamba-endoscopy", name)
    desk.put("frame.png", arrays["reference"], arrays["prediction"])
    done = evaluate(desk.reference, desk.prediction, convention="umamba-endoscopy")
    for figures in (done.cases[0].own, done.mean):
        assert same(figures["Dice"], value_of(expected["DSC"]), ROUNDED)
        assert same(figures["NSD"], value_of(expected["NSD"]), ROUNDED)
    assert any("script stops" in line for line in done.warnings) == (name == "both_empty")


@pytest.mark.parametrize("name", CELLS)
def test_cells(desk, oracle, name):
    expected, arrays = case_of(oracle / "metrics" / "umamba-cells", name)
    desk.put("image_label.tiff", arrays["reference_instances"], None)
    desk.put("image.png", None, arrays["prediction_classes"])
    both = evaluate(desk.reference, desk.prediction, convention="umamba-cells", iou=(0.5, 0.7))
    with_border = evaluate(desk.reference, desk.prediction, convention="umamba-cells", border=0)
    for done, threshold, key in (
        (both, "0.5", "threshold_0.5"),
        (both, "0.7", "threshold_0.7"),
        (with_border, "0.5", "threshold_0.5_border_cells_counted"),
    ):
        figures, (case,) = expected[key], done.cases
        row = case.rows[threshold]
        assert (row["TP"], row["FN"], row["FP"]) == (
            figures["correct_num(TP)"],
            figures["missed_num(FN)"],
            figures["wrong_num(FP)"],
        )
        for measure in ("F1", "precision", "recall"):
            assert same(row[measure], figures[measure], ROUNDED)
        assert same(case.own["Dice"], figures["dice"], ROUNDED)


def test_large_images_are_scored_in_squares(desk, monkeypatch, oracle):
    """The same cells in a smaller square: those on the seams are left out on both sides."""
    from umamba.evaluation import umamba_cells

    _, arrays = case_of(oracle / "metrics" / "umamba-cells", "perfect")
    reference = arrays["reference_instances"]
    rows, columns = reference.shape
    monkeypatch.setattr(umamba_cells, "LARGEST_WHOLE_IMAGE", reference.size)
    monkeypatch.setattr(umamba_cells, "TILE_PX", columns // 2)
    desk.put("image_label.tiff", reference, None)
    desk.put("image.png", None, arrays["prediction_classes"])
    row = evaluate(desk.reference, desk.prediction, convention="umamba-cells").cases[0].rows["0.5"]
    inside = 0
    for top in range(0, rows, columns // 2):
        for left in (0, columns // 2):
            # Beyond the image's own edge a square is filled up, so no cell touches its end there.
            tile = np.zeros((columns // 2, columns // 2), dtype=reference.dtype)
            part = reference[top : top + columns // 2, left : left + columns // 2]
            tile[: part.shape[0], : part.shape[1]] = part
            edge = tile.copy()
            edge[2:-2, 2:-2] = 0
            inside += len(set(np.unique(tile)) - set(np.unique(edge)) - {0})
    assert inside > 0
    assert (row["TP"], row["FP"], row["FN"]) == (inside, 0, 0)


@pytest.mark.parametrize("name", MAMBA_UNET)
def test_mamba_unet(desk, oracle, name):
    folder = oracle / "metrics" / "mamba-unet"
    expected = json.loads((folder / "results.json").read_text())["cases"][name]
    masks = np.load(folder / "masks.npz")
    volumes = [masks[f"{name}.{side}"].astype(np.uint8) for side in ("gt", "pred")]
    (desk.reference / "dataset.json").write_text('{"labels": {"background": 0, "ventricle": 1}}')
    desk.put("case.nii.gz", *volumes, spacing=(1.25, 1.5625, 10.0))
    done = evaluate(desk.reference, desk.prediction, convention="mamba-unet")
    row = done.cases[0].rows["ventricle"]
    stops = isinstance(expected["validation"], dict)
    dice, hd95 = (expected["test"], None) if stops else expected["validation"]
    assert same(row["Dice"], dice, EXACT)
    assert same(row["HD95"], hd95, EXACT)
    for ours, theirs in PAPER.items():
        assert same(row[ours], expected["paper"].get(theirs), EXACT), ours
    assert any("validation stops" in line for line in done.warnings) == stops


def test_mamba_unet_cohort(desk, oracle):
    folder = oracle / "metrics" / "mamba-unet-cohort"
    expected = json.loads((folder / "results.json").read_text())
    arrays = np.load(folder / "cases.npz")
    for number in range(3):
        desk.put(f"case{number}.nrrd", arrays[f"case{number}.gt"], arrays[f"case{number}.pred"])
    done = evaluate(desk.reference, desk.prediction, convention="mamba-unet")
    for case, classes in zip(done.cases, expected["per_case"], strict=True):
        for label, (dice, hd95) in enumerate(classes, start=1):
            assert same(case.rows[str(label)]["Dice"], dice, EXACT)
            assert same(case.rows[str(label)]["HD95"], hd95, EXACT)
    for label, (dice, hd95) in enumerate(expected["per_class"], start=1):
        assert same(done.mean["labels"][str(label)]["Dice"], dice, EXACT)
        assert same(done.mean["labels"][str(label)]["HD95"], hd95, EXACT)
    assert same(done.mean["Dice"], expected["performance"], EXACT)
    assert same(done.mean["HD95"], expected["mean_hd95"], EXACT)
