"""The optimiser of a training: Muon for the kernels of convolutions, AdamW for all else.

Muon makes the update of a matrix orthogonal. So directions with small gradients are learned, too (Jordan et al. 2024,
"Muon: an optimizer for hidden layers in neural networks"). A kernel is such a matrix: from the cells that it sees to
its output channels. The updates are scaled to the size of AdamW's (Liu et al. 2025, "Muon is scalable for LLM
training", eq. 4), so that one learning rate serves both.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

LEAST_OUTPUTS = 2  # of a layer that Muon trains; the last layer has one, so its kernel is a row


class Optimiser:
    """Muon and AdamW together. The model must already be on its device and in channels-last layout.

    Raises
    ------
    RuntimeError
        If a kernel is not in channels-last layout: an update of its matrix would not reach it.
    """

    def __init__(self, model: nn.Module, lr: float, weight_decay: float):
        self.model = model
        kernels = [
            layer.weight
            for layer in model.modules()
            if isinstance(layer, nn.Conv2d) and layer.kernel_size != (1, 1) and layer.out_channels >= LEAST_OUTPUTS
        ]
        # Muon takes only matrices, so these are views of the kernels' memory as matrices
        self.matrices = [
            (kernel, nn.Parameter(_in_memory_order(kernel.detach()).view(len(kernel), -1))) for kernel in kernels
        ]
        others = [p for p in model.parameters() if not any(p is kernel for kernel in kernels)]
        self.parts: dict[str, torch.optim.Optimizer] = {}
        if self.matrices:
            matrices = [matrix for _, matrix in self.matrices]
            self.parts["muon"] = torch.optim.Muon(matrices, lr, weight_decay, adjust_lr_fn="match_rms_adamw")
        if others:
            self.parts["adamw"] = torch.optim.AdamW(others, lr, weight_decay=weight_decay)

    def set_lr(self, lr: float) -> None:
        """Set the learning rate of the next step."""
        for part in self.parts.values():
            for group in part.param_groups:
                group["lr"] = lr

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.model.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Take one step along the gradients; a parameter without a gradient stays as it is."""
        for kernel, matrix in self.matrices:
            matrix.grad = None if kernel.grad is None else _in_memory_order(kernel.grad).reshape(len(kernel), -1)
        for part in self.parts.values():
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """Give the state for a checkpoint."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to a checkpoint."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])


def _in_memory_order(kernel_OIhw: torch.Tensor) -> torch.Tensor:
    """(O, h, w, I), the order of the memory in channels-last layout."""
    return kernel_OIhw.permute(0, 2, 3, 1)
