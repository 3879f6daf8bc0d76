"""What we split as Keras does, Keras splits so too."""

import numpy as np
import pytest

from components.preprocess.splits import last

pytest.importorskip("tensorflow")


def test_the_last_fraction_is_keras_s():
    from keras.src.trainers.data_adapters.array_slicing import train_validation_split

    for count in (2, 3, 5, 10, 99, 1000, 1797, 50_000, 60_001):
        for share in (0.1, 0.2, 0.25, 0.3, 1 / 3, 0.5, 0.7, 0.9):
            try:
                (train,), (validation,) = train_validation_split((np.arange(count),), share)
            except ValueError:  # Keras refuses an empty part; assign_splits does as well
                assert last(count, share) in (slice(0, count), slice(count, count))
                continue
            assert np.arange(count)[last(count, share)].tolist() == np.asarray(validation).tolist()
            assert len(train) == count - len(validation)
