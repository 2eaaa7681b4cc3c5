"""Streams, threads, CUDA graphs and the arrays of others: on a GPU, and where there is none as far as the host goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import fake_cupy
from conftest import random_masks
from maskmill import Masks, _backend, features, hamming, hashes, patches, polygons, rle, setops
from test_cuda_sizes import arrays_of

on_gpu = pytest.mark.parametrize("cupy", ["cuda"], indirect=True)
either = pytest.mark.parametrize("cupy", ["emulated", "cuda"], indirect=True)

BOXES = [[0, 16, 0, 16], [-3, 13, 30, 46], [7, 23, 1, 17]]
TILES, SLICES = [[0, 20, 0, 30], [0, 20, 0, 30]], [5, 0, 8, 5]

Call = Callable[[Any], Any]

FREE: dict[str, Call] = {
    "patches.extract": lambda a: patches.extract(a.image, BOXES),
    "patches.stitch": lambda a: patches.stitch(a.batch[:, :16, :16], BOXES, (40, 50)),
    "patches.planes": lambda a: patches.planes(a.volume, 0, TILES, SLICES),
    "patches.stats": lambda a: patches.stats(a.volume, 0, TILES, SLICES),
    "features.bank": lambda a: features.bank(a.image, [0.7, 3.5]),
    "hashes.dhash": lambda a: hashes.dhash(a.batch),
    "hashes.phash": lambda a: hashes.phash(a.batch),
    "hashes.pdq": lambda a: hashes.pdq(a.batch),
    "hashes.planes": lambda a: hashes.planes(a.volume, 0, TILES, SLICES),
    "hamming.nearest": lambda a: hamming.nearest(a.codes, a.codes[:9]),
}
"""What waits for nothing, and CUDA graphs can capture."""

WAITING: dict[str, tuple[Call, int]] = {
    "rle.encode": (lambda a: rle.encode(a.images), 1),
    "rle.decode": (lambda a: a.masks.decode(), 1),
    "rle.area": (lambda a: a.masks.area, 1),
    "rle.bbox": (lambda a: a.masks.bbox, 1),
    "rle.check": (lambda a: rle.check(*a.masks._arrays), 1),
    "rle.normalize": (lambda a: rle.normalize(*a.masks._arrays), 1),
    "rle.from_labels": (lambda a: rle.from_labels(a.images[0]), 3),
    "rle.to_strings": (lambda a: rle.to_strings(a.masks.counts, a.masks.offsets), 1),
    "setops.pairs": (lambda a: a.masks | a.masks[::-1], 1),
    "setops.merge": (lambda a: a.masks.union(), 1),
    "setops.complement": (lambda a: ~a.masks, 1),
    "overlap.iou": (lambda a: a.masks.iou(a.masks), 1),
    "overlap.nms": (lambda a: a.masks.nms(0.3), 1),
    "hamming.pairs": (lambda a: hamming.pairs(a.codes, 20), 1),
    "hamming.greedy": (lambda a: hamming.greedy(a.codes, 20), 1),
    "polygons.rasterize": (lambda a: polygons.rasterize(a.polygons, (40, 50)), 2),
}
"""What reads a count or a fault, and how often at most."""

ALL = {**FREE, **{name: call for name, (call, _) in WAITING.items()}}


def inputs(rng: np.random.Generator) -> SimpleNamespace:
    images = random_masks(rng, 5, 40, 50).astype(np.uint8)
    corners = rng.uniform(0, 45, (6, 1, 5, 2))
    return SimpleNamespace(
        image=rng.integers(0, 256, (40, 50), np.uint8),
        batch=rng.integers(0, 256, (3, 40, 50), np.uint8),
        volume=rng.integers(0, 256, (9, 20, 30), np.uint8),
        codes=rng.integers(0, 1 << 64, (70, 2), np.uint64),
        images=images,
        masks=Masks.encode(images),
        polygons=polygons.Polygons.from_lists(corners.tolist()),
    )


def on_device(cupy: Any, host: SimpleNamespace) -> SimpleNamespace:
    arrays = {
        key: cupy.asarray(value) if isinstance(value, np.ndarray) else value.to("cuda")
        for key, value in vars(host).items()
    }
    return SimpleNamespace(**arrays)


def assert_same(cupy: Any, found: Any, expected: Any) -> None:
    for a, b in zip(arrays_of(found), arrays_of(expected), strict=True):
        np.testing.assert_array_equal(a.get() if isinstance(a, cupy.ndarray) else a, b)


def waits() -> int:
    count: int = _backend.kernels("cuda").waits()
    return count


@contextmanager
def other_stream(cupy: Any) -> Iterator[Any]:
    """Within the block, one that is not CuPy's default is current, with memory of its own."""
    if cupy is fake_cupy:
        yield None
        return
    stream, pool = cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()
    with stream, cupy.cuda.using_allocator(pool.malloc):
        yield stream
        stream.synchronize()


