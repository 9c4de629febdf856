"""Importing what published training code wrote, by clicking through the form; and running what came of it."""

import json
import shutil
import time

import nibabel as nib
import numpy as np
import pytest
import qt
import slicer
import vtk

from section_cases import BUNDLED, PATIENCE_S, drop, keys, pictures

LIVER = ["SCT", "10200004", "Liver"]
KIDNEY = ["SCT", "64033007", "Kidney"]
RIGHT = ["SCT", "24028007", "Right"]
ABDOMEN = [
    "spleen",
    "right_kidney",
    "left_kidney",
    "gall_bladder",
    "esophagus",
    "liver",
    "stomach",
    "aorta",
    "postcava",
    "pancreas",
    "right_adrenal_gland",
    "left_adrenal_gland",
    "duodenum",
    "bladder",
]


@pytest.fixture
def form(panel, oracle, spin):
    """`form(name)`: the panel's form, opened by dropping a results folder on the panel."""

    def open_form(name):
        return opened(panel, spin, oracle / name)

    return open_form


@pytest.fixture
def made_up(panel):
    """`made_up(labels, channels)`: the form for an answer of the engine, without an engine."""
    from UMambaSegmentationLib.panel.import_form import ImportForm

    forms = []

    def make(labels, channels=("CT",), taken=(BUNDLED,)):
        card = {
            "id": "dataset701-abdomenct-3d-fullres",
            "name": "Dataset701_AbdomenCT, 3d_fullres",
            "description": "UMambaBot, current generation, trained on Dataset701_AbdomenCT.",
            "channels": [{"name": name, "description": f"about {name}"} for name in channels],
            "labels": [
                {"value": value, "key": name, "name": name, "color": [value % 256, 7, value // 256]}
                for value, name in enumerate(labels, start=1)
            ],
        }
        found = {"card": card, "notes": ["a note of the engine"]}
        accepted = []
        made = ImportForm(
            panel.ui.importFormPlace,
            found,
            taken,
            accept=accepted.append,
            after=panel.ui.modelFolderButton,
            cancel=lambda: accepted.append(None),
        )
        forms.append(made)
        return made, accepted

    yield make
    for made in forms:
        made.close()


def opened(panel, spin, path):
    """Drop something on the panel and wait for the form."""
    assert drop(panel.ui.UMambaSegmentation, path)
    spin(lambda: panel.ui.modelBusy.visible)
    spin(lambda: not panel.ui.modelBusy.visible, PATIENCE_S)
    assert panel.ui.importFormPlace.visible, panel.ui.modelStatusLabel.text
    return widgets(panel)


def widgets(panel):
    return slicer.util.childWidgetVariables(panel.ui.importFormPlace)


def row(form, index):
    """Colour button, name field and terminology field of a label."""
    return [form.importLabelsTable.cellWidget(index, column) for column in (1, 2, 3)]


def preview(form):
    return [form.importPreviewList.item(index).text() for index in range(form.importPreviewList.count)]


def volume_of(file, volume_from, name):
    """A NIfTI file as a volume node."""
    image = nib.load(file)
    return volume_from(np.asarray(image.dataobj).T, image.affine, name)


def import_and_wait(panel, form, spin):
    form.importAcceptButton.click()
    spin(lambda: not panel.ui.modelBusy.visible, PATIENCE_S)


def test_import_and_run(panel, form, oracle, engine_home, volume_from, spin, monkeypatch, shot, app):
    from UMambaSegmentationLib.panel import dialogs

    f = form("e2e_804")
    assert "PlainConvUNet" in f.importAboutLabel.text
    assert f.importIdEdit.text == "dataset804-oraclect-3d-fullres"
    keys(f.importNameEdit, "\bPhantom of the abdomen")
    assert f.importIdEdit.text == "phantom-of-the-abdomen"
    typed = [("Big liver", "liver"), ("Kidney on the right", "Kidney, right"), ("Clot", ""), ("D", "")]
    for index, (name, words) in enumerate(typed):
        _button, name_field, codes_field = row(f, index)
        keys(name_field, "\b" + name)
        if words:
            keys(codes_field, "\b" + words + "\n")
    monkeypatch.setattr(dialogs, "choose_color", lambda *_: (10, 20, 30))
    row(f, 0)[0].click()
    assert preview(f)[:3] == [
        "Big liver – Liver",
        "Kidney on the right – Kidney, Right",
        "Clot – no terminology entry",
    ]
    pictures(panel, shot, app, "import_form", 1000)
    f.importAcceptButton.click()
    shot("import_running")
    spin(lambda: not panel.ui.modelBusy.visible, PATIENCE_S)

    card = panel.panel.models.card
    assert card.id == "phantom-of-the-abdomen"
    assert not panel.ui.importFormPlace.visible
    assert card.id == panel.panel.services.state.state.model
    stored = json.loads((engine_home / "models" / card.id / "card.json").read_text(encoding="utf-8"))
    labels = stored["labels"]
    assert [label["name"] for label in labels] == ["Big liver", "Kidney on the right", "Clot", "D"]
    assert labels[0]["color"] == [10, 20, 30]
    assert labels[0]["terminology"]["type"] == LIVER
    assert labels[1]["terminology"]["type"] == KIDNEY
    assert labels[1]["terminology"]["modifier"] == RIGHT
    assert labels[2].get("terminology") is None

    volume = volume_of(oracle / "e2e_804" / "input" / "case_a_0000.nii.gz", volume_from, "CT")
    panel.ui.inputSelector.setCurrentNode(volume)
    spin(lambda: panel.ui.segmentButton.enabled, PATIENCE_S)
    panel.ui.segmentButton.click()
    spin(lambda: panel.ui.segmentButton.text == "Segment", PATIENCE_S)
    node = panel.ui.outputSelector.currentNode()
    segmentation = node.GetSegmentation()
    segments = [segmentation.GetSegment(name) for name in segmentation.GetSegmentIDs()]
    assert [segment.GetName() for segment in segments] == ["Big liver", "Kidney on the right", "Clot", "D"]
    assert np.allclose(np.array(segments[0].GetColor()) * 255, (10, 20, 30), atol=0.5)
    entry = vtk.reference("")
    assert segments[1].GetTag(segments[1].GetTerminologyEntryTagName(), entry)
    assert "SCT^64033007^Kidney~SCT^24028007^Right" in str(entry)
    wanted = nib.load(oracle / "e2e_804" / "output" / "case_a_folds01_mirrored.nii.gz")
    wanted = np.asarray(wanted.dataobj).T
    for value, segment_id in enumerate(segmentation.GetSegmentIDs(), start=1):
        got = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, volume) > 0
        assert ((wanted == value) == got).mean() >= 0.9995


def test_regions_of_two_images_from_a_zip(panel, oracle, tmp_path, spin, engine_home, shot, app):
    zipped = shutil.make_archive(str(tmp_path / "results"), "zip", oracle / "e2e_802")
    f = opened(panel, spin, zipped)
    fields = [
        field for field in panel.ui.importFormPlace.findChildren(qt.QLineEdit) if field.text in ("CT", "PET")
    ]
    keys(fields[1], "\bFDG-PET")
    keys(f.importOrientationSelector.lineEdit(), "\blps")
    pictures(panel, shot, app, "import_two_images", 1000)
    import_and_wait(panel, f, spin)
    card = panel.panel.models.card
    assert [channel.name for channel in card.channels] == ["CT", "FDG-PET"]
    assert card.orientation == "LPS"
    assert len(card.labels) == 3
    assert len(panel.panel.inputs.channels.selectors) == 2  # the section Input asks for both images


def test_both_stages_of_a_cascade(panel, form, spin, engine_home):
    import_and_wait(panel, form("e2e_803"), spin)
    assert panel.panel.models.card.id == "dataset803-oraclecascade-3d-cascade-fullres"
    assert len(list((engine_home / "models").glob("dataset803*"))) == 2


def test_cancel_imports_nothing(panel, form, spin, engine_home):
    f = form("e2e_801")
    assert not panel.ui.importModelButton.enabled
    f.importAcceptButton.click()
    assert not f.importNameEdit.isEnabled()  # nothing is changed while it is imported
    panel.ui.modelCancelButton.click()
    assert f.importNameEdit.isEnabled()  # to try it again
    spin(lambda: not panel.panel.services.engine.busy, PATIENCE_S)
    f.importCancelButton.click()
    assert not panel.ui.importFormPlace.visible
    assert panel.ui.importModelButton.enabled
    assert panel.panel.models.card.id == BUNDLED
    assert list((engine_home / "models").glob("[!.]*")) == []


def test_a_cancel_that_comes_too_late_is_told_by_the_list(panel, form, spin, engine_home):
    f = form("e2e_801")
    f.importAcceptButton.click()
    stored = engine_home / "models" / "dataset801-oraclemr-3d-fullres"
    sent = time.monotonic() + 0.02  # Qt writes to the pipe when it handles events
    spin(lambda: time.monotonic() > sent)
    while not stored.is_dir():  # the answer lies in the pipe meanwhile
        assert time.monotonic() < sent + PATIENCE_S
        time.sleep(0.01)
    panel.ui.modelCancelButton.click()
    assert panel.ui.modelStatusLabel.text == "Cancelled."
    spin(lambda: panel.ui.modelSelector.findData(stored.name) > 0, PATIENCE_S)
    assert panel.panel.models.card.id == BUNDLED


@pytest.mark.parametrize("name", ["os_system.pth", "parent_member.zip", "truncated.pth"])
def test_hostile_files_are_one_sentence(panel, oracle, spin, name, tmp_path):
    source = oracle / "malicious" / name
    if source.suffix == ".pth":  # where an import looks for a checkpoint
        shutil.copytree(oracle / "e2e_801", tmp_path / "r")
        (checkpoint,) = (tmp_path / "r").rglob("checkpoint_final.pth")
        checkpoint.unlink()
        shutil.copy(source, checkpoint)
        source = tmp_path / "r"
    panel.panel.models.take(source)
    spin(lambda: not panel.ui.modelBusy.visible, PATIENCE_S)
    said = panel.ui.modelStatusLabel.text
    assert said
    assert "\n" not in said
    assert not panel.ui.importFormPlace.visible


def test_names_colours_and_codes_are_guessed(made_up, panel, shot, app):
    form, _accepted = made_up([*ABDOMEN, "blorp_7"])
    f = widgets(panel)
    shown = preview(f)
    assert shown[0] == "Spleen – Spleen"
    assert shown[1] == "Right kidney – Kidney, Right"
    assert shown[10] == "Right adrenal gland – Adrenal gland, Right"
    assert shown[14] == "Blorp 7 – no terminology entry"
    labels = form.choices()["labels"]
    assert labels[5]["terminology"]["type"] == LIVER
    assert labels[14]["terminology"] is None
    assert len({tuple(label["color"]) for label in labels}) == 15
    assert [label["value"] for label in labels] == list(range(1, 16))
    assert f.importLabelsTable.height < 300  # it scrolls: the panel stays short
    pictures(panel, shot, app, "import_abdomen", 1300)


def test_many_labels_open_at_once(made_up, panel):
    begun = time.monotonic()
    form, _accepted = made_up([f"rib_left_{number}" for number in range(117)])
    seconds = time.monotonic() - begun
    print(f"117 labels: {seconds:.2f} s")
    assert seconds < 3
    assert len({label["name"] for label in form.choices()["labels"]}) == 117


def test_the_list_of_terms_helps_to_type(made_up, panel):
    made_up(["x"])
    _button, _name, codes = row(widgets(panel), 0)
    codes.setFocus()
    keys(codes, "panc")
    completer = codes.completer()
    found = [
        completer.completionModel().index(index, 0).data() for index in range(completer.completionCount())
    ]
    assert "Pancreas" in found
    keys(codes, "\bPancreas\n")
    assert preview(widgets(panel)) == ["X – Pancreas"]


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("importNameEdit", "  ", "Give the model a name"),
        ("importIdEdit", "My Model", "lower-case letters"),
        ("importIdEdit", BUNDLED, "already"),
        ("importOrientationSelector", "RAX", "three letters"),
        ("importOrientationSelector", "RLS", "three letters"),
        ("name", "kidney B", "own name"),
        ("name", "", "Give the label 1 a name"),
        ("codes", "gobbledegook", "terminology has no gobbledegook"),
        ("image", "t2", "input image a name of its own"),
        ("image", "", "input image a name of its own"),
    ],
)
def test_what_is_still_wrong_is_said(made_up, panel, field, typed, said, shot, app):
    form, accepted = made_up(["blorp", "Kidney_B"], channels=("T1", "T2"))
    f = widgets(panel)
    assert f.importAcceptButton.enabled
    assert not f.importProblemLabel.visible
    places = {"name": row(f, 0)[1], "codes": row(f, 0)[2], "image": form._channels[0]}
    widget = places.get(field) or getattr(f, field)
    line = widget.lineEdit() if field == "importOrientationSelector" else widget
    before = line.text
    keys(line, "\b" + (typed or "x"))
    if not typed:
        line.setText("")
        line.textEdited.emit("")
    assert said in f.importProblemLabel.text
    assert not f.importAcceptButton.enabled
    if field == "codes":
        pictures(panel, shot, app, "import_problem", 1000)
    f.importAcceptButton.click()
    assert accepted == []
    line.setText(before)
    if field != "importOrientationSelector":
        line.textEdited.emit(before)
    assert f.importAcceptButton.enabled
    assert not f.importProblemLabel.visible
    f.importAcceptButton.click()
    assert len(accepted) == 1


