"""How a picture was made, as text: the `parameters` that tools read from Stable Diffusion's pictures, and the same as JSON.

`parameters` is AUTOMATIC1111's form: the prompt, a line with the negative prompt, and a last line of `Name: value` pairs. Nothing but what
the request asked for is in it: no account, no key, no address, no picture.
"""

import json
import unicodedata
from dataclasses import dataclass
from typing import Final

from app.core.spec import GenerationSpec
from workers.provenance.software import NAME
from workers.provenance.text_chunks import exif_data

_PNG_UNITS: Final = 100_000
"""UTF-16 units of a prompt: readers take a mebibyte of text in a chunk, and a unit is up to three bytes of UTF-8."""
_EXIF_UNITS: Final = 12_000
"""Of a prompt: EXIF data of a JPEG has 65,533 bytes in all, and holds two prompts of two bytes a unit."""
_DESCRIPTION_UNITS: Final = 2_000
_KEPT_CONTROLS: Final = "\n\t"
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True)
class GenerationData:
    """What one picture says of how it was made, in the forms that files take."""

    spec: GenerationSpec
    version: str

    def png_texts(self) -> dict[str, str]:
        """Text chunks by keyword."""
        return {
            "parameters": parameters(self.spec, self.version, _PNG_UNITS),
            "darkroom": as_json(self.spec, self.version, _PNG_UNITS),
        }

    def exif(self) -> bytes:
        """EXIF data for Pillow's `exif`."""
        comment = parameters(self.spec, self.version, _EXIF_UNITS)
        description = printable(self.spec.prompt, _DESCRIPTION_UNITS)
        return exif_data(comment, description, f"{NAME} {self.version}")


def parameters(spec: GenerationSpec, version: str, max_units: int) -> str:
    """As AUTOMATIC1111 writes it, each prompt cut to max_units UTF-16 units."""
    lines = [printable(spec.prompt, max_units)]
    if spec.negative_prompt:
        lines.append(f"Negative prompt: {printable(spec.negative_prompt, max_units)}")
    pairs = ((name, value) for name, value in _pairs(spec, version).items() if value is not None)
    lines.append(", ".join(f"{name}: {_quoted(str(value))}" for name, value in pairs))
    return "\n".join(lines)


def as_json(spec: GenerationSpec, version: str, max_units: int) -> str:
    """The same under the names of our own API; what the request left open is left out."""
    values = {
        "generator": NAME,
        "version": version,
        "model": spec.model,
        "network": spec.network,
        "prompt": printable(spec.prompt, max_units),
        "negative_prompt": None if spec.negative_prompt is None else printable(spec.negative_prompt, max_units),
        "true_cfg_scale": spec.true_cfg_scale if spec.true_cfg_scale > 1 else None,
        **{name: getattr(spec, name) for name in ("seed", "width", "height", "steps", "guidance")},
        **{name: getattr(spec, name) for name in ("sampler", "schedule", "eta", "strength")},
    }
    return json.dumps({name: value for name, value in values.items() if value is not None}, ensure_ascii=False)


def printable(text: str, max_units: int) -> str:
    """Text that every file format and reader takes: no control characters beside line ends and tabs, no halves of characters, and at
    most so many UTF-16 units."""
    lines = text.replace("\r\n", "\n")
    clean = "".join(_REPLACEMENT if _is_unprintable(one) else one for one in lines)
    return clean.encode("utf-16-be")[: 2 * max_units].decode("utf-16-be", errors="ignore")


def _is_unprintable(character: str) -> bool:
    return character not in _KEPT_CONTROLS and unicodedata.category(character) in ("Cc", "Cs")


def _pairs(spec: GenerationSpec, version: str) -> dict[str, object]:
    """A guidance that is an input of the network is the "distilled" one as soon as there is another."""
    has_true_cfg = spec.true_cfg_scale > 1
    return {
        "Steps": spec.steps,
        "Sampler": spec.sampler,
        "Schedule type": spec.schedule,
        "CFG scale": spec.true_cfg_scale if has_true_cfg else spec.guidance,
        "Distilled CFG Scale": spec.guidance if has_true_cfg else None,
        "Seed": spec.seed,
        "Size": f"{spec.width}x{spec.height}",
        "Denoising strength": spec.strength,
        "Model": spec.network,
        "Version": f"{NAME} {version}",
    }


def _quoted(value: str) -> str:
    """A value with a comma or a colon in it stands in quotes, as in AUTOMATIC1111."""
    return json.dumps(value, ensure_ascii=False) if any(one in value for one in ",:\n") else value