@contextmanager
def capturing(cupy: Any, stream: Any) -> Iterator[list[Any]]:
    """What is called within the block goes into a graph, the first of the list. The emulated kernels run at once."""
    graph: list[Any] = []
    with ExitStack() as stack:
        if cupy is fake_cupy:
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.setattr(fake_cupy, "capturing", True)
            pretend = _backend.kernels("cuda").pretend_capture
            stack.callback(pretend, False)
            pretend(True)
            graph.append(SimpleNamespace(launch=lambda stream: None))
        else:
            stream.begin_capture()
            stack.callback(lambda: graph.append(stream.end_capture()))
        yield graph


SPIN = """
extern "C" __global__ void spin(const volatile int* gate, long long most) {
    for (const long long start = clock64(); *gate == 0 && clock64() - start < most;) {}
}
"""


@contextmanager
def occupied(cupy: Any, stream: Any) -> Iterator[None]:
    """Within the block, the stream is busy."""
    memory = cupy.cuda.alloc_pinned_memory(4)
    gate = np.frombuffer(memory, np.int32, 1)
    gate[0] = 1
    spin = cupy.RawKernel(SPIN, "spin")
    most = np.int64(4 * 10**10)  # some 20 s: who waits for the stream fails, and does not hang
    with stream:
        spin((1,), (1,), (np.uintp(memory.ptr), most))  # loads it
        stream.synchronize()
        gate[0] = 0
        spin((1,), (1,), (np.uintp(memory.ptr), most))
    try:
        yield
    finally:
        gate[0] = 1
        stream.synchronize()


@either
@pytest.mark.parametrize("name", FREE)
def test_no_wait(cupy, rng, name):
    host = inputs(rng)
    device, before = on_device(cupy, host), waits()
    found = FREE[name](device)
    assert waits() == before
    assert_same(cupy, found, FREE[name](host))


@either
@pytest.mark.parametrize("name", WAITING)
def test_waits_for_counts_and_faults_alone(cupy, rng, name):
    host, (call, most) = inputs(rng), WAITING[name]
    device = on_device(cupy, host)
    before = waits()
    found = call(device)
    assert 0 < waits() - before <= most
    assert_same(cupy, found, call(host))


@on_gpu
@pytest.mark.parametrize("name", FREE)
def test_calls_return_while_the_stream_is_busy(cupy, rng, name):
    host = inputs(rng)
    with other_stream(cupy) as stream:
        device = on_device(cupy, host)
        FREE[name](device)  # loads the kernels, and gives the pool what it needs
        with occupied(cupy, stream):
            found = FREE[name](device)
            assert not stream.done
        assert_same(cupy, found, FREE[name](host))


@on_gpu
@pytest.mark.parametrize("name", ALL)
def test_the_default_stream_is_not_waited_for(cupy, rng, name):
    host = inputs(rng)
    with other_stream(cupy):
        device = on_device(cupy, host)
        assert_same(cupy, ALL[name](device), ALL[name](host))
        with occupied(cupy, cupy.cuda.Stream.null):
            assert_same(cupy, ALL[name](device), ALL[name](host))
            assert not cupy.cuda.Stream.null.done


@either
def test_two_threads_with_streams_of_their_own(cupy):
    def work(seed: int) -> None:
        host = inputs(np.random.default_rng(seed))
        with nullcontext() if cupy is fake_cupy else cupy.cuda.Stream(non_blocking=True):
            device = on_device(cupy, host)
            for _ in range(2):
                for call in ALL.values():
                    assert_same(cupy, call(device), call(host))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, [1, 2]))


