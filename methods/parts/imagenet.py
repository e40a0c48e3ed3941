"""The classifier that a pretrained network of timm comes with."""

from __future__ import annotations

from typing import Any

from torch import nn


def pretrained_classifier(name: str, weights_file: str = "") -> nn.Linear:
    """The last linear layer of a pretrained network, 1000 outputs for ImageNet: from the safetensors file weights_file if given, else
    from timm's hub. Raises FileNotFoundError where weights are absent, ValueError where the network does not end in a linear layer."""
    import timm  # seconds to import

    options: dict[str, Any] = {"pretrained_cfg_overlay": {"file": weights_file}} if weights_file else {}
    try:
        classifier = timm.create_model(name, pretrained=True, **options).get_classifier()
    except OSError as error:
        raise FileNotFoundError(
            f"backbone {name!r}: pretrained weights are neither cached nor downloadable ({type(error).__name__})"
        ) from error
    if not isinstance(classifier, nn.Linear):
        raise ValueError(f"backbone {name!r} ends in {type(classifier).__name__}; expected a linear classifier")
    return classifier
