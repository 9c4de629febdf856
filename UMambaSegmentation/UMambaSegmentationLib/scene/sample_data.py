"""The volume for a first try, offered in Sample Data: it came with the extension, nothing is fetched."""

from __future__ import annotations

from UMambaSegmentationLib.logs import log
from UMambaSegmentationLib.paths import resources, shared_resources

CATEGORY = "UMambaSegmentation"
SAMPLE_NAME = "MNI152Brain"
NODE_NAME = "MNI152 brain T1"
FILE = "MNI152_T1_1mm/MNI152_T1_1mm.nii.gz"
SHA256 = "421a10e872fd6cadae7f61d358dffbcc1795a497d61ee76c5dda2503e1a1e9e6"
THUMBNAIL = "MNI152Brain.png"


def register() -> bool:
    """Offer the bundled volume in the module Sample Data.

    Returns:
        False where Slicer has no such module or the extension was installed without the file.
    """
    folder = shared_resources("SampleData")
    file = None if folder is None else folder / FILE
    if file is None or not file.is_file():
        log("sample data is not part of this installation")
        return False
    try:
        import SampleData
    except ImportError:
        return False
    SampleData.SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE_NAME,
        uris=file.as_uri(),
        fileNames=file.name,
        nodeNames=NODE_NAME,
        checksums=f"SHA256:{SHA256}",
        thumbnailFileName=str(resources() / "Icons" / THUMBNAIL),
        loadFileType="VolumeFile",
    )
    return True
