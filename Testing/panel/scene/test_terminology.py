"""Codes from cards, and guesses at them from the names of labels."""

from __future__ import annotations

import time

import pytest
import slicer

from scene.segment_cases import hippocampus
from UMambaSegmentationLib.scene.terminology import entry, guess


def _meanings(name):
    """(type, modifier, region) of a guess, or None."""
    found = guess(name)
    if found is None:
        return None
    codes = [found.terminology[part] for part in ("type", "modifier", "region")]
    return tuple(code[2] if code else None for code in codes)


def _parsed(text):
    parsed = slicer.vtkSlicerTerminologyEntry()
    assert slicer.modules.terminologies.logic().DeserializeTerminologyEntry(text, parsed)
    assert parsed.IsValid()
    return parsed


@pytest.mark.parametrize(
    ("name", "kind", "modifier"),
    [
        ("liver", "Liver", None),
        ("Spleen", "Spleen", None),
        ("kidney_right", "Kidney", "Right"),
        ("Right kidney", "Kidney", "Right"),
        ("RightKidney", "Kidney", "Right"),
        ("Kidney-L", "Kidney", "Left"),
        ("l_kidney", "Kidney", "Left"),
        ("kidneys", "Kidney", None),
        ("LV", "Left Ventricle", None),
        ("heart_ventricle_right", "Right Ventricle", None),
        ("heart_atrium_left", "Left atrium", None),
        ("IVC", "Inferior vena cava", None),
        ("urinary_bladder", "Bladder", None),
        ("small_bowel", "Small Intestine", None),
        ("gall bladder", "Gallbladder", None),
        ("brainstem", "Brain stem", None),
        ("adrenal_gland_left", "Adrenal gland", "Left"),
        ("Parotid_R", "Parotid gland", "Right"),
        ("caudate", "Caudate nucleus", None),
        ("rib_left_4", "Rib", "Left"),
        ("vertebrae_L1", "Vertebra", None),
        ("lung_upper_lobe_left", "Upper lobe of lung", "Left"),
        ("lung_middle_lobe_right", "Middle lobe of right lung", None),
        ("Anterior hippocampus", "Hippocampus", "Anterior"),
        ("hippocampus_posterior", "Hippocampus", "Posterior"),
        ("pancreas head", "Pancreas", None),
        ("oedema", "Edema", None),
        ("Tumour core", "Neoplasm", None),
    ],
)
def test_names_of_data_sets_are_understood(name, kind, modifier):
    assert _meanings(name) == (kind, modifier, None)


def test_a_lesion_has_its_organ_as_region():
    assert _meanings("liver_tumor") == ("Neoplasm", None, "Liver")
    assert _meanings("kidney_cyst_left") == ("Cyst", "Left", "Kidney")
    assert guess("lung_nodules").terminology["category"][2] == "Morphologically Altered Structure"


@pytest.mark.parametrize(
    "name",
    [
        *("", "foo", "label 3", "left", "anterior", "body", "1", "__"),
        *("portal_vein_and_splenic_vein", "liver vessels", "lesion", "Interior", "myocardium"),
    ],
)
def test_what_fits_nothing_is_not_guessed(name):
    assert guess(name) is None


def test_a_guess_has_words_and_the_recommended_colour():
    right = guess("kidney_right")
    assert (right.name, right.color) == ("Right kidney", (185, 102, 83))
    liver = guess("liver")
    assert (liver.name, liver.color) == ("Liver", (221, 130, 101))
    assert guess("rib_left_4").name == "Rib left 4"
    assert guess("Tumour").name == "Tumour"
    assert guess("hippocampus").color is None


def test_a_guess_has_the_form_of_a_card():
    assert guess("Left kidney").terminology == {
        "category": ["SCT", "123037004", "Anatomical Structure"],
        "type": ["SCT", "64033007", "Kidney"],
        "modifier": ["SCT", "7771000", "Left"],
        "region": None,
    }


def test_a_cards_codes_reach_slicer():
    codes = hippocampus().labels[1].terminology

    parsed = _parsed(entry(codes))

    assert parsed.GetCategoryObject().GetCodeValue() == codes["category"][1]
    assert parsed.GetTypeObject().GetCodeValue() == codes["type"][1]
    assert parsed.GetTypeModifierObject().GetCodeMeaning() == codes["modifier"][2]
    assert not parsed.GetRegionObject().GetCodeValue()


def test_a_region_reaches_slicer():
    parsed = _parsed(entry(guess("liver_tumor").terminology))

    assert parsed.GetTypeObject().GetCodeMeaning() == "Neoplasm"
    assert parsed.GetRegionObject().GetCodeMeaning() == "Liver"
    assert parsed.GetRegionContextName() == "Anatomic codes - DICOM master list"


def test_the_context_is_the_one_that_has_the_type():
    general, dicom = _parsed(entry(guess("liver").terminology)), _parsed(entry(guess("femur").terminology))

    assert "General Anatomy" in general.GetTerminologyContextName()
    assert "DICOM master list" in dicom.GetTerminologyContextName()


def test_a_code_of_no_list_is_kept():
    codes = {"category": ["99X", "1", "Kind"], "type": ["99X", "2", "Thing ~ with ^ signs | in it"]}

    parsed = _parsed(entry(codes))

    assert parsed.GetTypeObject().GetCodeValue() == "2"
    assert parsed.GetTypeObject().GetCodeMeaning() == "Thing with signs in it"


def test_nothing_known_is_a_structure_and_no_tissue():
    parsed = _parsed(entry(None))

    assert parsed.GetTypeObject().GetCodeMeaning() == "Anatomical Structure"
    assert "Tissue" not in entry(None)


def test_guessing_is_quick_once_the_lists_are_read():
    guess("liver")
    start = time.perf_counter()
    for number in range(500):
        guess(f"rib_left_{number}")

    assert time.perf_counter() - start < 1.0
