"""nnunetv2's own predictor on a results folder with random weights, as published and with float32 sums."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

MIRROR_AXES = {2: (0, 1), 3: (0, 1, 2)}


def make_plans(
    patch: Sequence[int],
    spacing: Sequence[float],
    features: Sequence[int],
    strides: Sequence[Sequence[int]],
    normalization: Sequence[str],
    network: str = "PlainConvUNet",
    transpose: Sequence[int] = (0, 1, 2),
) -> dict[str, Any]:
    """A plans.json of nnunetv2 2.4 or later with one configuration, "2d" or "3d_fullres"."""
    axes = len(patch)
    stages = len(features)
    blocks = "n_conv_per_stage" if network == "PlainConvUNet" else "n_blocks_per_stage"
    resampling = {"order_z": 0, "force_separate_z": None}
    function = "resample_data_or_seg_to_shape"
    configuration = {
        "data_identifier": "x",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(patch),
        "median_image_size_in_voxels": list(patch),
        "spacing": list(spacing),
        "normalization_schemes": list(normalization),
        "use_mask_for_norm": [False] * len(normalization),
        "resampling_fn_data": function,
        "resampling_fn_seg": function,
        "resampling_fn_probabilities": function,
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, **resampling},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, **resampling},
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, **resampling},
        "batch_dice": False,
        "architecture": {
            "network_class_name": f"dynamic_network_architectures.architectures.unet.{network}",
            "arch_kwargs": {
                "n_stages": stages,
                "features_per_stage": list(features),
                "conv_op": f"torch.nn.modules.conv.Conv{axes}d",
                "kernel_sizes": [[3] * axes] * stages,
                "strides": [list(stride) for stride in strides],
                blocks: [2] * stages,
                "n_conv_per_stage_decoder": [2] * (stages - 1),
                "conv_bias": True,
                "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{axes}d",
                "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    backward = [int(axis) for axis in np.argsort(transpose)]
    intensities = {"max": 400.0, "mean": 40.0, "median": 40.0, "min": -1000.0}
    intensities |= {"percentile_00_5": -900.0, "percentile_99_5": 300.0, "std": 250.0}
    properties = {str(channel): intensities for channel in range(len(normalization))}
    return {
        "dataset_name": "Dataset900_Peer",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
        "original_median_shape_after_transp": [64, 64, 64],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": list(transpose),
        "transpose_backward": backward,
        "configurations": {("2d" if axes == 2 else "3d_fullres"): configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": properties,
    }


def make_dataset(channels: Sequence[str], classes: int) -> dict[str, Any]:
    """A dataset.json with `classes` labels, background included."""
    labels = {"background": 0} | {f"structure {value}": value for value in range(1, classes)}
    names = {str(index): name for index, name in enumerate(channels)}
    return {"channel_names": names, "labels": labels, "numTraining": 1, "file_ending": ".nii.gz"}


def write_results_folder(folder: Path, plans: dict[str, Any], dataset: dict[str, Any], seed: int = 0) -> Path:
    """A results folder as nnunetv2 leaves it, its network's weights drawn at random by nnunetv2 itself."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    name = next(iter(plans["configurations"]))
    architecture = plans["configurations"][name]["architecture"]
    torch.manual_seed(seed)
    network = get_network_from_plans(
        architecture["network_class_name"],
        architecture["arch_kwargs"],
        architecture["_kw_requires_import"],
        len(dataset["channel_names"]),
        len(dataset["labels"]),
        deep_supervision=True,
    )
    axes = len(plans["configurations"][name]["patch_size"])
    root = folder / dataset_folder_name(plans) / f"nnUNetTrainer__nnUNetPlans__{name}"
    (root / "fold_0").mkdir(parents=True)
    (root / "plans.json").write_text(json.dumps(plans))
    (root / "dataset.json").write_text(json.dumps(dataset))
    checkpoint = {
        "network_weights": network.state_dict(),
        "optimizer_state": {"state": {}, "param_groups": []},
        "grad_scaler_state": None,
        "logging": {},
        "_best_ema": None,
        "current_epoch": 1,
        "init_args": {"plans": plans, "configuration": name, "fold": 0, "dataset_json": dataset},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": MIRROR_AXES[axes],
    }
    torch.save(checkpoint, root / "fold_0" / "checkpoint_final.pth")
    return root