def test_what_is_accepted(made_up, panel):
    form, accepted = made_up(["liver"], channels=("T1",), taken=["dataset701-abdomenct-3d-fullres"])
    f = widgets(panel)
    assert f.importIdEdit.text == "dataset701-abdomenct-3d-fullres-2"  # the first is taken
    keys(f.importIdEdit, "\bmine")
    keys(f.importNameEdit, "\bÖhr & Söhne (CT)")
    assert f.importIdEdit.text == "mine"  # typed by the person: it follows no longer
    f.importAcceptButton.click()
    (choices,) = accepted
    assert choices == {
        "model": "mine",
        "name": "Öhr & Söhne (CT)",
        "orientation": "native",
        "channels": [{"name": "T1", "description": "about T1"}],
        "labels": form.choices()["labels"],
    }
    assert choices["labels"][0]["terminology"]["type"] == LIVER


def test_a_strangers_labels_are_text(made_up, panel):
    made_up(["<b>bold</b>"], channels=("<img src=x>",))
    f = widgets(panel)
    assert f.importAboutLabel.textFormat == qt.Qt.PlainText
    tip = f.importLabelsTable.item(0, 0).toolTip()
    assert "&lt;b&gt;" in tip
    assert "<b>" not in tip


def test_the_tab_key_goes_through_the_form(made_up, panel):
    form, _accepted = made_up(["liver", "spleen"], channels=("T1", "T2"))
    f = widgets(panel)
    wanted = [panel.ui.modelFolderButton, f.importNameEdit, f.importIdEdit, f.importOrientationSelector]
    wanted += [*form._channels, *row(f, 0), *row(f, 1), f.importCancelButton, f.importAcceptButton]
    order, widget = [], panel.ui.modelFolderButton
    for _ in range(200):
        if widget in wanted:
            order.append(widget)
        widget = widget.nextInFocusChain()
        if widget == panel.ui.modelFolderButton or widget == panel.ui.inputSection:
            break
    assert order == wanted
