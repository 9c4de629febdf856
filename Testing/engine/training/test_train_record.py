"""What a training notes of itself for a card."""

import json

import torch

from umamba.training import record


def test_a_training_that_goes_on_elsewhere_names_both_machines(tmp_path, monkeypatch):
    device = torch.device("cpu")
    for name in ("first", "second", "first"):
        monkeypatch.setattr(record, "machine", lambda _, name=name: name)
        record.write_record(tmp_path, 250, device)
    assert json.loads((tmp_path / record.RECORD).read_text()) == {
        "steps_per_epoch": 250,
        "machine": "first; second",
    }


def test_a_machine_is_called_by_its_processor_and_not_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(record, "_CPU_INFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text("processor : 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: other\n")
    assert record.machine(torch.device("cpu")) == "CPU: Some CPU @ 2 GHz"
    (tmp_path / "cpuinfo").unlink()
    monkeypatch.setattr("platform.node", lambda: "ward-7")
    assert "ward-7" not in record.machine(torch.device("cpu"))
