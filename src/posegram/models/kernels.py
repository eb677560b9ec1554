"""Our own kernels for training on CPUs in bfloat16, put into a network that is built already.

They do what stock torch is slow at there: the backward pass of depthwise convolutions, and batch
norms, which they run together with the activation behind them. Only the classes of a network's
sequences change, so layers, weights and their names stay, and a copy of the network has the kernels
too. Whatever does not fit them (another precision or device, an odd number of channels) is run
by torch as before.

The functions are in kernels.cpp, which is compiled once in each process that trains: a few seconds,
and no file is left behind.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeGuard

import torch
from torch import nn
from torch.autograd.function import once_differentiable

__all__ = ["missing", "quicken"]

_FLAGS = (
    *("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fopenmp", "-fPIC", "-shared"),
    "-Wno-psabi",  # its advice concerns libraries that pass vectors to each other
    "-fno-predictive-commoning",  # it keeps more in registers than there are, and spills the sums
)
_ACTIVATIONS: dict[type | None, int] = {nn.ReLU: 1, nn.ReLU6: 2}  # as in kernels.cpp; none: 0
_CHANNELS = 8  # their number must be a multiple of this
_KERNELS, _STRIDES = (3, 5), (1, 2)


def missing() -> str:
    """Why the kernels cannot run on this machine, half a sentence; empty where they can."""
    return _built()[1]


def quicken(network: nn.Module) -> None:
    """Let a network's sequences use the kernels wherever they fit; see `missing` first."""
    for part in network.modules():
        if type(part) is nn.Sequential:
            part.__class__ = _Quick


@cache
def _built() -> tuple[Any, str]:
    """The compiled library and nothing, or nothing and why not."""
    compiler = _compiler()
    if not compiler:
        return None, "there is no C++ compiler (c++ or g++)"
    source = Path(__file__).with_suffix(".cpp")
    try:
        # not cached: what is made for this very CPU may crash on the next one of a shared disk
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            library = Path(folder) / "kernels.so"
            command = [*compiler, *_FLAGS, str(source), "-o", str(library)]
            subprocess.run(command, check=True, capture_output=True)
            return ctypes.CDLL(str(library)), ""
    except subprocess.CalledProcessError:
        return None, f"{' '.join(compiler)} does not compile them"
    except OSError as fault:
        return None, f"what {' '.join(compiler)} makes of them does not load ({fault})"


def _compiler() -> list[str]:
    """The command of the C++ compiler: that of the variable CXX, c++ or g++; none: empty."""
    named = shlex.split(os.environ.get("CXX", ""))
    found = (path for path in map(shutil.which, ("c++", "g++")) if path)
    return named or [*found][:1]


def _call(name: str, *values: torch.Tensor | int) -> None:
    """Run a function of kernels.cpp: arrays go as addresses, numbers as they are."""
    getattr(_built()[0], name)(
        *(
            ctypes.c_void_p(v.data_ptr()) if isinstance(v, torch.Tensor) else ctypes.c_int64(v)
            for v in values
        )
    )


def _rows(x: torch.Tensor) -> tuple[int, int, int]:
    """Places and channels of (B, C, H, W), and how many threads torch may use."""
    return x.numel() // x.shape[1], x.shape[1], torch.get_num_threads()


def _ours(x: torch.Tensor) -> torch.Tensor:
    """The same (B, C, H, W) as the kernels read it: bfloat16, the channels next to each other."""
    return x.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)


def _fit(x: torch.Tensor) -> bool:
    """Whether the kernels take a layer's input."""
    known = x.dtype == torch.bfloat16 and x.device.type == "cpu" and x.dim() == 4
    return known and x.numel() > x.shape[1] > 0 and x.shape[1] % _CHANNELS == 0


class _Quick(nn.Sequential):
    """A sequence of layers that gives those that fit to the kernels."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """What the layers make of (B, C, H, W), one after the other."""
        rest = list(self)
        while rest:
            layer = rest.pop(0)
            if _fit(x) and _is_norm(layer):
                activation = _ACTIVATIONS.get(type(rest[0]) if rest else None, 0)
                if activation:
                    rest.pop(0)
                x = _normalised(layer, x, activation)
            elif _fit(x) and _is_depthwise(layer) and _learns(layer, x):
                x = _Depthwise.apply(x, layer.weight, layer.stride[0])  # type: ignore[no-untyped-call]
            else:
                x = layer(x)
        return x


def _learns(layer: nn.Conv2d, x: torch.Tensor) -> bool:
    """Whether a backward pass will come; the forward pass alone is torch's."""
    return torch.is_grad_enabled() and (x.requires_grad or layer.weight.requires_grad)


# depthwise convolution


