"""The data sets known by name: where their originals lie, what proves them, and what their classes are called.

Checksums and sizes are the ones their authors publish (https://www.cs.toronto.edu/~kriz/cifar.html,
https://github.com/zalandoresearch/fashion-mnist) or, for MNIST, the ones every library checks against. A mirror is
trusted with nothing: what it serves counts only when its MD5 is the published one.
"""

import dataclasses
from typing import Literal

from components.core.artifacts.raw import RawFormat


@dataclasses.dataclass(frozen=True)
class Original:
    """One file of a data set as its authors published it. `mirrors` are tried in turn, the fastest first.

    `md5` is empty if the file comes with an installed package, whose own hash was checked when it was installed.
    """

    name: str
    mirrors: tuple[str, ...]
    md5: str
    bytes: int


@dataclasses.dataclass(frozen=True)
class KnownDataset:
    """A data set that `dataset=NAME` fetches by itself; `image_folder` has no originals, only a SOURCE."""

    format: RawFormat
    originals: tuple[Original, ...]
    # Empty if folders name the classes. CIFAR's own files name theirs too, and count more.
    class_names: tuple[str, ...] = ()
    # How validation pictures are chosen if the user does not say: the article takes Keras's way, the last fraction.
    validation: Literal["stratified", "last"] = "stratified"
    # Height, width, channels of every picture; None if they may be of any size.
    image_shape: tuple[int, int, int] | None = None
    # Whether a picture mirrored left to right is still of its class: not so of characters, unknown of own pictures.
    mirrored: bool = False
    # What its authors, or those who pass it on, say of its use; empty if that is not for us to know.
    licence: str = ""


# The university sends 55 to 85 kB/s since June 2026: an hour for what Google's bucket sends in seconds.
# Its own pages redirect from www to cave; both are listed, so that one of them may go.
_TORONTO = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
_MNIST = ("https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/")
_FASHION_MNIST = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)


_CIFAR_LICENCE = "none stated; its authors ask to cite Krizhevsky (2009), Learning Multiple Layers of Features"
_CIFAR_10 = "airplane automobile bird cat deer dog frog horse ship truck"
_FASHION = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
_CIFAR_100 = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
    castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
    elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster
    man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck
    pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


def _files(mirrors: tuple[str, ...], *files: tuple[str, str, int]) -> tuple[Original, ...]:
    """Files by name, MD5 and size, each of which lies below all mirrors."""
    return tuple(Original(name, tuple(mirror + name for mirror in mirrors), md5, size) for name, md5, size in files)


DATASETS: dict[str, KnownDataset] = {
    "digits": KnownDataset(
        format="digits",
        originals=_files(("package:sklearn/datasets/data/",), ("digits.csv.gz", "", 57_523)),
        class_names=tuple("0123456789"),
        image_shape=(8, 8, 1),
        licence="CC BY 4.0 (UCI, Optical Recognition of Handwritten Digits)",
    ),
    "cifar10": KnownDataset(
        format="cifar_binary",
        originals=_files(
            ("https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/", *_TORONTO),
            ("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171),
        ),
        class_names=tuple(_CIFAR_10.split()),
        validation="last",
        image_shape=(32, 32, 3),
        mirrored=True,
        licence=_CIFAR_LICENCE,
    ),
    "cifar100": KnownDataset(
        format="cifar_binary",
        originals=_files(_TORONTO, ("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", 168_513_733)),
        class_names=tuple(_CIFAR_100.split()),
        image_shape=(32, 32, 3),
        mirrored=True,
        licence=_CIFAR_LICENCE,
    ),
    "mnist": KnownDataset(
        format="idx",
        originals=_files(
            _MNIST,
            ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873", 9_912_422),
            ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432", 28_881),
            ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3", 1_648_877),
            ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c", 4_542),
        ),
        class_names=tuple("0123456789"),
        image_shape=(28, 28, 1),
        licence="CC BY-SA 3.0 (LeCun and Cortes), as those who pass it on state it",
    ),
    "fashion_mnist": KnownDataset(
        format="idx",
        originals=_files(
            _FASHION_MNIST,
            ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880),
            ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe", 29_515),
            ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79", 4_422_102),
            ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310", 5_148),
        ),
        class_names=tuple(_FASHION.split(",")),
        image_shape=(28, 28, 1),
        mirrored=True,
        licence="MIT (Zalando SE)",
    ),
    "image_folder": KnownDataset(format="pictures", originals=()),
}