@either
@pytest.mark.parametrize("name", FREE)
def test_a_graph_captures(cupy, rng, name):
    host, call = inputs(rng), FREE[name]
    with other_stream(cupy) as stream:
        device = on_device(cupy, inputs(rng))
        call(device)  # once before: kernels are loaded
        replace(cupy, device, host)
        with capturing(cupy, stream) as graph:
            found = call(device)
        graph[0].launch(stream)
        assert_same(cupy, found, call(host))
        if cupy is not fake_cupy:
            host = inputs(rng)
            replace(cupy, device, host)
            graph[0].launch(stream)
            assert_same(cupy, found, call(host))


def replace(cupy: Any, device: SimpleNamespace, host: SimpleNamespace) -> None:
    for name in ("image", "batch", "volume", "codes"):
        getattr(device, name)[...] = cupy.asarray(getattr(host, name))


@either
@pytest.mark.parametrize("name", WAITING)
def test_a_graph_does_not_capture_what_waits(cupy, rng, name):
    host, call = inputs(rng), WAITING[name][0]
    with other_stream(cupy) as stream:
        device = on_device(cupy, host)
        with capturing(cupy, stream), pytest.raises(RuntimeError, match="a CUDA graph cannot capture it$"):
            call(device)
        assert_same(cupy, call(device), call(host))


@either
def test_a_graph_does_not_capture_transfers(cupy, rng):
    device = on_device(cupy, inputs(rng))
    boxes = cupy.asarray(np.array(BOXES))
    many = np.zeros((20_000, 4), np.int64)
    with other_stream(cupy) as stream, capturing(cupy, stream):
        with pytest.raises(
            RuntimeError, match="brings an array to the host: a CUDA graph cannot capture it$"
        ):
            patches.extract(device.image, boxes)
        with pytest.raises(
            RuntimeError, match="sends 640000 bytes to the GPU: a CUDA graph takes at most 262144"
        ):
            patches.extract(device.image, many + [0, 1, 0, 1])


@on_gpu
def test_a_graph_needs_memory_of_its_own(cupy, rng):
    device, stream = on_device(cupy, inputs(rng)), cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream, capturing(cupy, stream), pytest.raises(RuntimeError, match="kept as long as the graph$"):
        hashes.dhash(device.batch)


@either
def test_much_is_sent(cupy, rng):
    """More than travels as arguments, and in several sizes: with pinned memory that goes round."""
    image = rng.integers(0, 256, (40, 50), np.uint8)
    there = cupy.asarray(image)
    for n in (10, 3000, 100, 9000, 9001):
        boxes = np.sort(rng.integers(-5, 45, (n, 2, 1)) + [0, 3], axis=2).reshape(n, 4)
        found = [patches.extract(there, boxes) for _ in range(3)]
        for one in found:
            assert_same(cupy, one, patches.extract(image, boxes))


class WithInterface:
    """An array of somebody who knows one protocol."""

    def __init__(self, array: Any, stream: Any = None) -> None:
        self._array, self._stream = array, stream

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self._array.__cuda_array_interface__, "stream": self._stream}


