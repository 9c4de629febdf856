"""One image per channel, on one grid."""

import numpy as np
import pytest
import SimpleITK

from image_builders import nifti_bytes
from umamba.errors import InputError
from umamba.imaging.image import Geometry, Image
from umamba.imaging.read import read_channels, read_image

NAMES = ("T1", "FLAIR")
COLOURS = ("R", "G", "B")
UPRIGHT = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
SHAPE = (4, 3, 2)


def image(value=0, *, spacing=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), direction=UPRIGHT, shape=SHAPE):
    data = (np.arange(np.prod(shape)) + value).reshape(shape).astype(np.float32)
    return Image(data, Geometry(shape[::-1], spacing, origin, direction))


def photograph(tmp_path, *channels, name="a.png"):
    import PIL.Image

    path = tmp_path / name
    PIL.Image.fromarray(np.stack(channels, axis=-1).squeeze().astype(np.uint8)).save(path)
    return path


@pytest.fixture
def files(tmp_path):
    paths = {}
    for value, name in enumerate(NAMES):
        voxels = (np.arange(24) + 100 * value).astype("<i2").reshape(SHAPE)
        paths[name] = tmp_path / f"{name.lower()}.nii"
        paths[name].write_bytes(nifti_bytes(voxels))
    return paths


def firsts(channels):
    return [channel.data[0, 0, 0] for channel in channels]


def test_in_order_and_by_name(files):
    one, two = files["T1"], files["FLAIR"]
    for sources in (
        [one, two],
        (str(one), two),
        [f"FLAIR={two}", f"t1={one}"],
        {"FLAIR": two, "T1": one},
        {"flair": two, "t1": SimpleITK.ReadImage(str(one))},
        [read_image(one)[0], SimpleITK.ReadImage(str(two))],
    ):
        assert firsts(read_channels(sources, NAMES)) == [0, 100]


def test_a_single_channel_needs_no_list(files):
    for source in (
        files["FLAIR"],
        str(files["FLAIR"]),
        read_image(files["FLAIR"])[0],
        f"CT={files['FLAIR']}",
    ):
        assert firsts(read_channels(source, ["CT"])) == [100]


def test_a_path_may_hold_an_equals_sign(tmp_path, files):
    odd = tmp_path / "T3=x.nii"
    files["T1"].rename(odd)
    assert firsts(read_channels([str(odd), files["FLAIR"]], NAMES)) == [0, 100]


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ([], r"channel T1, FLAIR is missing: 0 of 2"),
        (["T1"], r"channel FLAIR is missing: 1 of 2 were given; the model takes 2 channels \(T1, FLAIR\)"),
        (["T1", "FLAIR", "T1"], r"3 images were given, the model takes 2 channels"),
        ({"T1": "T1"}, r"channel FLAIR is missing"),
        ({"T1": "T1", "T2": "FLAIR"}, r"no channel 'T2'; it takes 2 channels \(T1, FLAIR\)"),
        (["T1=T1", "T1=FLAIR"], r"channel T1 is given twice"),
        (["T1=T1", "FLAIR"], r"name all of them or none"),
        (["T2=nowhere", "FLAIR"], r"no channel 'T2'"),
        ([3, 4], r"a int was given"),
    ],
)
def test_wrong_channels(files, sources, message):
    def place(source):
        if not isinstance(source, str):
            return source
        name, found, path = source.rpartition("=")
        return f"{name}{found}{files.get(path, path)}"

    if isinstance(sources, dict):
        sources = {key: place(value) for key, value in sources.items()}
    else:
        sources = [place(source) for source in sources]
    with pytest.raises(InputError, match=message):
        read_channels(sources, NAMES)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"shape": (4, 3, 3)}, r"channel FLAIR has 3 x 3 x 4 voxels, channel T1 2 x 3 x 4"),
        ({"spacing": (1.0, 1.0, 1.01)}, r"channel FLAIR has spacing 1 x 1 x 1\.01 mm, channel T1 1 x 1 x 1"),
    ],
)
def test_channels_on_different_grids_are_refused(other, message):
    with pytest.raises(InputError, match=message):
        read_channels([image(), image(**other)], NAMES)


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"origin": (0.0, 0.0, 0.0005)}, ""),
        ({"origin": (0.0, 0.0, 0.002)}, "origin differ"),
        ({"direction": (-1, 0, 0, 0, -1, 0, 0, 0, 1)}, "direction differ"),
        ({"direction": (-1, 0, 0, 0, -1, 0, 0, 0, 1), "origin": (5.0, 0.0, 0.0)}, "origin and direction"),
        ({"spacing": (1.0, 1.0, 1.00001)}, ""),
    ],
)
def test_channels_that_lie_apart_are_told(other, told):
    channels = read_channels([image(), image(**other)], NAMES)
    assert len(channels[0].warnings) == bool(told)
    assert all(told in line and "channel FLAIR" in line for line in channels[0].warnings)


def test_one_colour_file_fills_three_channels(tmp_path):
    planes = [np.full((4, 5), value) + np.arange(5) for value in (10, 20, 30)]
    channels = read_channels(photograph(tmp_path, *planes), COLOURS)
    assert firsts(channels) == [10, 20, 30]


def test_a_grey_file_is_repeated_where_the_model_allows_it(tmp_path):
    path = photograph(tmp_path, np.arange(20).reshape(4, 5))
    channels = read_channels(path, COLOURS, allow_grey_repeat=True)
    assert len(channels) == 3
    assert all(np.array_equal(channel.data, channels[0].data) for channel in channels)
    with pytest.raises(InputError, match="channel G, B is missing: 1 of 3"):
        read_channels(path, COLOURS)
    with pytest.raises(InputError, match="channel FLAIR is missing"):
        read_channels(path, NAMES, allow_grey_repeat=True)


def test_a_colour_file_for_a_grey_model(tmp_path):
    plane = np.arange(20).reshape(4, 5)
    (channel,) = read_channels(photograph(tmp_path, plane, plane, plane), ["grey"])
    np.testing.assert_array_equal(channel.data[0], plane)
    assert "colours are all equal" in channel.warnings[-1]
    with pytest.raises(InputError, match=r"channel grey: b\.png holds 3 channels .* works on grey images"):
        read_channels(photograph(tmp_path, plane, plane + 1, plane, name="b.png"), ["grey"])
    with pytest.raises(
        InputError, match=r"hold 3 channels, the model takes 2|channel T1: .* holds 3 channels"
    ):
        read_channels(photograph(tmp_path, plane, plane + 1, plane, name="b.png"), NAMES)


def test_colours_of_a_medical_format_are_no_grey(tmp_path):
    vector = SimpleITK.GetImageFromArray(np.zeros((4, 3, 2, 3), np.uint8), isVector=True)
    with pytest.raises(InputError, match="holds 3 channels"):
        read_channels(vector, ["CT"])


def test_images_in_memory_are_checked_too():
    bad = image()
    bad.data[0, 0, 0] = np.nan
    (channel,) = read_channels(bad, ["CT"])
    assert "1 of 24 voxels are not finite" in channel.warnings[0]
    with pytest.raises(InputError, match="its array has shape"):
        read_channels(Image(np.zeros((1, 1, 1)), image().geometry), ["CT"])


def test_a_callers_array_is_not_changed():
    given = image()
    given.data[0, 0, 0] = np.nan
    read_channels(given, ["CT"])
    assert np.isnan(given.data[0, 0, 0])
