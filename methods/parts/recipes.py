"""How networks are optimised by methods that share the names of their hyper-parameters."""

from __future__ import annotations

from typing import Any


def cosine(method: Any) -> dict[str, Any]:
    """Arguments of a Recipe from a method's own epochs, learning_rate, optimizer, weight_decay and warmup_steps: a rate that falls as a
    cosine, and a momentum of 0.9 under SGD."""
    return {
        "epochs": method.epochs,
        "learning_rate": method.learning_rate,
        "optimizer": method.optimizer,
        "momentum": 0.9 if method.optimizer == "sgd" else 0.0,
        "weight_decay": method.weight_decay,
        "schedule": "cosine",
        "warmup_steps": method.warmup_steps,
    }


def stage(method: Any) -> dict[str, Any]:
    """Arguments of a Recipe for a stage that trains features, from a method's stage_epochs and stage_learning_rate."""
    return {
        "epochs": method.stage_epochs,
        "learning_rate": method.stage_learning_rate,
        "optimizer": "adamw",
        "weight_decay": 0.05,
        "schedule": "cosine",
        "warmup_steps": 20,
    }
