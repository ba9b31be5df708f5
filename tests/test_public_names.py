"""What `import safebasin` offers."""

from __future__ import annotations

import subprocess
import sys

import pytest

import safebasin

CODE = """
import os, sys
import torch, transformers.modeling_utils  # seconds, and nothing of them depends on our order
for names in (sys.argv[2:], sys.argv[:1:-1]):
    if os.fork() == 0:
        for name in names:
            exec(f"from safebasin import {name}")
            value = eval(name)
            assert callable(value), f"{name} is {value}"
        sys.exit()
    assert os.wait()[1] == 0, names
    assert not [name for name in sys.modules if name.startswith("safebasin")]
"""


def test_every_name_can_be_had_in_any_order() -> None:
    command = [sys.executable, "-c", CODE, "--", *sorted(safebasin.__all__)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'skan'"):
        _ = safebasin.skan
