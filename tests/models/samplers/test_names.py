"""Names that people write, and pairs that do not fit."""

import pytest

from models.errors import UnsupportedSampler
from models.samplers.methods import FLOW_METHODS, SD_METHODS, SDXL_METHODS
from models.samplers.names import SAMPLER_NAMES, SCHEDULE_NAMES, choose


@pytest.mark.parametrize(
    ("written", "schedule", "sampler", "chosen"),
    [
        ("DPM++ 2M Karras", None, "dpmpp_2m", "karras"),
        ("DPM++ 2M", "Karras", "dpmpp_2m", "karras"),
        ("DPM++ 2M", None, "dpmpp_2m", "karras"),
        ("DPM++ 2M SDE Exponential", None, "dpmpp_2m_sde", "exponential"),
        ("DPM++ 2M SDE Heun Karras", None, "dpmpp_2m_sde_heun", "karras"),
        ("DPM++ 3M SDE", "Automatic", "dpmpp_3m_sde", "exponential"),
        ("Euler a", None, "euler_a", "normal"),
        ("euler_ancestral", "sgm_uniform", "euler_a", "sgm_uniform"),
        ("Euler", "Align Your Steps", "euler", "ays"),
        ("DPM2 a Karras", None, "dpm2_a", "karras"),
        ("LMS Karras", None, "lms", "karras"),
        ("uni_pc_bh2", "simple", "unipc", "simple"),
        ("DDIM", None, "ddim", "ddim_uniform"),
        ("PNDMScheduler", None, "plms", "ddim_uniform"),
        ("LCM", None, "lcm", "lcm"),
        ("tcd", None, "tcd", "lcm"),
    ],
)
def test_a_name_means_a_sampler_and_a_schedule(written: str, schedule: str | None, sampler: str, chosen: str) -> None:
    choice = choose(SD_METHODS, written, schedule)
    assert (choice.sampler.name, choice.schedule) == (sampler, chosen)


def test_every_name_of_ours_is_a_method_and_every_schedule_has_a_name() -> None:
    assert set(SD_METHODS) == set(SDXL_METHODS) == set(SAMPLER_NAMES)
    assert set(FLOW_METHODS) < set(SAMPLER_NAMES)
    assert {name for method in SD_METHODS.values() for name in method.schedules} == set(SCHEDULE_NAMES)
    for methods in (SD_METHODS, FLOW_METHODS):
        assert all(method.default in method.schedules for method in methods.values())


def test_every_written_name_is_found() -> None:
    for name, others in SAMPLER_NAMES.items():
        for other in (name, *others):
            assert choose(SD_METHODS, other).sampler.name == name


def test_a_pair_that_does_not_fit_is_refused_with_those_that_do() -> None:
    with pytest.raises(UnsupportedSampler, match="karras does not fit sampler plms; these do: ddim_uniform, trailing"):
        choose(SD_METHODS, "PLMS", "Karras")


def test_a_name_that_contradicts_the_schedule_is_refused() -> None:
    with pytest.raises(UnsupportedSampler, match="names another schedule"):
        choose(SD_METHODS, "DPM++ 2M Karras", "exponential")


@pytest.mark.parametrize(("sampler", "schedule"), [("warp", None), ("euler", "warp"), ("", None)])
def test_an_unknown_name_is_refused_with_the_known_ones(sampler: str, schedule: str | None) -> None:
    with pytest.raises(UnsupportedSampler, match=r"euler, euler_a|normal, karras"):
        choose(SD_METHODS, sampler, schedule)


def test_flow_matching_has_its_own_methods() -> None:
    assert choose(FLOW_METHODS, "Euler", "Beta").schedule == "beta"
    with pytest.raises(UnsupportedSampler, match="not one of this network's"):
        choose(FLOW_METHODS, "DDIM")