def dataset_folder_name(plans: dict[str, Any]) -> str:
    """Name of the folder above the trainer's."""
    return str(plans["dataset_name"])


def make_predictor(folder: Path, mirror: bool, float32_sums: bool) -> Any:
    """nnunetv2's predictor on the CPU; its command line is not used (it imports every trainer)."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    base = _float32_predictor(nnUNetPredictor) if float32_sums else nnUNetPredictor
    predictor = base(
        tile_step_size=0.5,
        use_gaussian=True,
        use_mirroring=mirror,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        allow_tqdm=False,
    )
    checkpoint = torch.load(folder / "fold_0" / "checkpoint_final.pth", weights_only=False)
    plans = PlansManager(json.loads((folder / "plans.json").read_text()))
    dataset = json.loads((folder / "dataset.json").read_text())
    configuration = plans.get_configuration(checkpoint["init_args"]["configuration"])
    network = get_network_from_plans(
        configuration.network_arch_class_name,
        configuration.network_arch_init_kwargs,
        configuration.network_arch_init_kwargs_req_import,
        len(dataset["channel_names"]),
        len(dataset["labels"]),
        deep_supervision=False,
    )
    predictor.manual_initialization(
        network,
        plans,
        configuration,
        [checkpoint["network_weights"]],
        dataset,
        "nnUNetTrainer",
        checkpoint["inference_allowed_mirroring_axes"],
    )
    network.load_state_dict(checkpoint["network_weights"])
    return predictor


def predict(predictor: Any, paths: Sequence[Path]) -> np.ndarray:
    """Labels (Z, Y, X) of nnunetv2 for one case, read with its own reader."""
    from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO

    image, properties = SimpleITKIO().read_images([str(path) for path in paths])
    labels: np.ndarray = predictor.predict_single_npy_array(image, properties)
    return labels


def _float32_predictor(base: Any) -> Any:
    """nnunetv2's predictor whose weighted sums are float32 instead of float16."""
    from nnunetv2.inference.sliding_window_prediction import compute_gaussian

    class Float32SumsPredictor(base):  # type: ignore[misc]
        def _internal_predict_sliding_window_return_logits(
            self, data: torch.Tensor, slicers: Sequence[Any], do_on_device: bool = True
        ) -> torch.Tensor:
            sums = torch.zeros((self.label_manager.num_segmentation_heads, *data.shape[1:]))
            total = torch.zeros(data.shape[1:])
            patch = tuple(self.configuration_manager.patch_size)
            weights = compute_gaussian(
                patch, sigma_scale=1.0 / 8, value_scaling_factor=10, device=torch.device("cpu")
            ).float()
            for window in slicers:
                prediction = self._internal_maybe_mirror_and_predict(data[window][None].contiguous())[0]
                sums[window] += prediction * weights
                total[window[1:]] += weights
            return sums / total

    return Float32SumsPredictor


def write_ct_phantom(path: Path, shape: Sequence[int], spacing: Sequence[float], seed: int = 0) -> Path:
    """A CT-like volume: smooth blobs of tissue in air, with noise. Shape (Z, Y, X), spacing x, y, z."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=[max(size // 8, 2) for size in shape]).astype(np.float32)
    factors = [size / small for size, small in zip(shape, coarse.shape, strict=True)]
    smooth = ndimage.zoom(coarse, factors, order=1)[tuple(slice(0, size) for size in shape)]
    pads = [(0, size - have) for size, have in zip(shape, smooth.shape, strict=True)]
    smooth = np.pad(smooth, pads, mode="edge")
    volume = np.clip(smooth * 400 - 200, -1000, 1500) + rng.normal(scale=20, size=shape)
    image = sitk.GetImageFromArray(volume.astype(np.int16))
    image.SetSpacing([float(value) for value in spacing])
    sitk.WriteImage(image, str(path))
    return path
