"""nnU-Net's plans.json and dataset.json, read once into typed objects, in both published formats."""

from umamba.plans.architecture import NETWORK_CLASSES, Architecture
from umamba.plans.configuration import Configuration, Resampling
from umamba.plans.dataset import Dataset, parse_dataset
from umamba.plans.jsonfile import load_json, parse_json
from umamba.plans.labels import LabelRules
from umamba.plans.plans import IntensityProperties, Plans, parse_plans

__all__ = [
    "NETWORK_CLASSES",
    "Architecture",
    "Configuration",
    "Dataset",
    "IntensityProperties",
    "LabelRules",
    "Plans",
    "Resampling",
    "load_json",
    "parse_dataset",
    "parse_json",
    "parse_plans",
]
