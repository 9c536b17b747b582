"""A trained network as a folder in Diffusers' layout, which both our loader and Diffusers read."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from models.checkpoints.autoencoder import save_autoencoder
from models.checkpoints.config import write_object
from models.checkpoints.files import write_tensors
from models.checkpoints.flux2 import save_transformer
from models.training.prompted import PromptedFlow
from models.training.tokenizer import Vocabulary
from models.vae.autoencoder_flux2 import AutoencoderFlux2


@dataclass(frozen=True)
class Defaults:
    """What generation.json says, beside the text's length and layers.

    Attributes:
        num_inference_steps: denoise steps of a request that names none.
        guidance_scale: its guidance.
        side: its width and height, in pixels.
        shift: static shift of the schedule.
    """

    num_inference_steps: int
    guidance_scale: float
    side: int
    shift: float


def text_encoder_config(vocabulary: Vocabulary, *, hidden_size: int, num_layers: int) -> Qwen3Config:
    """Return the sizes of a small Qwen3 over a vocabulary."""
    return Qwen3Config(
        vocab_size=vocabulary.size,
        hidden_size=hidden_size,
        intermediate_size=2 * hidden_size,
        num_hidden_layers=num_layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=hidden_size // 4,
        max_position_embeddings=512,
        initializer_range=0.05,
        tie_word_embeddings=True,
        pad_token_id=vocabulary.pad_id,
    )


def export(
    folder: Path,
    network: PromptedFlow,
    autoencoder: AutoencoderFlux2,
    tokenizer: Path,
    text_config: Qwen3Config,
    num_tokens: int,
    defaults: Defaults,
) -> None:
    """Write the folder anew, weights in bfloat16; what was there goes when the new one is whole."""
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    save_transformer(network.transformer, unfinished / "transformer", torch.bfloat16)
    save_autoencoder(autoencoder, unfinished / "vae", torch.bfloat16)
    _save_text_encoder(network, text_config, unfinished / "text_encoder")
    shutil.copytree(tokenizer, unfinished / "tokenizer")
    write_object(unfinished / "model_index.json", _index())
    write_object(unfinished / "scheduler" / "scheduler_config.json", _scheduler(defaults.shift))
    write_object(unfinished / "generation.json", _generation(network, num_tokens, defaults))
    for kept in (path for path in (folder / "README.md", folder / "samples.png") if path.exists()):
        shutil.copy2(kept, unfinished / kept.name)
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def _save_text_encoder(network: PromptedFlow, config: Qwen3Config, folder: Path) -> None:
    causal = Qwen3ForCausalLM(config)
    causal.model.load_state_dict(network.text_encoder.model.state_dict())
    write_object(
        folder / "config.json", {**config.to_dict(), "architectures": ["Qwen3ForCausalLM"], "dtype": "bfloat16"}
    )
    tied = "lm_head.weight"
    write_tensors(
        folder / "model.safetensors",
        {name: value.to(torch.bfloat16) for name, value in causal.state_dict().items() if name != tied},
    )


def _index() -> dict[str, object]:
    return {
        "_class_name": "Flux2KleinPipeline",
        "is_distilled": False,
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Qwen3ForCausalLM"],
        "tokenizer": ["transformers", "Qwen2TokenizerFast"],
        "transformer": ["diffusers", "Flux2Transformer2DModel"],
        "vae": ["diffusers", "AutoencoderKLFlux2"],
    }


def _scheduler(shift: float) -> dict[str, object]:
    return {
        "_class_name": "FlowMatchEulerDiscreteScheduler",
        "num_train_timesteps": 1000,
        "shift": shift,
        "use_dynamic_shifting": False,
    }


def _generation(network: PromptedFlow, num_tokens: int, defaults: Defaults) -> dict[str, object]:
    return {
        "max_sequence_length": num_tokens,
        "text_encoder_out_layers": list(network.text_encoder.out_layers),
        "num_inference_steps": defaults.num_inference_steps,
        "guidance_scale": defaults.guidance_scale,
        "dtype": "float32",
        "width": defaults.side,
        "height": defaults.side,
    }
