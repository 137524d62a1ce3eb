"""A backend of your own: any object with these attributes and methods can run a bundle.

    python examples/backend.py --bundle occle-nano

This one calls ONNX Runtime with a profile of its operators. It proves itself on the bundle's golden sample.
"""

import argparse

import numpy as np
import onnxruntime

from occ_runtime import Bundle, Predictor, find_bundle


class ProfilingBackend:
    name, precision = "profiling", "f32"  # see occ_runtime.Backend

    def __init__(self, bundle: Bundle):
        options = onnxruntime.SessionOptions()
        options.enable_profiling = True
        self._session = onnxruntime.InferenceSession(bundle.model_file_of("f32"), options)
        self._outputs = [spec.name for spec in bundle.outputs]
        self.description = f"onnxruntime {onnxruntime.__version__} with profiling, f32"

    def infer(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        wanted = {node.name: inputs[node.name] for node in self._session.get_inputs()}
        return dict(zip(self._outputs, self._session.run(self._outputs, wanted), strict=True))

    def close(self) -> None:
        print("profile:", self._session.end_profiling())


parser = argparse.ArgumentParser()
parser.add_argument("--bundle", default="occle-nano-synthetic")
bundle = Bundle.load(find_bundle(parser.parse_args().bundle))
backend = ProfilingBackend(bundle)
print(Predictor(bundle, backend).self_test())
backend.close()
