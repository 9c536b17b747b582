"""A starting point for the autoencoder that is no noise: a linear code, read back as a blurry copy with the right colours.

The encoder starts as a fixed linear code of every 8 x 8 pixels: their mean colour and five differences between their quarters. It
loses nothing that a small network would find in its first hours, and it may stay frozen, so that the flow model and the decoder
train side by side. The decoder starts by interpolating the mean colours; its residual branches start silent and learn the rest.
Two opposite constants in the colours' group keep group norm from removing the mean, and SiLU is passed where it is linear.
"""

import torch
from torch import Tensor, nn

from models.vae.autoencoder_flux2 import AutoencoderFlux2
from models.vae.blocks import AttnBlock, Downsample, ResnetBlock, Upsample

NUM_COLOURS = 3
CONSTANTS = (3, 4)  # channels that hold plus and minus CONSTANT
CONSTANT = 10.0
OFFSET = 5.0  # SiLU is linear up there
NUM_DIFFERENCES = 5
COLOURS = (0, 1, 2)
CODE = (*COLOURS, *range(5, 5 + NUM_DIFFERENCES))  # channels of the encoder that become the latent

LUMINANCE, RED_BLUE = (1 / 3, 1 / 3, 1 / 3), (0.5, 0.0, -0.5)
ACROSS, DOWN, DIAGONAL = ((-1, 1), (-1, 1)), ((-1, -1), (1, 1)), ((1, -1), (-1, 1))
DIFFERENCES = ((LUMINANCE, ACROSS), (LUMINANCE, DOWN), (LUMINANCE, DIAGONAL), (RED_BLUE, ACROSS), (RED_BLUE, DOWN))


@torch.no_grad()
def start_as_blurry_copy(network: AutoencoderFlux2) -> None:
    """Overwrite parameters so that decode_mean(encode_mean(x)) is about x, averaged over 8 x 8 pixels and interpolated.

    The network has four levels of at least 8, 16, 32 and 32 channels, one group a norm, and 8 latent channels.
    """
    for module in network.modules():
        if isinstance(module, ResnetBlock):
            _silence(module.conv2)
            if isinstance(module.get_submodule("nin_shortcut") if hasattr(module, "nin_shortcut") else None, nn.Conv2d):
                _carry(module.nin_shortcut, COLOURS, torch.ones(1, 1))
        elif isinstance(module, AttnBlock):
            _silence(module.proj_out)
        elif isinstance(module, Downsample):
            _carry(module.conv, COLOURS, _corner(((1, 1), (1, 1))))
        elif isinstance(module, Upsample):
            _carry(module.conv, COLOURS, torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16)
    _code(network)
    for conv in (network.encoder.quant_conv, network.decoder.post_quant_conv):
        assert isinstance(conv, nn.Conv2d)
        nn.init.dirac_(conv.weight)
        _silence_bias(conv)
    _carry(network.decoder.conv_in, COLOURS, _centre())
    last = next(
        reversed(
            [
                m
                for m in network.decoder.up.modules()
                if isinstance(m, ResnetBlock) and m.conv2.out_channels == network.params.block_channels[0]
            ]
        )
    )
    network.decoder.conv_out.weight.mul_(0.1)
    _read_out(last, network.decoder.norm_out, network.decoder.conv_out, COLOURS)


def _code(network: AutoencoderFlux2) -> None:
    """Mean colours of 8 x 8 pixels, and differences between the means of their four quarters."""
    encoder = network.encoder
    _carry(encoder.conv_in, COLOURS, _centre())
    last_step = [module for module in encoder.down.modules() if isinstance(module, Downsample)][-1]
    for channel, (weights, signs) in zip(CODE[NUM_COLOURS:], DIFFERENCES, strict=True):
        last_step.conv.weight[channel] = 0.0
        last_step.conv.weight[channel, :NUM_COLOURS] = torch.tensor(weights)[:, None, None] * _corner(signs)
        _bias(last_step.conv)[channel] = 0.0
    widening = [m for m in encoder.down[-1].modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1)]
    _carry(widening[0], CODE, torch.ones(1, 1))
    _read_out(encoder.mid.block_2, encoder.norm_out, encoder.conv_out, CODE)


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias


def _silence_bias(conv: nn.Conv2d) -> None:
    _bias(conv).zero_()


def _silence(conv: nn.Conv2d) -> None:
    conv.weight.zero_()
    _silence_bias(conv)


def _corner(signs: tuple[tuple[int, int], tuple[int, int]]) -> Tensor:
    """A 3 x 3 kernel over the 2 x 2 pixels that a downsampling step replaces."""
    kernel = torch.zeros(3, 3)
    kernel[:2, :2] = torch.tensor(signs) / 4
    return kernel


def _centre() -> Tensor:
    kernel = torch.zeros(3, 3)
    kernel[1, 1] = 1.0
    return kernel


def _carry(conv: nn.Conv2d, channels: tuple[int, ...], kernel: Tensor) -> None:
    """Let each of some channels through by itself, filtered with a kernel; nothing else reaches them, and nothing the constants."""
    for channel in (*channels, *CONSTANTS):
        conv.weight[channel] = 0.0
        _bias(conv)[channel] = 0.0
    for channel in channels:
        conv.weight[channel, channel] = kernel


def _read_out(before: ResnetBlock, norm: nn.GroupNorm, conv: nn.Conv2d, channels: tuple[int, ...]) -> None:
    """Make norm, SiLU and convolution pass some channels: opposite constants rule the deviation and carry the mean away."""
    deviation = CONSTANT * (2 * norm.num_groups / norm.num_channels) ** 0.5
    for channel in channels:
        norm.weight[channel], norm.bias[channel] = deviation, OFFSET
    for channel, constant in zip(CONSTANTS, (CONSTANT, -CONSTANT), strict=True):
        _bias(before.conv2)[channel] = constant
        norm.weight[channel], norm.bias[channel] = deviation, OFFSET - constant
    for out, channel in enumerate(channels):
        conv.weight[out] = 0.0
        conv.weight[out, channel] = _centre()
        for constant_channel in CONSTANTS:
            conv.weight[out, constant_channel] = -_centre() / 2
        _bias(conv)[out] = 0.0
