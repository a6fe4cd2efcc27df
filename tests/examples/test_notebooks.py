"""Each notebook runs from top to bottom in a fresh kernel, and prints what it is there to show."""

import re

import pytest

# What must be in the output, as regular expressions, and how many pages are shown.
FACTS = {
    "1-quick-start": (
        [
            r"500 images, 10 timesteps",
            r"fits: True; \d of 32 cores",
            r"accuracy, int8: 97\.\d%",
            r"5,520 potentials compared, 0 differ",
            r"5,520 spikes compared, 0 differ",
            r"cycles an image, simulated: 989\n",
        ],
        3,
    ),
    "3-nir": (
        [
            r"NIRError: Node 'hidden' \(LIF\) has times in seconds",
            r"hidden  tau = 10 timesteps of 1 ms",
            r"conv     Conv2d   4 x 5 x 5",
            r"hidden  +\d+ spikes, 9\d\.\d% agree",
            r"10,500 values compared with the gateware\n0 differ",
            r"weights as they were: True",
            r"read without dt, the same spikes: True",
        ],
        2,
    ),
    "4-quantization": (
        [
            r"accuracy in floats: 96\.8%",
            r"100 images  fractional bits \[5, 7\]  accuracy 9[67]\.\d%",
            r"zynq_us_plus_int4  weights 14\.\d dB  accuracy 9[67]\.\d%",
            r"2 bits: accuracy [12]\d\.\d%",
            r"max_spikes  1: .*, 8 of 20 thresholds",
            r"max_spikes 15: .*, 20 of 20 thresholds",
            r"PyTorch is not installed|fine-tuned    accuracy",
        ],
        0,
    ),
    "5-mapping": (
        [
            r"compiler planned: False  cores: 9",
            r"greedy   planned: True   cores: 2",
            r"image 0: 921 cycles predicted, 921 simulated",
            r"(?s)sops +[\d,]+  equal on every core: True\n.*updates +5,520  equal .*: True",
            r"0\.\d\d µJ an image, estimated",
        ],
        3,
    ),
    "6-event-cameras": (
        [
            r"4,480 events, 2,239 of them brighter",
            r"window of 10 ms: 220 events, True",
            r"evt3 +[\d,]+ bytes, the same events: True",
            r"frames \(10, 2, 34, 34\), which count 4,480 events",
            r"180 timesteps, 4,480 events",
            r"first half : 29 votes for right,  0 for left\nsecond half:  0 votes .* 29 for left",
            r"gateware and golden model vote alike: True",
        ],
        1,
    ),
}


@pytest.mark.slow
@pytest.mark.cosim
@pytest.mark.parametrize("name", FACTS)
def test_notebook_prints_what_it_shows(run_notebook, name):
    facts, n_pages = FACTS[name]
    printed, pages = run_notebook(name)
    assert [fact for fact in facts if not re.search(fact, printed)] == [], printed
    assert "False" not in re.sub("planned: False", "", printed)
    assert len(pages) == n_pages and all(page.startswith("<iframe ") for page in pages)
