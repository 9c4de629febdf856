"""`umamba convert` as it is typed."""

import json

from published_datasets import acdc_arrays, acdc_challenge


def test_the_way_to_a_dataset(call, tmp_path):
    source, output = acdc_arrays(tmp_path / "ACDC"), tmp_path / "raw"
    made = call("convert", "acdc-h5", source, "-o", output)
    assert made.status == 0
    folder = output / "Dataset502_ACDCh5"
    assert made.out == [
        "4 cases to train on, 2 to validate on, 2 to test on",
        f"wrote {folder}",
        f"next: umamba train {folder} -o FOLDER",
    ]
    assert len(made.err) == 1
    assert "1 x 1 x 10 mm (x, y, z) is written for all cases" in made.err[0]
    assert (folder / "dataset.json").is_file()


def test_options_and_json_for_programs(call, tmp_path):
    source, output = acdc_arrays(tmp_path / "ACDC"), tmp_path / "raw"
    words = ("--spacing", "1.4,1.4,8", "--name", "Dataset777_Hearts", "--lists", source, "--json")
    made = call(*words, "convert", "acdc-h5", source, "-o", output)
    events = [json.loads(line) for line in made.out]
    assert [(e["stage"], e["done"], e["total"]) for e in events[:-1]] == [("convert", n, 8) for n in range(9)]
    result = events[-1]
    assert result["folder"] == str(output / "Dataset777_Hearts")
    assert (result["training"], result["validation"], result["test"]) == (4, 2, 2)
    assert (result["event"], result["warnings"], made.err) == ("result", [], [])


def test_a_wrong_request_is_one_line_and_status_2(call, tmp_path):
    source = acdc_challenge(tmp_path / "database")
    for words, said in {
        ("acdc", source): "-o",
        ("acdc", "-o", tmp_path / "raw"): "SOURCE",
        ("acdc5", source, "-o", tmp_path / "raw"): "choose from",
        ("acdc-h5", source, "-o", tmp_path / "raw"): "is not laid out as acdc-h5",
        ("acdc-h5", source, "-o", tmp_path / "raw", "--spacing", "1,1"): "three lengths X,Y,Z above 0",
        ("acdc-h5", source, "-o", tmp_path / "raw", "--spacing", "1,1,0"): "three lengths X,Y,Z above 0",
    }.items():
        made = call("convert", *words)
        assert (made.status, made.out, len(made.err)) == (2, [], 1), words
        assert said in made.err[0]
        assert not (tmp_path / "raw").exists()
