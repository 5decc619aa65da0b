"""A vision transformer as the optimiser and the quantisers for transformers rewrite it."""

from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.transformers import float16, optimizer

from tools.real_models.makers.case import Answer, Case, Maker, labels, run
from tools.real_models.makers.ort_networks import runtime_answer
from tools.real_models.makers.transformers_models import Folder


def _answer(folder: Folder, path: Path) -> Answer:
    """The rewritten model's own answer, by the runtime and the processor of transformers."""
    return runtime_answer(path, lambda image: folder.processor(image, return_tensors="np")["pixel_values"])


def _optimised(what: str, name: str = "ViT", *, half: bool = False, **options: Any) -> Maker:
    def make(case: Case) -> None:
        folder = Folder(case, name)
        path = folder.write()
        model = optimizer.optimize_model(str(path), model_type="vit", num_heads=2, hidden_size=64, **options)
        if half:
            model.convert_float_to_float16(keep_io_types=True)
        model.save_model_to_file(str(path))
        case.save(what, _answer(folder, path), names=labels())

    return make


def _int4(what: str, bits: int, block: int) -> Maker:
    def make(case: Case) -> None:
        folder = Folder(case, "ViT")
        path = folder.write()
        quantizer = MatMulNBitsQuantizer(onnx.load(path), bits=bits, block_size=block)
        quantizer.process()
        onnx.save(quantizer.model.model, path)
        case.save(what, _answer(folder, path), names=labels())

    return make


def dynamic(case: Case) -> None:
    """The second file of many hub folders.

    An input that differs by one part in ten million changes what is rounded, and the answers by 0.01, so
    that they are not compared.
    """
    folder = Folder(case, "ViT")
    path = folder.write()
    quantized = case.path("model_quantized.onnx")
    quantize_dynamic(path, quantized)
    path.unlink()
    case.save("ViT, quantize_dynamic (its answers jump by 0.01)", None, names=labels())


def half(case: Case) -> None:
    """Half precision within, and at the input and output."""
    folder = Folder(case, "ViT")
    path = folder.write()
    onnx.save(float16.convert_float_to_float16(onnx.load(path), keep_io_types=False), path)
    case.save("ViT, onnxruntime.transformers.float16, all of it", _answer(folder, path), names=labels())


CASES: dict[str, Maker] = {
    "vit": _optimised("optimize_model ViT (SkipLayerNormalization, BiasGelu)"),
    "vit_level_2": _optimised("optimize_model ViT, opt_level 2", opt_level=2),
    "vit_half": _optimised("optimize_model ViT, float16", half=True),
    "deit": _optimised("optimize_model DeiT", "DeiT"),
    "swin": _optimised("optimize_model Swin", "Swin"),
    "vit_int4": _int4("MatMulNBits, 4 bits, block 32", 4, 32),
    "vit_int4_64": _int4("MatMulNBits, 4 bits, block 64", 4, 64),
    "vit_int8": _int4("MatMulNBits, 8 bits, block 32", 8, 32),
    "vit_dynamic": dynamic,
    "vit_float16": half,
}

if __name__ == "__main__":
    run("onnxruntime.transformers", ("onnxruntime", "transformers", "torch", "onnx"), CASES)
