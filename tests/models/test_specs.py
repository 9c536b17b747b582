"""The table of networks: names are unique, and what it says of published ones agrees with itself."""

from models.specs import MODEL_SPECS, Guidance, spec_named


def test_names_are_unique_and_found() -> None:
    names = [spec.name for spec in MODEL_SPECS]
    assert len(set(names)) == len(names)
    assert all(spec_named(spec.name) is spec for spec in MODEL_SPECS)
    assert spec_named("flux-3") is None


def test_only_networks_that_embed_guidance_have_its_weights() -> None:
    for spec in MODEL_SPECS:
        if spec.params is not None:
            assert spec.params.guidance_embed == (spec.guidance is Guidance.EMBEDDED)


def test_distilled_networks_take_few_steps_and_no_guidance() -> None:
    for spec in MODEL_SPECS:
        assert spec.is_distilled == (spec.defaults.num_inference_steps <= 4)
        assert spec.is_distilled == (spec.defaults.guidance_scale <= 1)


def test_the_text_policy_is_what_the_defaults_say() -> None:
    for spec in MODEL_SPECS:
        assert spec.defaults.max_sequence_length == spec.text.max_sequence_length
        assert spec.defaults.text_encoder_out_layers == spec.text.out_layers
