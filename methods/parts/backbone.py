"""Any image network of timm as a feature extractor that takes uint8 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Backbone(nn.Module):
    """A timm network without its classifier: uint8 or float (B, 3, H, W) in [0, 255] -> pooled features (B, num_features).

    name: as timm lists it. pretrained: load weights, from the safetensors file weights_file if given, else from timm's hub.
    image_size: side in pixels, needed by networks that are built for one size. shrink: squares of so many pixels a side are averaged into
    one before the network, which a small budget needs. Raises ValueError for a name that timm does not have, FileNotFoundError where
    weights are absent."""

    mean: Tensor
    std: Tensor

    def __init__(self, name: str, *, pretrained: bool = False, weights_file: str = "", image_size: int = 224, shrink: int = 1) -> None:
        super().__init__()
        self.shrink = shrink
        self.network = _create(name, pretrained, weights_file, image_size // shrink).to(memory_format=torch.channels_last)  # as batches are
        self.num_features: int = getattr(self.network, "head_hidden_size", self.network.num_features)  # mobilenetv3 widens after pooling
        config = self.network.pretrained_cfg
        for key in ("mean", "std"):  # in units of pixel values
            self.register_buffer(key, 255.0 * torch.tensor(config[key]).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        images = images.float()  # first of all: arithmetic on mixed types takes four times as long
        if self.shrink > 1:
            images = functional.avg_pool2d(images, self.shrink)
        features: Tensor = self.network((images - self.mean) / self.std)
        return features


def _create(name: str, pretrained: bool, weights_file: str, image_size: int) -> Any:
    import timm  # seconds to import, and only where a network is built

    if not timm.is_model(name):
        near = timm.list_models(f"*{name.split('.')[0].rstrip('0123456789')}*")[:5] or timm.list_models("resnet*")[:5]
        raise ValueError(f"no backbone {name!r} in timm {timm.__version__}; similar names: {', '.join(near)}")
    options: dict[str, Any] = {"num_classes": 0}
    if timm.models.get_pretrained_cfg(name).fixed_input_size:  # transformers with position embeddings
        options["img_size"] = image_size
    if weights_file:
        if not Path(weights_file).is_file():
            raise FileNotFoundError(f"backbone {name!r}: weights_file {weights_file!r} is absent; give a timm safetensors file")
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": weights_file}}
    elif pretrained:
        options["pretrained"] = True
    try:
        return timm.create_model(name, **options)
    except OSError as error:
        raise FileNotFoundError(
            f"backbone {name!r}: pretrained weights are neither cached nor downloadable; put timm's safetensors file on this machine and "
            f"name it by weights_file, or train from scratch with pretrained=false ({type(error).__name__})"
        ) from error
