"""Training of the ResNet-34, as cem-dataset does it; the best epoch is kept instead of the last."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskmill._files import need, written_whole
from maskmill.studies.em.cnn import load_weights, prepare, read_weights, resnet34

BATCH = 64


def augment(patch: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A patch as it might as well have been: brightness and contrast within 20 %, noise of variance 40 to 100, a blur
    of up to 5 pixels, each every second time; mirrored."""
    import cv2

    image = patch.astype(np.float32)
    if rng.random() < 0.5:
        image = image * np.float32(rng.uniform(0.8, 1.2)) + np.float32(255 * rng.uniform(-0.2, 0.2))
    if rng.random() < 0.5:
        deviation = np.float32(np.sqrt(rng.uniform(40, 100)))
        image = image + deviation * rng.standard_normal(image.shape, np.float32)
    if rng.random() < 0.5:
        side = int(rng.choice([3, 5]))
        image = cv2.GaussianBlur(image, (side, side), 0)
    flips = rng.random(2) < 0.5
    image = image[:: -1 if flips[0] else 1, :: -1 if flips[1] else 1]
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def train_network(
    patches: Sequence[NDArray[np.uint8]],
    good: NDArray[np.bool_],
    parts: Any,
    path: Path,
    *,
    weights: str | Path | None,
    epochs: int,
    seed: int,
    device: str,
    progress: Callable[[int, int, str], None] | None,
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Train, and write the weights of the epoch whose loss on what is held back was least.

    Returns
    -------
    scores : (V,) float64
        Of what is held back, by the weights that were kept.
    history : dict
        `best epoch`, and `epochs`: the losses of each.
    """
    torch = need("torch", "torch")
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = resnet34()
    if weights is not None:
        load_weights(network, read_weights(Path(weights)), weights, head=False)
        for name, parameter in network.named_parameters():
            parameter.requires_grad = name.startswith(("layer4.", "fc."))
    network.to(device)
    optimiser = torch.optim.Adam((p for p in network.parameters() if p.requires_grad), lr=1e-3)
    loss_of = torch.nn.BCEWithLogitsLoss()
    best: tuple[float, int, bytes, NDArray[np.float64]] | None = None
    history = []
    for epoch in range(1, epochs + 1):
        if progress:
            progress(epoch - 1, epochs, f"epoch {epoch}")
        network.train()
        losses = []
        order = rng.permutation(parts.training)
        for start in range(
            0, len(order) - BATCH + 1, BATCH
        ):  # an incomplete batch is left for the next epoch
            chosen = order[start : start + BATCH]
            batch = torch.from_numpy(prepare([augment(patches[i], rng) for i in chosen])).to(device)
            loss = loss_of(network(batch)[:, 0], torch.from_numpy(good[chosen]).float().to(device))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        logits = _logits(network, [patches[i] for i in parts.validation], device, torch)
        with torch.inference_mode():
            held = float(loss_of(torch.from_numpy(logits), torch.from_numpy(good[parts.validation]).double()))
        history.append({"epoch": epoch, "training loss": float(np.mean(losses)), "validation loss": held})
        if best is None or held < best[0]:
            buffer = io.BytesIO()
            torch.save({name: value.cpu() for name, value in network.state_dict().items()}, buffer)
            best = held, epoch, buffer.getvalue(), 1 / (1 + np.exp(-np.clip(logits, -700, 700)))
    if progress:
        progress(epochs, epochs, "")
    assert best is not None
    with written_whole(path) as file:
        file.write(best[2])
    return best[3], {"best epoch": best[1], "epochs": history}


def _logits(
    network: Any, patches: Sequence[NDArray[np.uint8]], device: str, torch: Any
) -> NDArray[np.float64]:
    network.eval()
    out = []
    with torch.inference_mode():
        for start in range(0, len(patches), BATCH):
            batch = torch.from_numpy(prepare(patches[start : start + BATCH])).to(device)
            out.append(network(batch)[:, 0].double().cpu().numpy())
    return np.concatenate(out)