def _is_depthwise(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether the kernels know a layer's gradients: depthwise, square, padded by kernel // 2."""
    if not isinstance(layer, nn.Conv2d):
        return False
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    return (
        layer.groups == layer.in_channels == layer.out_channels
        and layer.bias is None
        and layer.weight.dtype == torch.float32
        and kernel in _KERNELS
        and stride in _STRIDES
        and (layer.kernel_size, layer.stride) == ((kernel, kernel), (stride, stride))
        and (layer.padding, layer.dilation) == ((kernel // 2, kernel // 2), (1, 1))
        and layer.padding_mode == "zeros"
    )


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution, forward by torch and backward by us."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, stride: int) -> torch.Tensor:
        """(B, C, H, W) and weights (C, 1, k, k) -> (B, C, H / stride, W / stride)."""
        x, half = _ours(x), weight.to(torch.bfloat16)
        ctx.save_for_backward(x, half)
        ctx.stride = stride
        return nn.functional.conv2d(x, half, None, stride, half.shape[2] // 2, groups=half.shape[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of x (B, C, H, W) and of the weights (C, 1, k, k)."""
        x, half = ctx.saved_tensors
        channels, _, kernel, _ = half.shape
        taps = half.float().reshape(channels, kernel * kernel).t().contiguous()
        by_tap, by_place = torch.zeros_like(taps), torch.empty_like(x)
        batch, _, height, width = x.shape
        _call(
            *("depthwise_gradients", x, _ours(gradient), taps, by_place, by_tap),
            *(batch, channels, height, width, kernel, ctx.stride, torch.get_num_threads()),
        )
        return by_place, by_tap.t().reshape(half.shape), None


# batch norm and activation


class _How(NamedTuple):
    """What a norm does beside its numbers."""

    activation: int
    held: bool  # the statistics do not come from this batch, so nothing flows back through them


def _is_norm(layer: nn.Module) -> TypeGuard[nn.BatchNorm2d]:
    """Whether the kernels know a layer: a batch norm with weights and running statistics."""
    return (
        type(layer) is nn.BatchNorm2d
        and layer.affine
        and layer.track_running_stats
        and layer.momentum is not None
        and layer.weight.dtype == torch.float32
    )


def _normalised(layer: nn.BatchNorm2d, x: torch.Tensor, activation: int) -> torch.Tensor:
    """What a batch norm and the activation behind it make of (B, C, H, W)."""
    x = _ours(x)
    mean, variance = _measured(layer, x) if layer.training else _kept(layer)
    moments = torch.stack([mean, (variance + layer.eps).rsqrt()])
    how = _How(activation, held=not layer.training)
    y: torch.Tensor = _Norm.apply(x, layer.weight, layer.bias, moments, how)  # type: ignore[no-untyped-call]
    return y


def _kept(layer: nn.BatchNorm2d) -> tuple[torch.Tensor, torch.Tensor]:
    """The running mean and variance, each (C,)."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    return layer.running_mean, layer.running_var


@torch.no_grad()
def _measured(layer: nn.BatchNorm2d, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of (B, C, H, W), each (C,); the running ones move towards them."""
    places, channels, threads = _rows(x)
    sums = torch.zeros(2, channels, dtype=torch.float64)
    _call("moments", x, sums[0], sums[1], places, channels, threads)
    mean, square = sums / places
    variance = (square - mean**2).clamp(min=0)
    running_mean, running_variance = _kept(layer)
    assert layer.momentum is not None
    running_mean.lerp_(mean.float(), layer.momentum)
    # the unbiased one, as torch keeps it
    running_variance.lerp_((variance * (places / (places - 1))).float(), layer.momentum)
    assert layer.num_batches_tracked is not None
    layer.num_batches_tracked.add_(1)
    return mean.float(), variance.float()


class _Norm(torch.autograd.Function):
    """activation(weight * (x - mean) * inverse + bias), inverse being 1 / standard deviation."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        moments: torch.Tensor,
        how: _How,
    ) -> torch.Tensor:
        """(B, C, H, W), weight and bias (C,), mean and inverse (2, C) -> (B, C, H, W)."""
        mean, inverse = moments
        scale = weight * inverse
        shift = bias - mean * scale
        y = torch.empty_like(x)
        _call("scale_and_clip", x, scale, shift, y, how.activation, *_rows(x))
        ctx.save_for_backward(x, mean, inverse, scale, shift)
        ctx.how = how
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of x (B, C, H, W), weight and bias (C,)."""
        x, mean, inverse, scale, shift = ctx.saved_tensors
        gradient, rows = _ours(gradient), _rows(x)
        sums = torch.zeros(2, len(mean), dtype=torch.float64)
        if not ctx.how.held or any(ctx.needs_input_grad[1:3]):
            _call(
                *("gradient_sums", x, gradient, mean, scale, shift, sums[0], sums[1]),
                *(ctx.how.activation, *rows),
            )
        by_bias, product = sums.float()
        by_weight = product * inverse
        # what x does to the batch's own mean and variance comes back, too
        held = 0.0 if ctx.how.held else 1.0 / rows[0]
        slope = held * scale * inverse * by_weight
        offset = slope * mean - held * scale * by_bias
        by_x = torch.empty_like(x)
        _call(
            *("input_gradient", x, gradient, scale, shift, slope, offset, by_x),
            *(ctx.how.activation, *rows),
        )
        return by_x, by_weight, by_bias, None, None