class WithDlpack:
    """An array of somebody who knows the other."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)


@either
@pytest.mark.parametrize("wrap", [WithInterface, WithDlpack])
def test_arrays_of_others(cupy, rng, wrap):
    host = inputs(rng)
    device = on_device(cupy, host)
    counts, offsets, sizes = device.masks._arrays
    assert_same(cupy, rle.encode(wrap(device.images)), rle.encode(host.images))
    assert_same(cupy, rle.area(wrap(counts), wrap(offsets)), host.masks.area)
    union = setops.pairs((wrap(counts), wrap(offsets), sizes), device.masks._arrays)
    assert_same(cupy, union, setops.pairs(host.masks._arrays, host.masks._arrays))
    assert_same(cupy, hashes.dhash(wrap(device.batch)), hashes.dhash(host.batch))
    assert_same(cupy, hamming.greedy(wrap(device.codes), 9), hamming.greedy(host.codes, 9))
    out = cupy.empty((5, 40, 50), np.uint8)
    rle.decode(counts, offsets, sizes, out=wrap(out))
    assert_same(cupy, out, host.images)
    out = cupy.empty((3, 16, 16), np.uint8)
    patches.extract(wrap(device.image), BOXES, out=wrap(out))
    assert_same(cupy, out, patches.extract(host.image, BOXES))
    out = cupy.empty(features.bank(host.image, [1]).shape, np.float32)
    features.bank(wrap(device.image), [1], out=wrap(out))
    assert_same(cupy, out, features.bank(host.image, [1]))


@on_gpu
def test_the_stream_of_others_is_waited_for(cupy, rng):
    host = inputs(rng)
    stream, images = cupy.cuda.Stream(non_blocking=True), cupy.zeros(host.images.shape, np.uint8)
    there = cupy.asarray(host.images)
    cupy.cuda.Device().synchronize()
    spin, gate = cupy.RawKernel(SPIN, "spin"), cupy.zeros(1, np.int32)
    with stream:
        spin((1,), (1,), (gate, np.int64(10**8)))
        images[...] = there
    assert_same(cupy, rle.encode(WithInterface(images, stream.ptr)), rle.encode(host.images))


@on_gpu
@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64"])
def test_tensors_of_torch(cupy, rng, dtype):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("torch was built without CUDA")
    host = inputs(rng)
    images = torch.as_tensor(host.images).to(getattr(torch, dtype)).cuda()
    torch.cuda.synchronize()
    assert_same(cupy, rle.encode(images), rle.encode(host.images))
    assert_same(cupy, rle.encode(images.transpose(1, 2)), rle.encode(host.images.transpose(0, 2, 1)))
    assert len(rle.encode(images[:0])[1]) == 1
    with torch.cuda.stream(torch.cuda.Stream()):
        late = torch.zeros_like(images)
        torch.cuda._sleep(10**8)
        late.copy_(images)
        assert_same(cupy, rle.encode(late), rle.encode(host.images))
    out = torch.zeros((5, 40, 50), dtype=torch.uint8, device="cuda")
    counts, offsets, sizes = host.masks.to("cuda")._arrays
    rle.decode(counts, offsets, sizes, out=out)
    torch.cuda.synchronize()
    np.testing.assert_array_equal(out.cpu().numpy(), host.images)
    for wrong in (images[0].float().requires_grad_(), images[0].bfloat16()):
        with pytest.raises(TypeError, match="CuPy cannot take this Tensor of torch"):
            features.bank(wrong, [1])


@on_gpu
def test_arrays_of_numba(cupy, rng):
    cuda = pytest.importorskip("numba.cuda")
    if not cuda.is_available():
        pytest.skip("numba finds no CUDA")
    host = inputs(rng)
    assert_same(cupy, rle.encode(cuda.to_device(host.images)), rle.encode(host.images))
    assert_same(cupy, hashes.dhash(cuda.to_device(host.batch)), hashes.dhash(host.batch))
    codes = cuda.to_device(host.codes)
    assert_same(cupy, hamming.nearest(codes, codes), hamming.nearest(host.codes, host.codes))


@either
@pytest.mark.parametrize(
    "call", [rle.encode, hashes.dhash, lambda a: features.bank(a, [1]), lambda a: patches.extract(a, BOXES)]
)
def test_arrays_without_axes(cupy, call):
    with pytest.raises(ValueError) as on_host:
        call(np.asarray(np.uint8(1)))
    with pytest.raises(ValueError) as on_device:
        call(cupy.asarray(np.uint8(1)))
    assert str(on_device.value) == str(on_host.value)


@either
def test_arrays_on_another_gpu(cupy, rng):
    masks = Masks.encode(random_masks(rng, 2, 9, 9)).to("cuda")
    counts, offsets, _ = masks._arrays
    if cupy is fake_cupy:
        counts.device = SimpleNamespace(id=1)
    elif cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("one CUDA device")
    else:
        with cupy.cuda.Device(1):
            counts = counts.copy()
    with pytest.raises(
        ValueError, match="counts must be on the current GPU, 0, not on GPU 1; call it within `with"
    ):
        rle.area(counts, offsets)


@either
def test_too_little_memory(cupy, rng, monkeypatch):
    host = inputs(rng)
    device = on_device(cupy, host)
    with ExitStack() as stack:
        if cupy is fake_cupy:
            monkeypatch.setattr(cupy, "empty", lambda *shape: bytearray(1 << 62))
        else:
            pool = cupy.cuda.MemoryPool()
            pool.set_limit(size=512)
            stack.enter_context(cupy.cuda.using_allocator(pool.malloc))
        with pytest.raises(MemoryError):
            rle.encode(device.images)
    monkeypatch.undo()
    assert_same(cupy, rle.encode(device.images), rle.encode(host.images))
