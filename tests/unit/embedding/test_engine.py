import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from include.quarry.embedding.calibration import calibration_texts
from include.quarry.embedding.engine import load_embedder
from include.quarry.embedding.unit_length import unit_length
from include.quarry.errors import Misconfigured
from include.quarry.specs import EmbeddingSpec

ROOT = Path(__file__).parents[3]
CACHE = ROOT / ".quarry/models"


def imported_by(program: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter has imported after running `program`."""
    report = f"{program}\nimport sys\nprint(*({{'torch', 'openvino', 'nncf', 'transformers'}} & set(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(finished.stdout.split())


def test_importing_the_chooser_imports_no_engine() -> None:
    assert imported_by("import include.quarry.embedding.engine, include.quarry.embedding.micro_batch") == set()


def test_torch_is_not_imported_once_the_model_is_converted() -> None:
    load_embedder(EmbeddingSpec(), engine="openvino", threads=1, cache=CACHE)
    program = (
        "from pathlib import Path\n"
        "from include.quarry.embedding.engine import load_embedder\n"
        "from include.quarry.specs import EmbeddingSpec\n"
        f"load_embedder(EmbeddingSpec(), engine='openvino', threads=1, cache=Path({str(CACHE)!r})).encode(['a'])"
    )
    assert imported_by(program) == {"openvino"}


def test_a_spec_with_other_dimensions_than_the_model_is_refused() -> None:
    with pytest.raises(Misconfigured, match="gives 384 dimensions, the spec says 768"):
        load_embedder(replace(EmbeddingSpec(), dimensions=768), engine="openvino", threads=1, cache=CACHE)


def test_calibration_texts_are_many_different_and_always_the_same() -> None:
    texts = calibration_texts(300)
    assert len(texts) == 300
    assert len(set(texts)) > 290
    assert texts == calibration_texts(300)
    assert len(calibration_texts(1)) == 1


def test_unit_length_keeps_directions_and_leaves_zeros_alone() -> None:
    values = unit_length(np.array([[3, 4], [0, 0], [1e-10, 0]], dtype=np.float32))
    np.testing.assert_allclose(values, [[0.6, 0.8], [0, 0], [1, 0]], rtol=1e-6)
    assert values.dtype == np.float32
