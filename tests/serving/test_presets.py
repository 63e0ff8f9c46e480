import pytest

from chipwise import serving
from chipwise.errors import BadInput, UnknownName
from chipwise.serving import presets
from chipwise.types import StepTable


@pytest.mark.parametrize(
    ("engine", "version"),
    [("vllm", "0.8.5"), ("vllm", "v0.19.0"), ("vllm", None), ("sglang", "0.5.6"),
     ("sglang", None), ("trtllm", "1.2.0rc3"), ("trtllm", None)],
)  # fmt: skip
def test_flags_are_the_simulators_own(engine, version):
    run = serving.simulate(
        StepTable(base=1.0), [0.0], [10], [3], blocks=100, **presets.flags(engine, version)
    )
    assert run.finish[0] == 3.0


def test_versions_differ_where_the_engine_did():
    assert not presets.flags("vllm", "0.11.2")["reserve"]
    assert presets.flags("vllm", "0.33.0")["reserve"]
    assert "asynchronous" not in presets.flags("vllm", "0.9")
    assert presets.unverified("vllm", "0.9")
    assert not presets.unverified("vllm")


def test_what_has_no_preset_is_refused():
    with pytest.raises(UnknownName, match="vllm"):
        presets.flags("vlm")
    with pytest.raises(BadInput, match=r"older than 0\.8"):
        presets.flags("vllm", "0.7.3")
    with pytest.raises(BadInput, match="no version of vllm"):
        presets.flags("vllm", "latest")
