"""The real mosaicml-streaming, for tests that compare with it. Its import takes 5 s, so only they pay for it."""

import warnings
from functools import cache
from types import ModuleType
from typing import Any


@cache
def import_streaming() -> ModuleType:
    """The module `streaming`.

    It imports torchvision, whose wheel fails beside a CPU build of torch unless the operators that its compiled part
    would define are there: two are defined here first. Other packages' warnings on import are not ours to fix.
    """
    _define_torchvision_operators()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import streaming
    module: ModuleType = streaming
    return module


@cache
def _define_torchvision_operators() -> Any:
    """The definitions last as long as the returned `torch.library.Library`, which the cache keeps."""
    import torch  # here, so that the other tests of a module run where torch is not installed

    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    return library
