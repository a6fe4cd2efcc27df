"""The notebooks that train run in an environment with PyTorch and snnTorch (`make test-torch`)."""

import re

import pytest

pytest.importorskip("torch")
pytest.importorskip("snntorch")


def test_network_of_snntorch_comes_over_spike_for_spike(run_notebook):
    printed, pages = run_notebook("2-from-snntorch")
    assert "LIF: reset 'subtract', late True, strict True" in printed
    right, quantized = (int(k) for k in re.findall(r"accuracy.*: (\d+)%", printed))
    assert right >= 70 and abs(right - quantized) <= 5
    # The same but for a potential within rounding of its threshold, on some machine.
    assert re.search(r"10,000 values, \d{4} spikes in ours, \d differ", printed), printed
    assert "read back, the same spikes: True" in printed
    assert len(pages) == 1


def test_fine_tuning_gives_back_what_few_bits_cost(run_notebook):
    printed, _ = run_notebook("4-quantization")
    cut, tuned = (
        float(re.search(rf"{name} +accuracy (\d+\.\d)% of 200", printed).group(1))
        for name in ("cut to 2 bits", "fine-tuned")
    )
    assert cut < 35 and tuned > cut + 20
