"""What decoding a picture costs, and that it does not show."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from components.core.pictures import decode, plain
from pipeline import ROOT

SIDE = 5000
PEAK = """
import resource, sys
from components.core.pictures.decode import Target, decode
payload = open(sys.argv[1], "rb").read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
decode(payload, None, Target(32, 32, 3))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.parametrize(("mode", "value"), [("RGB", (1, 2, 3)), ("RGBA", (1, 2, 3, 4)), ("LA", (1, 2))])
def test_a_large_picture_takes_little_more_memory_than_itself(tmp_path, mode, value):
    """Pillow has 4 bytes a pixel, and 3 are handed on. With transparency it took 16, so that two of 89
    megapixels, 361 kB each, in preprocess's two processes, were more than its pod has."""
    Image.new(mode, (SIDE, SIDE), value).save(tmp_path / "large.png")
    command = [sys.executable, "-c", PEAK, str(tmp_path / "large.png")]
    peak = int(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    assert peak < 9 * SIDE * SIDE


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGB", "L", "P", "I;16", "1"])
def test_strips_do_not_show(monkeypatch, mode):
    random = np.random.default_rng(0).integers(0, 256, (37, 11, 4), np.uint8)
    random[:20, :, 3] = 255  # some strips are opaque
    grey = Image.fromarray(random[..., 0].astype(np.uint16) * 250) if mode == "I;16" else None
    file = io.BytesIO()
    (grey or Image.fromarray(random).convert(mode)).save(file, "PNG")
    target = decode.Target(9, 8, 3)
    whole = decode.open_picture(file.getvalue(), None, target)
    monkeypatch.setattr(plain, "STRIP", 50)
    strips = decode.open_picture(file.getvalue(), None, target)
    assert strips.changes == whole.changes and np.array_equal(strips.pixels, whole.pixels)
