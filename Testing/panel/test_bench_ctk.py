"""The stand-ins for CTK's widgets behave as those do, as far as a panel can tell."""

from __future__ import annotations

import ctk
import pytest
import qt


@pytest.mark.parametrize("kind", ["ctkCollapsibleButton", "ctkCollapsibleGroupBox"])
def test_a_section_folds_and_remembers_what_was_hidden(kind: str) -> None:
    section = getattr(ctk, kind)()
    rows = qt.QVBoxLayout(section)
    shown, hidden, later = qt.QLabel("a"), qt.QLabel("b"), qt.QLabel("c")
    for label in (shown, hidden, later):
        rows.addWidget(label)
    hidden.hide()
    later.hide()
    section.show()
    section.collapsed = True
    assert [label.isHidden() for label in (shown, hidden)] == [True, True]
    later.show()
    assert later.isHidden()
    section.collapsed = False
    assert [label.isHidden() for label in (shown, hidden, later)] == [False, True, False]


def test_a_collapsible_button_tells_of_both(heard) -> None:
    button = ctk.ctkCollapsibleButton("Advanced")
    folded, toggled = heard(button, "contentsCollapsed(bool)"), heard(button, "toggled(bool)")
    button.collapsed = True
    button.setChecked(True)
    assert (folded, toggled) == ([True, False], [False, True])
    assert button.text == "Advanced"


def test_a_slider_holds_a_double_within_its_range(heard) -> None:
    slider = ctk.ctkSliderWidget()
    slider.minimum, slider.maximum, slider.singleStep, slider.decimals = 0.1, 1.0, 0.1, 1
    values = heard(slider, "valueChanged(double)")
    slider.value = 0.5
    slider.setValue(7.0)
    assert values == [0.5, 1.0]
    assert slider.value == 1.0
    slider.suffix = " mm"
    assert slider.suffix == " mm"


def test_a_spin_box_has_two_signals_of_one_name(heard) -> None:
    box = ctk.ctkDoubleSpinBox()
    numbers, texts = heard(box, "valueChanged(double)"), heard(box, "valueChanged(QString)")
    box.value = 2.5
    assert numbers == [2.5]
    assert texts == ["2.50"]


def test_a_path_is_told_while_it_is_valid(heard) -> None:
    edit = ctk.ctkPathLineEdit()
    edit.nameFilters = ["Models (*.zip)"]
    paths, valid = heard(edit, "currentPathChanged(QString)"), heard(edit, "validInputChanged(bool)")
    edit.currentPath = "/a/b.zip"
    edit.setCurrentPath("/a/b.txt")
    edit.currentPath = ""
    assert paths == ["/a/b.zip"]
    assert valid == [True, False]
    edit.settingKey = "UMambaSegmentation/Paths"
    edit.currentPath = "/c.zip"
    edit.addCurrentPathToHistory()
    assert qt.QSettings().value("UMambaSegmentation/Paths") in (["/c.zip"], "/c.zip")
    with pytest.raises(RuntimeError, match="dialog"):
        edit.browse()


def test_a_color_is_told_on_change(heard) -> None:
    button = ctk.ctkColorPickerButton()
    colors = heard(button, "colorChanged(QColor)")
    button.color = qt.QColor(255, 0, 0)
    button.setColor(qt.QColor(255, 0, 0))
    assert [color.name() for color in colors] == ["#ff0000"]


def test_items_can_be_checked(heard) -> None:
    box = ctk.ctkCheckableComboBox()
    box.addItems(["a", "b"])
    changes = heard(box, "checkedIndexesChanged()")
    assert box.noneChecked()
    box.setCheckState(box.model().index(1, 0), qt.Qt.Checked)
    assert [index.row() for index in box.checkedIndexes()] == [1]
    assert len(changes) == 1
    assert not box.allChecked()


def test_what_would_wait_for_a_user_fails() -> None:
    box = ctk.ctkMessageBox()
    box.text = "Really?"
    with pytest.raises(RuntimeError, match="Really"):
        box.exec_()
