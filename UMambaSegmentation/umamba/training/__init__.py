"""Training with nnU-Net's own machinery (the extra `train`): planning, preprocessing, a trainer.

Nothing here is imported by the rest of the engine, and importing this package loads no torch, no nnunetv2.
"""

from umamba.training.folders import TrainingFolders
from umamba.training.schedule import Schedule

__all__ = ["Schedule", "TrainingFolders"]
