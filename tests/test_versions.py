import json
import platform
import re

import numpy as np
import pytest

from pipeline import versions


def test_versions_of_what_can_change_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "PACKAGES", ("numpy", "no-such-package"))
    made = versions.made()
    assert set(made) == {"python", "unicode", "numpy", "at"}
    assert made["python"] == platform.python_version()
    assert made["numpy"] == np.__version__
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", made["at"])
    assert json.loads(json.dumps(made)) == made
