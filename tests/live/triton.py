"""The client of Triton, synchronous or not, under one face; the tests of `/v2` run with both."""

import asyncio
import inspect
import json
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import tritonclient.http as blocking
import tritonclient.http.aio as waiting
from tritonclient.utils import np_to_triton_dtype

from tests.live.service import Service
from tests.patience import PATIENCE


class Triton:
    """Calls the methods of a client, and waits for those that have to be waited for.

    Args:
        service: what to ask.
        kind: `sync` or `aio`.
        options: of the client.
    """

    def __init__(self, service: Service, kind: str, **options: Any) -> None:
        self._loop = asyncio.new_event_loop() if kind == "aio" else None
        # In this thread the loop of a browser may run.
        self._thread = ThreadPoolExecutor(1)
        self._client = self._made(f"127.0.0.1:{service.port}", options)
        self.metadata = self.call("get_model_metadata", "default")
        self.input = self.metadata["inputs"][0]["name"]
        self.output = self.metadata["outputs"][0]["name"]
        self.shape = [1, *json.loads(self.metadata["properties"]["tensor_shape"])[1:]]

    def _made(self, address: str, options: Any) -> Any:
        async def make() -> Any:
            return waiting.InferenceServerClient(address, **options)

        if self._loop is None:
            return blocking.InferenceServerClient(address, concurrency=4, **options)
        return self._waited(make())

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the client."""
        found = getattr(self._client, name)(*arguments, **options)
        if self._loop is not None and inspect.isawaitable(found):
            return self._waited(_awaited(found))
        return found

    def _waited(self, work: Coroutine[Any, Any, Any]) -> Any:
        assert self._loop is not None
        return self._thread.submit(self._loop.run_until_complete, work).result(PATIENCE)

    def close(self) -> None:
        """Close the connections."""
        self.call("close")
        if self._loop is not None:
            self._loop.close()
        self._thread.shutdown()

    def images(self, *images: bytes, binary: bool = True, name: str | None = None) -> Any:
        """An input of encoded images."""
        made = blocking.InferInput(name or self.input, [len(images)], "BYTES")
        made.set_data_from_numpy(np.array(images, np.object_), binary_data=binary)
        return made

    def tensor(self, array: Any, *, binary: bool = True) -> Any:
        """An input of numbers."""
        made = blocking.InferInput(self.input, list(array.shape), np_to_triton_dtype(array.dtype))
        made.set_data_from_numpy(array, binary_data=binary)
        return made

    def noise(self, count: int = 1) -> Any:
        """Tensors of the bundled model's own input."""
        kind = {"UINT8": "u1", "FP32": "f4"}[self.metadata["properties"]["tensor_datatype"]]
        return np.random.default_rng(count).integers(0, 200, [count, *self.shape[1:]]).astype(kind)

    def infer(self, *inputs: Any, model: str = "default", **options: Any) -> Any:
        """Infer with the bundled model, or another one."""
        return self.call("infer", model, list(inputs), **options)

    def wanted(self, **options: Any) -> list[Any]:
        """The only output, in the form that the options choose."""
        return [blocking.InferRequestedOutput(self.output, **options)]

    def scores(self, answer: Any) -> Any:
        """The output of an answer."""
        return answer.as_numpy(self.output)


async def _awaited(found: Any) -> Any:
    return await found


Connect = Callable[..., Triton]
