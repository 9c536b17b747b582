"""Whatever is asked for, of any kind of network and in any dtype: a finite picture or a clear refusal, never NaN, never another error.

Requests run in company, each from its own first step to its last, as the engine runs them. They are the same in every run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from models.errors import SamplingError
from models.pipeline.components import Components, TextFeatures
from models.pipeline.conditions import Start, num_run_steps, start
from models.pipeline.denoising import StepInput, advance
from models.pipeline.drawing import decode, encode_request
from models.pipeline.loading import load_components
from models.pipeline.reading import Reading
from models.pipeline.request import DrawRequest, PictureInputs, check_request, request_for
from models.pipeline.sd import SdComponents
from models.samplers.methods import from_pure_noise
from models.samplers.names import SAMPLER_NAMES, SCHEDULE_NAMES
from models.samplers.noise_schedule import NoiseSchedule
from models.samplers.prediction import Prediction
from tests.fixtures.tiny_models import tiny_flux1_folder
from tests.fixtures.tiny_sd import tiny_sd_folder
from tests.models.pipeline.parity import PROMPT, mask, picture

SIDE = 32
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
KINDS = ("epsilon", "v", "sample", "zero-snr", "flow")
SAMPLERS = [
    None,
    *(name for names in SAMPLER_NAMES.items() for name in (names[0], *names[1][:1])),
    "DPM++ 2M Karras",
    "warp",
]
SCHEDULES = [None, None, None, "Automatic", *SCHEDULE_NAMES, "warp"]
AT_ONCE = 64
Place = tuple[str, str]
"""Kind of network and dtype."""
PLACES: list[Place] = [(kind, dtype) for kind in KINDS for dtype in DTYPES]
FEW: list[Place] = [("epsilon", "bfloat16"), ("v", "float16"), ("zero-snr", "float32"), ("flow", "float16")]


@dataclass(frozen=True)
class Asked:
    """A request, and the network that it goes to."""

    place: Place
    draw: dict[str, Any]


def asked_for(number: int, places: list[Place], seed: int = 0) -> list[Asked]:
    """So many random requests; all names are among a few hundred."""
    random = Random(seed)
    return [Asked(random.choice(places), _fields(random)) for _ in range(number)]


def _fields(random: Random) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "seed": random.getrandbits(32),
        "num_steps": random.choice([1, 2, 3, random.randint(1, 60)]),
        "guidance": random.choice([0.0, 1.0, random.uniform(1, 30)]),
        "sampler": random.choice(SAMPLERS),
        "schedule": random.choice(SCHEDULES),
    }
    if random.random() < 0.25:
        fields["eta"] = random.choice([0.0, 1.0, -0.5, random.random()])
    if random.random() < 0.15:
        fields |= {"schedule": None} | random.choice([_sigmas, _timesteps])(random)
    if random.random() < 0.5:
        masked = mask(SIDE, SIDE) if random.random() < 0.5 else None
        fields["inputs"] = PictureInputs(image=picture(SIDE, SIDE, 3), mask=masked)
        fields["strength"] = random.choice([None, 1.0, 0.0, random.uniform(0.01, 1)])
    return fields


def _sigmas(random: Random) -> dict[str, Any]:
    levels = sorted({random.choice([1.0, 20.0, 5000.0]) * random.random() for _ in range(random.randint(1, 20))})
    return {"sigmas": tuple(reversed(levels)), "num_steps": len(levels)}


def _timesteps(random: Random) -> dict[str, Any]:
    steps = sorted({random.randint(0, 1001) for _ in range(random.randint(1, 20))}, reverse=True)
    return {"timesteps": tuple(steps), "num_steps": len(steps)}


def trained(components: Components, kind: str) -> Components:
    """The same network, as if it had been trained otherwise."""
    if kind == "flow":
        return components
    assert isinstance(components, SdComponents)
    trajectory = components.trajectory
    if kind == "zero-snr":
        training = NoiseSchedule(zero_terminal_snr=True)
        layout = replace(trajectory.layout, spacing="trailing")
        methods = from_pure_noise(trajectory.methods)
        changed = replace(trajectory, training=training, layout=layout, prediction=Prediction.V, methods=methods)
    else:
        changed = replace(
            trajectory, prediction={"v": Prediction.V, "sample": Prediction.SAMPLE}.get(kind, Prediction.EPSILON)
        )
    return replace(components, trajectory=changed)


def run_together(
    components: Components, requests: list[tuple[Asked, DrawRequest]]
) -> Iterator[tuple[Asked, torch.Tensor]]:
    """Begin what can be begun and run all rows to their ends. Raises whatever is not a refusal."""
    text: dict[tuple[str, int], TextFeatures] = {}

    def encode(prompt: str, length: int, _reading: Reading) -> TextFeatures:
        return text.setdefault((prompt, length), components.encode_text(prompt, length))

    rows: dict[int, StepInput] = {}
    for number, (_, request) in enumerate(requests):
        begun = _begun(components, request, encode)
        if begun is not None:
            rows[number] = StepInput(begun.latents_LC, begun.conditions, 0)
    while rows:
        company = list(rows)[:AT_ONCE]
        for number, latents_LC in zip(company, advance(components, [rows[one] for one in company]), strict=True):
            row = replace(rows[number], latents_LC=latents_LC, step=rows[number].step + 1)
            rows[number] = row
            if row.step == row.conditions.num_steps:
                del rows[number]
                yield requests[number][0], latents_LC


def _begun(components: Components, request: DrawRequest, encode: Any) -> Start | None:
    """None where it is refused, in words that say of what."""
    try:
        check_request(components.spec, request)
        begun = start(components, request, *encode_request(components, request, encode=encode))
    except SamplingError:
        return None
    assert begun.conditions.num_steps == num_run_steps(components, request)
    return begun


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[bool, Path]:
    """By whether they hold a flow-matching network."""
    root = tmp_path_factory.mktemp("any")
    return {False: tiny_sd_folder(root / "sd"), True: tiny_flux1_folder(root / "dev")}


@torch.no_grad()
def check(folders: Mapping[bool, Path], requests: list[Asked]) -> int:
    """Run them all; how many pictures there were."""
    drawn = 0
    for place in sorted({one.place for one in requests}):
        kind, dtype = place
        components = trained(load_components(folders[kind == "flow"], dtype=DTYPES[dtype]), kind)
        own = [one for one in requests if one.place == place]
        made = [request_for(components.defaults, PROMPT, width=SIDE, height=SIDE, **one.draw) for one in own]
        for asked, latents_LC in run_together(components, list(zip(own, made, strict=True))):
            assert latents_LC.isfinite().all(), asked
            assert decode(components, latents_LC, SIDE, SIDE).shape == (SIDE, SIDE, 3)
            drawn += 1
    return drawn


def test_sixty_requests_are_drawn_or_refused(folders: Mapping[bool, Path]) -> None:
    assert check(folders, asked_for(60, FEW)) > 15


@pytest.mark.prove
def test_a_thousand_requests_are_drawn_or_refused(folders: Mapping[bool, Path]) -> None:
    assert check(folders, asked_for(1000, PLACES, seed=1)) > 300
