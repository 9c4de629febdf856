"""Which build of PyTorch to install, from which index, and what it takes. Standard library only.

"cpu" runs on the processor, "cuda" also on NVIDIA cards, "slicer" is the one that Slicer has already.
"""

from __future__ import annotations

from dataclasses import dataclass

INDEX = "https://download.pytorch.org/whl/"
GIGABYTE = 1_000_000_000
# Least driver for CUDA 13, and least compute capability of its builds (Turing) and of Blackwell's.
_CUDA_13_DRIVER = 580
_CUDA_12_DRIVER = 525
_TURING = 7.5
_BLACKWELL = 10.0


@dataclass(frozen=True)
class TorchBuild:
    """A build of PyTorch.

    Attributes:
        name: The last part of its index's address, and what follows "+" in its version.
        bounds: Versions of torch that exist in it; beyond them pip would take another build unasked.
        download_bytes, disk_bytes: About, with everything else that the engine needs.
    """

    name: str
    bounds: str
    download_bytes: int
    disk_bytes: int

    @property
    def index(self) -> str:
        """Address of the index that has it."""
        return INDEX + self.name


# cu126 is the last for cards before Turing and for older drivers, and ends with torch 2.14; cu128 is the last
# for Blackwell under a driver older than CUDA 13's, and ends with torch 2.11.
BUILDS = {
    build.name: build
    for build in (
        TorchBuild("cpu", ">=2.6,<3", int(0.5 * GIGABYTE), int(1.8 * GIGABYTE)),
        TorchBuild("cu126", ">=2.6,<2.15", int(3.2 * GIGABYTE), int(7 * GIGABYTE)),
        TorchBuild("cu128", ">=2.7,<2.12", int(3.6 * GIGABYTE), int(8 * GIGABYTE)),
        TorchBuild("cu130", ">=2.9,<2.16", int(2.6 * GIGABYTE), int(6 * GIGABYTE)),
    )
}
# With torch in Slicer already.
REST_DOWNLOAD_BYTES = int(0.2 * GIGABYTE)
REST_DISK_BYTES = int(0.8 * GIGABYTE)
# Ask the driver for each card's compute capability and its own version, one line a card.
DRIVER_QUESTION = ("nvidia-smi", "--query-gpu=compute_cap,driver_version", "--format=csv,noheader")


def build_for_cards(answer: str) -> TorchBuild | None:
    """The CUDA build for the cards of this computer; None where the driver is too old for any.

    Args:
        answer: What `DRIVER_QUESTION` printed, such as "8.6, 560.35.03".
    """
    cards = []
    for line in answer.splitlines():
        capability, _, version = line.partition(",")
        try:
            cards.append((float(capability), int(version.strip().partition(".")[0])))
        except ValueError:  # "[N/A]" of a card that does not say
            continue
    if not cards or min(driver for _, driver in cards) < _CUDA_12_DRIVER:
        return None
    best = max(capability for capability, _ in cards)
    driver = min(driver for _, driver in cards)
    if driver >= _CUDA_13_DRIVER and best >= _TURING:
        return BUILDS["cu130"]
    return BUILDS["cu128" if best >= _BLACKWELL else "cu126"]


def needed_bytes(build: str) -> tuple[int, int]:
    """About what an installation takes: to download, and then on the disk. "cpu", "cuda" or "slicer"."""
    if build == "slicer":
        return REST_DOWNLOAD_BYTES, REST_DISK_BYTES
    builds = [found for found in BUILDS.values() if (found.name == "cpu") is (build == "cpu")]
    return max(found.download_bytes for found in builds), max(found.disk_bytes for found in builds)


def has_torch(platform: str) -> bool:
    """Whether current builds of PyTorch exist for `sysconfig.get_platform()`: not for Intel Macs."""
    return not (platform.startswith("macosx") and platform.endswith("x86_64"))
